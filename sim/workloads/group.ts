/**
 * An aggregator: halves arrive from two sources, retried until they are certainly in; whoever finds a closed group
 * releases it and puts it into a queue in one command. Each group leaves once, and whole.
 */
import { partitionOf } from '../../lib/placement/hashing.ts'
import type { ClosedGroup, GroupOperation } from '../../lib/structures/group-operations.ts'
import type { Listed } from '../../lib/structures/queue-operations.ts'
import { aggregationViolations } from '../checkers/aggregation.ts'
import { bytesOf, knownOf, type Known } from '../client.ts'
import { Clients, inTurn, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const group = 'join'
const queue = 'joined'
const sources = ['head', 'payload']
const deadlineMs = 2_000
/** Longer than all leaps of the wall clocks of a run together. */
const rememberMs = 30 * 86_400_000

interface Seen {
  readonly key: string
  readonly added: string[]
  readonly released: string[][]
  unknownCount: number
  isLeft: boolean
  /** Sources whose piece was tried and is not certainly in. */
  readonly open: string[]
}

export function groupWorkload(context: WorkloadContext): Workload {
  return new GroupWorkload(context)
}

class GroupWorkload implements Workload {
  readonly name = 'group'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #groups = new Map<string, Seen>()
  readonly #queued = new Map<string, number>()

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#clients = new Clients(context, 1_200, (_, node, next) => {
      if (context.random.chance(0.7)) this.#add(node, next)
      else this.#releaseSome(node, next)
    })
  }

  begin(): void {
    this.#clients.begin(6)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    const partitions = [...new Set([...this.#groups.keys()].map(key => this.#partition(key)))]
    inTurn(
      [...this.#groups.values()],
      (seen, next) => this.#look(node, seen, next),
      () => inTurn(partitions, (partition, next) => this.#lookQueue(node, partition, 0, next), done),
    )
  }

  check(isGathered: boolean): readonly Violation[] {
    const violations: Violation[] = []
    for (const seen of this.#groups.values()) {
      if (this.#context.lostPartitions.has(this.#partition(seen.key))) continue
      const messages = aggregationViolations(isGathered ? seen : { ...seen, unknownCount: 1 }, sources)
      const queuedCount = this.#queued.get(seen.key) ?? 0
      if (queuedCount > 1) messages.push(`${seen.key} was handed on ${queuedCount} times`)
      if (isGathered && queuedCount < seen.released.length) messages.push(`${seen.key} was released and not handed on`)
      for (const message of messages) violations.push({ checker: 'aggregation', message })
    }
    return violations
  }

  #add(node: number, next: () => void): void {
    const { random } = this.#context
    const waiting = [...this.#groups.values()].find(one => one.open.length > 0)
    const seen = waiting ?? this.#begin(`a${this.#groups.size}`)
    const source = random.pick(seen.open) as string
    const { key } = seen
    const operation: GroupOperation = {
      kind: 'group.add',
      group,
      key,
      source,
      id: `${key}/${source}`,
      body: bytesOf(source),
      complete: { each: sources },
      rememberMs,
    }
    seen.open.splice(seen.open.indexOf(source), 1)
    this.#call(node, key, [operation], 'group.add', known => {
      if (known.kind === 'done') seen.added.push(source)
      // Tried again under the same id until it is certainly in: the second time it is a duplicate.
      else seen.open.push(source)
      next()
    })
  }

  #releaseSome(node: number, next: () => void): void {
    const { random, client } = this.#context
    const whole = [...this.#groups.values()].filter(seen => seen.added.length === 2 && seen.released.length === 0)
    const pick = random.pick(whole)
    if (pick === undefined) return next()
    const partition = this.#partition(pick.key)
    const query = { kind: 'group.ready', group, max: 3 } as const
    client.ask(node, partition, query, deadlineMs, outcome => {
      if (outcome.kind !== 'done') return next()
      const [ready] = outcome.results[0] as unknown as readonly [readonly (readonly [number, string])[]]
      inTurn(ready, ([generation, key], nextOne) => this.#release(node, generation, key, nextOne), next)
    })
  }

  #release(node: number, generation: number, key: string, next: () => void): void {
    const seen = this.#groups.get(key)
    if (seen === undefined) return next()
    const query = { kind: 'group.closed', group, generation } as const
    this.#context.client.ask(node, this.#partition(key), query, deadlineMs, outcome => {
      const closed = outcome.kind === 'done' ? (outcome.results[0] as unknown as ClosedGroup | null) : null
      if (closed === null) return next()
      const pieces = closed[3].map(([source]) => source)
      const operations = [
        { kind: 'group.release', group, generation },
        { kind: 'queue.put', queue, id: key, body: bytesOf(key) },
      ] as const
      this.#call(node, key, operations, 'group.release', known => {
        if (known.kind === 'done') seen.released.push(pieces)
        else if (known.kind === 'unknown') seen.unknownCount++
        next()
      })
    })
  }

  #look(node: number, seen: Seen, next: () => void): void {
    const partition = this.#partition(seen.key)
    this.#context.client.ask(node, partition, { kind: 'group.get', group, key: seen.key }, deadlineMs, outcome => {
      if (outcome.kind === 'done' && outcome.results[0] !== null) seen.isLeft = true
      next()
    })
  }

  #lookQueue(node: number, partition: number, after: number, next: () => void): void {
    const { client } = this.#context
    client.ask(node, partition, { kind: 'queue.list', queue, after, max: 1_000 }, deadlineMs, outcome => {
      if (outcome.kind !== 'done') return next()
      const [listed, more] = outcome.results[0] as unknown as readonly [readonly Listed[], number | null]
      for (const [, id] of listed) this.#queued.set(id, (this.#queued.get(id) ?? 0) + 1)
      if (more !== null) return this.#lookQueue(node, partition, more, next)
      this.#lookReady(node, partition, 0, next)
    })
  }

  #lookReady(node: number, partition: number, after: number, next: () => void): void {
    const { client } = this.#context
    client.ask(node, partition, { kind: 'group.ready', group, after, max: 1_000 }, deadlineMs, outcome => {
      if (outcome.kind !== 'done') return next()
      const [ready, more] = outcome.results[0] as unknown as readonly [
        readonly (readonly [number, string])[],
        number | null,
      ]
      for (const [, key] of ready) {
        const seen = this.#groups.get(key)
        if (seen !== undefined) seen.isLeft = true
      }
      if (more === null) next()
      else this.#lookReady(node, partition, more, next)
    })
  }

  #begin(key: string): Seen {
    const seen: Seen = { key, added: [], released: [], unknownCount: 0, isLeft: false, open: [...sources] }
    this.#groups.set(key, seen)
    return seen
  }

  #call(
    node: number,
    key: string,
    operations: readonly (
      | GroupOperation
      | { readonly kind: 'queue.put'; readonly queue: string; readonly id: string; readonly body: Uint8Array }
    )[],
    what: string,
    settle: (known: Known) => void,
  ): void {
    this.#context.client.call(node, this.#partition(key), operations, deadlineMs, outcome => {
      this.#context.settled(what, outcome)
      settle(knownOf(outcome))
    })
  }

  #partition(key: string): number {
    return partitionOf(key, this.#context.client.partitionCount)
  }
}
