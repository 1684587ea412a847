/** Map entries with a time to live, each put once under a key of its own and looked at until it is long gone. */
import { partitionOf } from '../../lib/placement/hashing.ts'
import { expiryViolations, type Lived, type LivedRead } from '../checkers/expiry.ts'
import { bytesOf } from '../client.ts'
import { Clients, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const map = 'sessions'
const deadlineMs = 2_000
/** Offsets of the wall clocks at the start, twice their drift over a minute, and their grain. */
const slackMs = 200

interface Seen extends Lived {
  putReturnedMs: number
  readonly reads: LivedRead[]
}

export function expiryWorkload(context: WorkloadContext): Workload {
  return new ExpiryWorkload(context)
}

class ExpiryWorkload implements Workload {
  readonly name = 'expiry'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #entries: Seen[] = []

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#clients = new Clients(context, 900, (_, node, next) => {
      const { random, world } = context
      const open = this.#entries.filter(({ putCalledMs, ttlMs }) => world.nowMs < putCalledMs + 2 * ttlMs + 2_000)
      const entry = random.chance(0.25) ? undefined : random.pick(open)
      if (entry === undefined) this.#put(node, next)
      else this.#get(node, entry, next)
    })
  }

  begin(): void {
    this.#clients.begin(5)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(_node: number, done: () => void): void {
    done()
  }

  check(): readonly Violation[] {
    const { lostPartitions } = this.#context
    const kept = this.#entries.filter(({ key }) => !lostPartitions.has(this.#partition(key)))
    return kept.flatMap(entry => expiryViolations(entry).map(message => ({ checker: 'expiry', message })))
  }

  #put(node: number, next: () => void): void {
    const { random, world, client } = this.#context
    const key = `e${this.#entries.length}`
    const ttlMs = random.int(300, 8_000)
    const entry: Seen = { key, ttlMs, putCalledMs: world.nowMs, putReturnedMs: Infinity, reads: [] }
    this.#entries.push(entry)
    const operation = { kind: 'map.put', map, key, value: bytesOf(key), ttlMs } as const
    client.call(node, this.#partition(key), [operation], deadlineMs, outcome => {
      this.#context.settled('map.put', outcome)
      if (outcome.kind === 'done') entry.putReturnedMs = world.nowMs
      next()
    })
  }

  #get(node: number, entry: Seen, next: () => void): void {
    const { world, client } = this.#context
    const { key } = entry
    const calledMs = world.nowMs
    client.ask(node, this.#partition(key), { kind: 'map.get', map, key }, deadlineMs, outcome => {
      this.#context.settled('map.get', outcome)
      const isThere = outcome.kind === 'done' && outcome.results[0] !== null
      const returnedMs = world.nowMs
      if (outcome.kind === 'done')
        entry.reads.push({ calledMs, returnedMs, isThere, slackMs: slackMs + 2 * this.#context.leaptMs() })
      next()
    })
  }

  #partition(key: string): number {
    return partitionOf(key, this.#context.client.partitionCount)
  }
}
