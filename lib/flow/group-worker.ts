/**
 * Sends on what an aggregator has closed. Who adds the last piece learns the group's generation and merges it at once;
 * what closed by time, or while its peer died, is found by looking through the partitions owned here. Two peers may
 * merge the same group: the release in the commit lets one of them through.
 */
import type { PartitionId } from '../base/ids.ts'
import type { AddedPiece as Added, CollectedGroup, Group } from '../grid/group-handles.ts'
import { isPassing } from '../grid/outcomes.ts'
import { givenUp, groupName, merged, mergedId, piecesOf } from './components/aggregator.ts'
import type { AggregatorNode } from './components/aggregator.ts'
import { deadOperation } from './components/dead-letter.ts'
import { pauseMs } from './components/retry.ts'
import { decodeEnvelope, messageOf, type Envelope } from './envelope.ts'
import { reasonOf, TerminalError } from './errors.ts'
import type { PlanStage } from './plan.ts'
import { Room } from './room.ts'
import { stepContext } from './run-context.ts'
import type { RunningFlow } from './running-flow.ts'
import { UnitOfWork, type AddedPiece } from './unit-of-work.ts'
import { walk } from './walk.ts'

/** Groups merged at once. */
const concurrency = 64
/** Known to be closed and not yet merged, beyond those that are: what comes on top is found by looking. */
const pendingMax = 4_096
/** How often this peer looks through its partitions. */
const sweepMs = 1_000
/** Left to who added the last piece, before others look. */
const graceMs = 1_000
const readyMax = 100

type ClosedBy = Pick<Added, 'state' | 'generation'>

export class GroupWorker {
  readonly node: AggregatorNode
  readonly #flow: RunningFlow
  readonly #step: number
  readonly #group: Group
  readonly #room = new Room(concurrency)
  /** In hand or pending, `partition.generation`. */
  readonly #known = new Set<string>()
  /** Failed here: tries, and not before. */
  readonly #failed = new Map<string, { tries: number; notBeforeMs: number }>()
  #isStopped = true
  #isSweeping = false
  /** When sweeps first saw what is closed, by this peer's monotonic clock: closing times are wall clock, of any peer's. */
  #seenAtMs = new Map<string, number>()
  #emptied: (() => void) | undefined

  constructor(flow: RunningFlow, step: number, node: AggregatorNode) {
    this.#flow = flow
    this.#step = step
    this.node = node
    this.#group = flow.grid.group(groupName(flow.plan.name, node.name))
  }

  get name(): string {
    return this.#group.name
  }

  get inHand(): number {
    return this.#known.size
  }

  start(): void {
    this.#isStopped = false
    this.#again()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    while (this.#known.size > 0) await new Promise<void>(resolve => (this.#emptied = resolve))
  }

  /** A piece of this peer's was committed. `added` undefined: it is not known what came of it. */
  added({ partition, address, node }: AddedPiece, added: ClosedBy | undefined): void {
    if (added?.state === 'closed') this.#take(partition, added.generation)
    else if (added === undefined) void this.#look(partition)
    else if (added.state === 'open' && 'test' in node.complete)
      void this.#test(partition, address.key, node.complete.test)
  }

  /** Looks through the partitions owned here for what nobody has sent on. */
  sweep(): void {
    if (this.#isSweeping || this.#isStopped) return
    this.#isSweeping = true
    const { partitions } = this.#flow.grid
    const before = this.#seenAtMs
    this.#seenAtMs = new Map()
    void Promise.all(partitions.owned.map(partition => this.#look(partition, before))).finally(() => {
      this.#isSweeping = false
    })
  }

  #again(): void {
    if (this.#isStopped) return
    const { env } = this.#flow
    this.sweep()
    env.at(env.now().monotonicMs + sweepMs, () => this.#again())
  }

  /** With `before`, a sweep: what was seen by the one before it is left alone for a while if somebody may be at it. */
  async #look(partition: PartitionId, before?: ReadonlyMap<string, number>): Promise<void> {
    try {
      const nowMs = this.#flow.env.now().monotonicMs
      for (const { generation, reason } of await this.#group.ready(partition, { max: readyMax })) {
        const name = `${partition}.${generation}`
        const sinceMs = before?.get(name) ?? nowMs
        if (before !== undefined) this.#seenAtMs.set(name, sinceMs)
        if (before === undefined || reason !== 'complete' || nowMs - sinceMs >= graceMs)
          this.#take(partition, generation)
      }
    } catch {
      // It has moved, or there is no quorum: the next look finds it.
    }
  }

  /** A completion that is a function: judged here, closed by name. */
  async #test(partition: PartitionId, key: string, test: (messages: never) => unknown): Promise<void> {
    const { partitions } = this.#flow.grid
    try {
      const open = await partitions.ask(partition, { kind: 'group.get', group: this.name, key })
      if (open === null) return
      const pieces = (
        open as unknown as readonly [number, number, readonly (readonly [string, string, Uint8Array])[]]
      )[2]
      const messages = pieces.map(([, , body]) => messageOf(decodeEnvelope(body), this.node.name, { attempt: 1 }))
      const verdict = test(messages as never)
      if (!(verdict instanceof Promise ? await verdict : verdict)) return
      const [generation] = await partitions.run(partition, [{ kind: 'group.close', group: this.name, key }])
      if (generation !== 0) this.#take(partition, generation as number)
    } catch (error) {
      this.#flow.warn('flow.completion-failed', error, { step: this.node.name, key })
    }
  }

  #take(partition: PartitionId, generation: number): void {
    const name = `${partition}.${generation}`
    if (this.#isStopped || this.#known.has(name) || this.#known.size >= pendingMax) return
    const failed = this.#failed.get(name)
    if (failed !== undefined && this.#flow.env.now().monotonicMs < failed.notBeforeMs) return
    this.#known.add(name)
    void this.#room
      .run(() => this.#work(partition, generation, name))
      .catch((error: unknown) => {
        // What passes is found by the next look.
        if (!isPassing(error)) this.#flow.warn('flow.group-failed', error, { step: this.node.name })
      })
      .finally(() => {
        this.#known.delete(name)
        if (this.#known.size === 0) this.#emptied?.()
      })
  }

  async #work(partition: PartitionId, generation: number, name: string): Promise<void> {
    const group = await this.#group.closed({ partition, generation })
    if (group === undefined) return void this.#failed.delete(name)
    const pieces = piecesOf(group)
    // Another version's, at this peer or another: it is theirs, or it waits until somebody has loaded it.
    if (pieces.at(-1)?.version !== this.#flow.plan.version) return
    let unit = this.#release(partition, generation)
    const isOver = group.reason === 'timeout' && this.node.onTimeout !== 'release'
    try {
      if (isOver) this.#giveUp(unit, pieces, `its group had ${pieces.length} pieces when its time was over`)
      else await this.#goOn(unit, group, pieces)
    } catch (error) {
      if (!this.#isLastTry(name, error)) return
      unit = this.#release(partition, generation)
      this.#bury(unit, pieces, reasonOf(error))
    }
    const [fate] = await this.#flow.commit([unit], partition)
    if (fate?.kind === 'failed') return void this.#isLastTry(name, fate.error)
    this.#failed.delete(name)
    if (fate?.kind !== 'committed') return
    if (group.reason === 'timeout') this.#flow.counts.timedOut++
    if (!isOver) this.#flow.counts.released++
  }

  #release(partition: PartitionId, generation: number): UnitOfWork {
    const unit = new UnitOfWork()
    const operation = { kind: 'group.release', group: this.name, generation } as const
    unit.place(operation, partition, `release/${this.name}/${generation}`)
    return unit
  }

  async #goOn(unit: UnitOfWork, group: CollectedGroup, pieces: readonly Envelope[]): Promise<void> {
    const { env, plan, signal } = this.#flow
    const terms = { flow: plan.name, id: mergedId(this.node, group), step: this.node.name, signal }
    const envelope = await merged(this.node, group, pieces, stepContext(env, terms))
    const { next } = this.#flow.stepOf(this.#step)
    await walk({ walker: this.#flow, unit, delivery: { attempt: 1 }, signal }, next, envelope)
  }

  #giveUp(unit: UnitOfWork, pieces: readonly Envelope[], reason: string): void {
    if (this.node.onTimeout === 'dead-letter') this.#bury(unit, pieces, reason)
  }

  #bury(unit: UnitOfWork, pieces: readonly Envelope[], reason: string): void {
    const queue = this.#flow.queues[this.#flow.stepOf(this.#step).stage]?.name as string
    const dead = this.#flow.plan.deadLetter
    this.#flow.counts.dead += pieces.length
    for (const piece of pieces) unit.place(deadOperation(givenUp(piece), { dead, queue, reason }))
  }

  /** False: it is tried again after the stage's back-off. */
  #isLastTry(name: string, error: unknown): boolean {
    const { retry } = this.#flow.plan.stages[this.#flow.stepOf(this.#step).stage] as PlanStage
    const tries = (this.#failed.get(name)?.tries ?? 0) + 1
    if (error instanceof TerminalError || tries >= retry.attempts) {
      this.#failed.delete(name)
      this.#flow.warn('flow.group-dead', error, { step: this.node.name, group: name })
      return true
    }
    const { env, counts } = this.#flow
    counts.retried++
    if (this.#failed.size >= pendingMax) this.#failed.clear()
    const waitMs = pauseMs(retry, tries, env.random.float())
    this.#failed.set(name, { tries, notBeforeMs: env.now().monotonicMs + waitMs })
    return false
  }
}
