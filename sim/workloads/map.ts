/** Registers: get, put, delete and compare-and-set over a few keys of one map; linearizable per key. */
import { partitionOf } from '../../lib/placement/hashing.ts'
import type { Version } from '../../lib/structures/cases.ts'
import type { MapGetResult, MapOperation } from '../../lib/structures/map-operations.ts'
import type { Call } from '../checkers/linearizability.ts'
import { checkRegisters, type RegisterInput, type RegisterOutput } from '../checkers/register.ts'
import { bytesOf, knownOf, textOf, type Settled } from '../client.ts'
import { Order } from '../order.ts'
import { Clients, inTurn, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const map = 'registers'
const callsPerKeyMax = 200
/** Changes of unknown outcome that a key may have seen: each doubles what may be true of it. */
const unknownPerKeyMax = 6
const deadlineMs = 2_000
const readerDeadlineMs = 250
/** Keys that readers look at: few, so that what they read was just written. */
const hotCount = 4

type Seen = { -readonly [K in keyof Call<RegisterInput, RegisterOutput>]: Call<RegisterInput, RegisterOutput>[K] }

export function mapWorkload(context: WorkloadContext): Workload {
  return new MapWorkload(context)
}

class MapWorkload implements Workload {
  readonly name = 'map'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  /** Names in use; one that has seen enough calls gives way to a fresh one in the same place. */
  readonly #keys: string[]
  readonly #order = new Order()
  readonly #histories = new Map<string, Seen[]>()
  /** Changes of unknown outcome. */
  readonly #unknown = new Map<string, number>()
  /** The last value and version that a client read of a key, for its next compare-and-set. */
  readonly #read = new Map<string, { readonly value: string; readonly version: Version | undefined }>()
  #valueCount = 0

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#keys = Array.from({ length: context.random.int(4, 12) }, (_, i) => `k${i}`)
    for (const key of this.#keys) this.#histories.set(key, [])
    // The faster ones meet the short moments in which two members think that they own a key.
    const thinkMs = context.random.pick([80, 300, 600]) as number
    this.#clients = new Clients(context, thinkMs, (client, node, next) => this.#act(client, node, next))
  }

  begin(): void {
    this.#clients.begin(10)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    inTurn([...this.#histories.keys()], (key, next) => this.#get(-1, node, key, next), done)
  }

  check(): readonly Violation[] {
    const { lostPartitions, client } = this.#context
    const histories = new Map(
      [...this.#histories]
        .filter(([key]) => !lostPartitions.has(partitionOf(key, client.partitionCount)))
        .map(([key, calls]) => [key, calls.filter(call => call.calledAt > 0)]),
    )
    const { verdict, keys } = checkRegisters(histories)
    if (verdict === 'linearizable') return []
    return keys.map(key => ({
      checker: 'linearizability',
      message: `map key ${key} is ${verdict}: ${JSON.stringify(histories.get(key)?.slice(-12))}`,
    }))
  }

  #act(client: number, node: number, next: () => void): void {
    const { random } = this.#context
    // The second client of a machine only reads, and waits for no answer long: on the wrong side of a cut it goes on.
    if (client >= this.#context.client.nodeCount)
      return this.#get(client, node, this.#key(random.int(0, hotCount - 1)), next, readerDeadlineMs)
    const key = this.#key(random.int(0, this.#keys.length - 1))
    const draw = random.float()
    if (draw < 0.4) this.#get(client, node, key, next)
    else if (draw < 0.7) this.#put(node, key, {}, { kind: 'write', value: this.#fresh() }, next)
    else if (draw < 0.75) this.#delete(node, key, next)
    else this.#swap(client, node, key, next)
  }

  #key(at: number): string {
    const key = this.#keys[at] as string
    const isKnown = (this.#unknown.get(key) ?? 0) < unknownPerKeyMax
    if (isKnown && (this.#histories.get(key)?.length ?? 0) < callsPerKeyMax - 20) return key
    const fresh = `k${at}.${this.#histories.size}`
    this.#keys[at] = fresh
    this.#histories.set(fresh, [])
    return fresh
  }

  #fresh(): string {
    return `v${++this.#valueCount}`
  }

  #get(client: number, node: number, key: string, next: () => void, withinMs = deadlineMs): void {
    const call = this.#begin(key, { kind: 'read' })
    this.#context.client.ask(node, this.#partition(key), { kind: 'map.get', map, key }, withinMs, outcome => {
      const found = outcome.kind === 'done' ? (outcome.results[0] as unknown as MapGetResult) : null
      const value = found === null ? '' : textOf(found[0])
      if (outcome.kind === 'done') this.#read.set(`${client} ${key}`, { value, version: found?.[1] })
      this.#end(key, call, outcome, { kind: 'read', value })
      next()
    })
  }

  #swap(client: number, node: number, key: string, next: () => void): void {
    const read = this.#read.get(`${client} ${key}`)
    if (read === undefined) return this.#get(client, node, key, next)
    this.#read.delete(`${client} ${key}`)
    const condition = read.version === undefined ? { ifAbsent: true } : { ifVersion: read.version }
    this.#put(node, key, condition, { kind: 'swap', expected: read.value, value: this.#fresh() }, next)
  }

  #put(
    node: number,
    key: string,
    condition: Partial<Extract<MapOperation, { kind: 'map.put' }>>,
    input: Extract<RegisterInput, { value: string }>,
    next: () => void,
  ): void {
    this.#change(node, key, { kind: 'map.put', map, key, value: bytesOf(input.value), ...condition }, input, next)
  }

  #delete(node: number, key: string, next: () => void): void {
    this.#change(node, key, { kind: 'map.delete', map, key }, { kind: 'delete' }, next)
  }

  #change(node: number, key: string, operation: MapOperation, input: RegisterInput, next: () => void): void {
    const call = this.#begin(key, input)
    this.#context.client.call(node, this.#partition(key), [operation], deadlineMs, outcome => {
      this.#end(key, call, outcome, { kind: 'written' })
      next()
    })
  }

  #begin(key: string, input: RegisterInput): Seen {
    const call: Seen = { calledAt: this.#order.next(), returnedAt: Infinity, input, output: undefined }
    this.#histories.get(key)?.push(call)
    return call
  }

  #end(key: string, call: Seen, outcome: Settled, output: RegisterOutput): void {
    this.#context.settled(`map.${call.input.kind}`, outcome)
    const known = knownOf(outcome)
    const isMismatch = known.kind === 'failed' && known.code === 'CONFLICT'
    if (known.kind === 'done' || isMismatch) {
      call.returnedAt = this.#order.next()
      call.output = isMismatch ? { kind: 'mismatch' } : output
    } else if (known.kind === 'failed' || call.input.kind === 'read') {
      // Certainly nothing: not part of the history.
      call.calledAt = 0
    } else this.#unknown.set(key, (this.#unknown.get(key) ?? 0) + 1)
  }

  #partition(key: string): number {
    return partitionOf(key, this.#context.client.partitionCount)
  }
}
