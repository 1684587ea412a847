/**
 * A cluster that is one object: each partition a real state machine, each call applied at once after a short delay. With
 * bugs on demand, to see that workloads and checkers find them.
 */
import { sessionId } from '../../../lib/base/ids.ts'
import type { Plain } from '../../../lib/base/shape.ts'
import type { StructureOperation, StructureQuery } from '../../../lib/structures/operations.ts'
import { Structures } from '../../../lib/structures/structures.ts'
import type { Prng } from '../../../lib/base/prng.ts'
import type { Client, Part, Settled } from '../../../sim/client.ts'
import type { Violation, WorkloadContext, WorkloadFactory } from '../../../sim/workload.ts'
import { noGrids } from '../../../sim/grids.ts'
import { World } from '../../../sim/world.ts'

export type ToyBug =
  | 'none'
  /** Acknowledges and forgets. */
  | 'loses-writes'
  /** Applies twice. */
  | 'doubles-writes'
  /** Answers from a copy that is behind. */
  | 'stale-reads'
  /** Applies the first part of a transaction and not the others. */
  | 'tears-transactions'
  /** Does not look at tokens. */
  | 'ignores-tokens'
  /** Says that it did not happen when it did. */
  | 'denies-writes'

const bugRatio = 0.05

export class ToyCluster implements Client {
  readonly nodeCount = 3
  readonly partitionCount = 4
  readonly #world: World
  readonly #random: Prng
  readonly #bug: ToyBug
  readonly #partitions = Array.from({ length: 4 }, () => new Structures())
  readonly #stale = new Map<string, Plain>()
  #index = 0

  constructor(world: World, bug: ToyBug) {
    this.#world = world
    this.#random = world.random.fork('toy')
    this.#bug = bug
  }

  isRunning(): boolean {
    return true
  }

  call(
    node: number,
    partition: number,
    operations: readonly StructureOperation[],
    _deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    this.#later(() => {
      const outcome = this.#apply(node, [{ partition, operations }])
      this.#later(() => settle(outcome))
    })
  }

  ask(
    _node: number,
    partition: number,
    query: StructureQuery,
    _deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    this.#later(() => {
      const outcome = this.#query(partition, query)
      this.#later(() => settle(outcome))
    })
  }

  transact(node: number, parts: readonly Part[], _deadlineMs: number, settle: (outcome: Settled) => void): void {
    this.#later(() => {
      const outcome = this.#apply(node, parts)
      this.#later(() => settle(outcome))
    })
  }

  #later(run: () => void): void {
    this.#world.after(this.#random.between(1, 30), run)
  }

  #strikes(bug: ToyBug): boolean {
    return this.#bug === bug && (bug === 'ignores-tokens' || this.#random.chance(bugRatio))
  }

  #query(partition: number, query: StructureQuery): Settled {
    this.#maintain(partition)
    const found = (this.#partitions[partition] as Structures).query(query, this.#world.nowMs)
    if (found.kind !== 'found') throw new Error(`unexpected ${JSON.stringify(found)}`)
    const key = JSON.stringify([partition, query])
    const result = this.#strikes('stale-reads') ? (this.#stale.get(key) ?? found.result) : found.result
    if (!this.#stale.has(key) || this.#random.chance(0.2)) this.#stale.set(key, found.result)
    return { kind: 'done', results: [result] }
  }

  #apply(node: number, parts: readonly Part[]): Settled {
    if (this.#random.chance(0.02)) return { kind: 'unavailable', message: 'by chance' }
    for (const { partition } of parts) this.#maintain(partition)
    const contexts = parts.map(() => this.#context(node))
    for (const [at, { partition, operations }] of parts.entries()) {
      for (const operation of operations) {
        const refusal = this.#partitions[partition]?.check(operation, contexts[at] as never)
        if (refusal === undefined || (refusal.code === 'STALE_TOKEN' && this.#strikes('ignores-tokens'))) continue
        return { kind: 'refused', code: refusal.code, message: refusal.message, operation: 0, detail: refusal.detail }
      }
    }
    const results: Plain[] = []
    if (this.#strikes('loses-writes')) return { kind: 'done', results: this.#pretend(parts) }
    for (const [at, { partition, operations }] of parts.entries()) {
      if (at > 0 && this.#strikes('tears-transactions')) continue
      operations.forEach((operation, ordinal) => {
        const context = { ...(contexts[at] as object), ordinal } as never
        results.push(this.#execute(partition, operation, context))
        if (this.#strikes('doubles-writes')) results[results.length - 1] = this.#execute(partition, operation, context)
      })
    }
    if (this.#strikes('denies-writes')) return { kind: 'unavailable', message: 'a lie' }
    return this.#random.chance(0.03) ? { kind: 'indeterminate', message: 'by chance' } : { kind: 'done', results }
  }

  #execute(partition: number, operation: StructureOperation, context: never): Plain {
    const state = this.#partitions[partition] as Structures
    return state.check(operation, context) === undefined ? state.execute(operation, context) : true
  }

  #pretend(parts: readonly Part[]): Plain[] {
    return parts.flatMap(({ operations }) =>
      operations.map(({ kind }) => {
        if (kind === 'map.put') return [[1, ++this.#index, 0], null]
        if (kind === 'lock.acquire') return [++this.#index, 0]
        if (kind === 'counter.add') return this.#index
        return kind === 'queue.take' ? [] : true
      }),
    )
  }

  #maintain(partition: number): void {
    const state = this.#partitions[partition] as Structures
    for (const operation of state.due(this.#world.nowMs, this.#world.nowMs, 1_000, () => false)) {
      state.execute(operation as StructureOperation, this.#context(-1))
    }
  }

  #context(node: number): Parameters<Structures['execute']>[1] {
    return {
      epoch: 1,
      index: ++this.#index,
      ordinal: 0,
      atMs: this.#world.nowMs,
      session: node < 0 ? '' : sessionId(`goose-${node}`, 1),
      monotonicMs: this.#world.nowMs,
    }
  }
}

/** One minute of a workload on the toy; what its checkers say. */
export function playToy(
  make: WorkloadFactory,
  seed: number,
  bug: ToyBug,
): { violations: readonly Violation[]; count: number } {
  const world = new World({ seed })
  const client = new ToyCluster(world, bug)
  let count = 0
  const context: WorkloadContext = {
    world,
    client,
    grids: noGrids,
    random: world.random.fork('workload'),
    lostPartitions: new Set(),
    spend: () => true,
    leaptMs: () => 0,
    leaseTaken: () => {},
    settled: () => count++,
  }
  const workload = make(context)
  workload.begin()
  world.run(60_000)
  workload.rest()
  world.run(70_000)
  let isGathered = false
  workload.gather(0, () => (isGathered = true))
  world.run(120_000)
  return { violations: workload.check(isGathered), count }
}
