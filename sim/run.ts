/**
 * One seed, from boot to verdict: the cluster forms, clients work while the nemesis strikes, everything heals, the cluster
 * must answer within five seconds (P7), what is there is read, and the checkers judge. The same seed and options give
 * the same run, bit for bit.
 */
import type { Prng } from '../lib/base/prng.ts'
import { wireMessageShape } from '../lib/peer/wire.ts'
import { Structures } from '../lib/structures/structures.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'
import { faultKinds, type FaultKind } from './faults.ts'
import { Inside } from './inside.ts'
import { Nemesis } from './nemesis.ts'
import { occasions, type Occasion } from './observer.ts'
import { plant } from './plants.ts'
import { scenarioKinds, type PlantName, type ScenarioName } from './scenarios.ts'
import { probeLiveness } from './checkers/liveness.ts'
import { doublyServed } from './checkers/one-owner.ts'
import { unequalCopies } from './checkers/equal-copies.ts'
import { watchMemory } from './checkers/memory.ts'
import type { Settled } from './client.ts'
import type { Violation, Workload, WorkloadContext, WorkloadFactory } from './workload.ts'
import { bankWorkload } from './workloads/bank.ts'
import { counterWorkload } from './workloads/counter.ts'
import { expiryWorkload } from './workloads/expiry.ts'
import { flowWorkload } from './workloads/flow.ts'
import { gridWorkload } from './workloads/grid.ts'
import { groupWorkload } from './workloads/group.ts'
import { lockWorkload } from './workloads/lock.ts'
import { mapWorkload } from './workloads/map.ts'
import { queueWorkload } from './workloads/queue.ts'
import { World } from './world.ts'

export interface RunOptions {
  readonly seed: number
  /** Machines; drawn from 3 to 7 if undefined. */
  readonly nodes?: number | undefined
  readonly scenario?: ScenarioName | undefined
  /** Length of the fault phase; default 60,000 ms. */
  readonly faultsMs?: number | undefined
  /** A bug to plant, to see whether the checkers find it. */
  readonly plant?: PlantName | undefined
}

/** What works in the cluster: below the handles, so that histories are exact, or through them. */
const structureWorkloads = [
  mapWorkload,
  counterWorkload,
  lockWorkload,
  queueWorkload,
  groupWorkload,
  bankWorkload,
  expiryWorkload,
]
const handleWorkloads: Readonly<Record<'grid' | 'flow', readonly WorkloadFactory[]>> = {
  grid: [gridWorkload],
  flow: [flowWorkload],
}
/** Hops after each event of a run with promises: a chain of awaits through handles and runner. */
const hopCount = 24

export interface RunResult {
  readonly seed: number
  readonly hash: string
  readonly violations: readonly Violation[]
  readonly isInBudget: boolean
  readonly virtualMs: number
  readonly eventCount: number
  readonly operationCount: number
  /** Operations whose outcome was `done`. */
  readonly doneCount: number
  readonly faultCount: number
  readonly occasions: Readonly<Partial<Record<Occasion, number>>>
  /** How often each event of the machines was emitted. */
  readonly events: Readonly<Record<string, number>>
  /** The last events, for the print of a failure. */
  readonly lines: readonly string[]
}

/** The cluster must be whole this long after boot. */
const bootMaxMs = 20_000
/** P7. */
const answerWithinMs = 5_000
/** After the clients stopped, for what is under way to settle. */
const settleMs = 5_000
const gatherMaxMs = 60_000
const operationsMax = 8_000

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const unplant = options.plant === undefined ? (): void => {} : plant(options.plant)
  try {
    return await new Run(options).play()
  } finally {
    unplant()
  }
}

class Run {
  readonly #options: RunOptions
  readonly #world: World
  readonly #cluster: Cluster
  readonly #nemesis: Nemesis
  readonly #workloads: readonly Workload[]
  readonly #inside: Inside
  readonly #isInBudget: boolean
  #operationCount = 0
  #doneCount = 0

  constructor(options: RunOptions) {
    this.#options = options
    const scenario = options.scenario ?? 'random'
    const handles = scenario === 'grid' || scenario === 'flow' ? handleWorkloads[scenario] : undefined
    this.#world = new World({ seed: options.seed, hopCount: handles === undefined ? 0 : hopCount })
    const draws = this.#world.random.fork('options')
    this.#isInBudget = scenario === 'beyond' ? false : scenario !== 'random' || draws.chance(0.8)
    this.#cluster = new Cluster(this.#world, {
      ...drawCluster(draws, options.nodes),
      hasGrid: handles !== undefined,
    })
    this.#cluster.observer.isLossAllowed = !this.#isInBudget
    this.#nemesis = new Nemesis(this.#world, this.#cluster, {
      isInBudget: this.#isInBudget,
      pauseMs: draws.pick([500, 1_500, 4_000]) as number,
      concurrentMax: draws.int(1, 3),
      kinds: drawKinds(draws, scenario),
      lastingRatio: draws.chance(0.3) ? 0.3 : 0,
    })
    this.#inside = new Inside(this.#world, this.#cluster)
    this.#workloads = (handles ?? structureWorkloads).map(make => make(this.#context(draws.fork('workload'))))
  }

  async play(): Promise<RunResult> {
    try {
      await this.#phases()
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#cluster.observer.violate('no-crash', text)
    }
    return this.#result()
  }

  async #phases(): Promise<void> {
    const { observer } = this.#cluster
    this.#look()
    this.#cluster.boot()
    await this.#until(bootMaxMs, () => this.#cluster.isWhole())
    if (!this.#cluster.isWhole()) return observer.violate('liveness', `no whole cluster ${bootMaxMs} ms after boot`)
    watchMemory(this.#world, this.#cluster)
    for (const workload of this.#workloads) workload.begin()
    const faultsMs = this.#options.faultsMs ?? 60_000
    this.#nemesis.begin(this.#world.nowMs + faultsMs)
    await this.#world.play(this.#world.nowMs + faultsMs)
    this.#nemesis.heal()
    const healedMs = this.#world.nowMs
    await this.#world.play(healedMs + answerWithinMs)
    const answered = await this.#probe()
    for (const workload of this.#workloads) workload.rest()
    await this.#world.play(this.#world.nowMs + settleMs)
    for (const problem of unequalCopies(this.#cluster)) observer.violate('equal-copies', problem)
    const isGathered = (this.#isInBudget || answered) && (await this.#gather())
    for (const workload of this.#workloads) {
      for (const { checker, message } of workload.check(isGathered)) observer.violate(checker, message)
    }
  }

  /** Whether every awake machine got an answer from every partition. */
  async #probe(): Promise<boolean> {
    const probe = probeLiveness(this.#cluster, this.#inside)
    await this.#until(answerWithinMs, () => probe.isOver)
    if (this.#isInBudget) for (const message of probe.problems()) this.#cluster.observer.violate('liveness', message)
    return probe.problems().length === 0
  }

  async #gather(): Promise<boolean> {
    const node = this.#cluster.machines.findIndex(machine => machine.isAwake)
    let isDone = false
    this.#inside.gather()
    const next = (at: number): void => {
      const workload = this.#workloads[at]
      if (workload === undefined) isDone = true
      else workload.gather(node, () => next(at + 1))
    }
    next(0)
    await this.#until(gatherMaxMs, () => isDone)
    const isWhole = isDone && !this.#inside.isVoid
    if (!isWhole && this.#isInBudget)
      this.#cluster.observer.violate('liveness', 'what is there could not be read in the end')
    return isWhole
  }

  /** Plays until `isOver`, looked at every 10 ms, or for `maxMs`. */
  async #until(maxMs: number, isOver: () => boolean): Promise<void> {
    const endMs = this.#world.nowMs + maxMs
    while (this.#world.nowMs < endMs && !isOver()) await this.#world.play(Math.min(endMs, this.#world.nowMs + 10))
  }

  /** The observer looks around every 20 ms. */
  #look(): void {
    const { observer } = this.#cluster
    observer.led(this.#cluster.leader()?.running?.member ?? '')
    for (const problem of doublyServed(this.#cluster)) observer.violate('one-owner', problem)
    this.#world.after(20, () => this.#look())
  }

  #context(random: Prng): WorkloadContext {
    return {
      world: this.#world,
      client: this.#inside,
      grids: this.#inside,
      random,
      lostPartitions: this.#cluster.observer.lostPartitions,
      spend: () => this.#operationCount < operationsMax,
      leaptMs: () => Math.max(...this.#cluster.machines.map(machine => machine.clock.leaptMs)),
      leaseTaken: () => this.#cluster.observer.count('lease-taken-over'),
      settled: (what: string, outcome: Settled) => {
        this.#operationCount++
        if (outcome.kind === 'done') this.#doneCount++
        this.#world.note('settled', what, outcome.kind)
      },
    }
  }

  #result(): RunResult {
    const { observer } = this.#cluster
    return {
      seed: this.#options.seed,
      hash: this.#world.trace.hash,
      violations: observer.violations,
      isInBudget: this.#isInBudget,
      virtualMs: this.#world.nowMs,
      eventCount: this.#world.eventCount,
      operationCount: this.#operationCount,
      doneCount: this.#doneCount,
      faultCount: this.#nemesis.faultCount,
      occasions: Object.fromEntries(occasions.map(name => [name, observer.counts.get(name) ?? 0])),
      events: Object.fromEntries(observer.events),
      lines: observer.violations.length > 0 ? this.#world.trace.lines() : [],
    }
  }
}

function drawCluster(draws: Prng, nodes: number | undefined): Omit<ClusterOptions, 'hasGrid'> {
  const nodeCount = nodes ?? draws.int(3, 7)
  const copies = draws.chance(0.75) ? 2 : 3
  return {
    nodeCount,
    settings: { partitionCount: draws.pick([7, 16, 31]) as number, copies, minCopies: draws.chance(0.15) ? 2 : 1 },
    zoneCount: draws.chance(0.2) ? 3 : 1,
    isFoundedTogether: draws.chance(0.5),
    fabric: draws.chance(0.15) ? { latencyMinMs: 2, latencyMaxMs: 15, jitterMs: 1 } : {},
    driftPpmMax: draws.pick([0, 50, 200]) as number,
    createState: () => new Structures(),
    shape: draws.chance(0.15) ? wireMessageShape : undefined,
    isFrozen: draws.chance(0.1),
  }
}

function drawKinds(draws: Prng, scenario: ScenarioName): readonly FaultKind[] {
  if (scenario in scenarioKinds) return scenarioKinds[scenario as keyof typeof scenarioKinds]
  const some = draws.shuffle(faultKinds).slice(0, draws.int(2, faultKinds.length))
  return some.includes('crash') || draws.chance(0.3) ? some : [...some, 'crash']
}
