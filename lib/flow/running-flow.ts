/**
 * One version of a flow at work on this peer: its stages take from their queues, its aggregators send on what is
 * complete, its sources put in. What every part of it shares lies here: the plan, open targets, how units of work are
 * committed and what became of them.
 */
import { assert } from '../base/assert.ts'
import { FullError, GridFullError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Grid } from '../grid/handles.ts'
import type { AddedPiece as AddedState } from '../grid/group-handles.ts'
import { noCounts, type FlowCounts } from './counts.ts'
import type { Envelope } from './envelope.ts'
import { GroupWorker } from './group-worker.ts'
import { commitWork } from './journal-commit.ts'
import type { Plan, PlanStep } from './plan.ts'
import type { ConnectorHost, OpenCall, OpenGrid, OpenJournal, TargetHost } from './ports.ts'
import { StageQueue } from './stage-queue.ts'
import { StageWorker } from './stage-worker.ts'
import type { Fate, UnitOfWork } from './unit-of-work.ts'
import type { Walker } from './walk.ts'

/** How long sources wait after a stage was full. */
const congestedMs = 500

/** Makes the host of one step or source. */
export type HostMaker = (plan: Plan, name: string, signal: AbortSignal) => ConnectorHost

export class RunningFlow implements Walker {
  readonly grid: Grid
  readonly plan: Plan
  readonly counts: FlowCounts = noCounts()
  readonly queues: readonly StageQueue[]
  /** By step number. */
  readonly groups: Map<number, GroupWorker> = new Map()
  readonly workers: readonly StageWorker[]
  readonly #calls = new Map<number, OpenCall>()
  readonly #grids = new Map<number, OpenGrid>()
  readonly #journals = new Map<number, OpenJournal>()
  readonly #stopping = new AbortController()
  #congestedUntilMs = -Infinity

  constructor(grid: Grid, plan: Plan) {
    this.grid = grid
    this.plan = plan
    this.queues = plan.stages.map(stage => new StageQueue(grid, plan, stage))
    for (const [at, step] of plan.steps.entries())
      if (step.node.kind === 'aggregator') this.groups.set(at, new GroupWorker(this, at, step.node))
    this.workers = plan.stages.map((_, stage) => new StageWorker(this, stage))
  }

  get env(): Grid['env'] {
    return this.grid.env
  }

  /** Aborts what is in hand. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Opens targets, then takes up work. */
  async start(hostOf: HostMaker): Promise<void> {
    for (const [at, { node }] of this.plan.steps.entries()) {
      if (node.kind !== 'target') continue
      const host: TargetHost = { ...hostOf(this.plan, node.name, this.signal), step: node.name }
      const { target } = node
      if (target.style === 'call') this.#calls.set(at, await target.open(host))
      else if (target.style === 'grid') this.#grids.set(at, target.open(host))
      else this.#journals.set(at, await target.open(host))
    }
    for (const worker of this.workers) worker.start()
    for (const worker of this.groups.values()) worker.start()
  }

  /** Takes no more from queues and groups; resolves when what is in hand is done. */
  async stop(): Promise<void> {
    await Promise.all([...this.workers, ...this.groups.values()].map(worker => worker.stop()))
    for (const journal of this.#journals.values()) await journal.close()
    for (const call of this.#calls.values()) await call.close()
  }

  /** What is in hand is given up: others take it over. */
  abort(): void {
    this.#stopping.abort()
  }

  /** Units of work not yet committed. */
  get inHand(): number {
    return [...this.workers, ...this.groups.values()].reduce((sum, worker) => sum + worker.inHand, 0)
  }

  /** A stage behind was full a moment ago. */
  get isCongested(): boolean {
    return this.env.now().monotonicMs < this.#congestedUntilMs
  }

  /** Partitions may have come here: looks at once for what others left. */
  sweep(): void {
    for (const worker of this.groups.values()) worker.sweep()
    for (const journal of this.#journals.values())
      journal.sweep().catch((error: unknown) => this.warn('flow.sweep-failed', error))
  }

  partitionOf(key: string): PartitionId {
    return this.grid.partitions.of(key)
  }

  enqueue(unit: UnitOfWork, stage: number, envelope: Envelope): void {
    const queue = this.queues[stage] as StageQueue
    unit.place(queue.put(envelope), queue.placeOf(envelope))
  }

  call(step: number): OpenCall {
    const call = this.#calls.get(step)
    assert(call !== undefined, 'targets are open while messages are worked on')
    return call
  }

  gridTarget(step: number): OpenGrid {
    const grid = this.#grids.get(step)
    assert(grid !== undefined, 'targets are open while messages are worked on')
    return grid
  }

  journal(step: number): OpenJournal {
    const journal = this.#journals.get(step)
    assert(journal !== undefined, 'targets are open while messages are worked on')
    return journal
  }

  /** Commits what the steps gathered. `isPatient` false: whoever waits hears at once that it cannot be now. */
  async commit(
    units: readonly UnitOfWork[],
    home: PartitionId,
    options: { readonly signal?: AbortSignal; readonly isPatient?: boolean } = {},
  ): Promise<readonly Fate[]> {
    const { signal = this.signal, isPatient = true } = options
    const fates = await commitWork(units, home, {
      env: this.env,
      partitions: this.grid.partitions,
      signal,
      isPatient,
      held: error => this.#held(error),
      journal: step => this.journal(step),
    })
    for (const [at, unit] of units.entries()) this.#settled(unit, fates[at] as Fate)
    return fates
  }

  warn(event: string, error: unknown, fields: Readonly<Record<string, string | number | boolean>> = {}): void {
    const reason = error instanceof Error ? error.message : String(error)
    const { name: flow, version } = this.plan
    this.env.emit({ kind: 'emit', level: 'warn', event, fields: { flow, version, ...fields, reason } })
  }

  #held(error: unknown): void {
    if (!(error instanceof FullError || error instanceof GridFullError)) return
    this.#congestedUntilMs = this.env.now().monotonicMs + congestedMs
  }

  #settled(unit: UnitOfWork, fate: Fate): void {
    this.counts.filtered += fate.kind === 'committed' ? unit.filteredCount : 0
    if (fate.kind === 'duplicate') this.counts.duplicates++
    if (fate.kind === 'superseded') this.counts.superseded++
    if (fate.kind !== 'committed') return
    this.counts.committed++
    if (unit.added.length === 0) return
    const [isRepeat, results] = resultsOf(unit, fate.results)
    if (isRepeat) return
    for (const piece of unit.added) {
      const worker = [...this.groups.values()].find(({ node }) => node === piece.node)
      worker?.added(piece, addedState(results?.[piece.at]))
    }
  }

  /** The step's number in the plan. */
  stepOf(step: number): PlanStep {
    return this.plan.steps[step] as PlanStep
  }
}

/** Looks into a `once.run`; what that had done before has been seen to. */
function resultsOf(
  { isOnce }: UnitOfWork,
  results: readonly Plain[] | undefined,
): readonly [isRepeat: boolean, results: readonly Plain[] | undefined] {
  if (!isOnce || results === undefined) return [false, results]
  return results[0] as unknown as readonly [boolean, readonly Plain[]]
}

/** Undefined: the commit spanned partitions, so the answer is not known. */
function addedState(result: Plain | undefined): Pick<AddedState, 'state' | 'generation'> | undefined {
  if (result === undefined) return undefined
  const [state, generation] = result as unknown as readonly [AddedState['state'], number, number]
  return { state, generation }
}
