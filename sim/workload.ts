/**
 * A workload: what clients do, what they saw, and whether that can be right. One file each in workloads/ (after
 * jepsen-io/maelstrom): generator, client and the binding to its checkers in one place, so that what is done and what
 * is checked are read together.
 */
import type { Prng } from '../lib/base/prng.ts'
import type { Client, Settled } from './client.ts'
import type { Grids } from './grids.ts'
import type { World } from './world.ts'

export interface Violation {
  /** Name of the checker, e.g. 'linearizability'. */
  readonly checker: string
  /** What was seen, e.g. 'key k3: read of "w17" after "w18" was written'. */
  readonly message: string
}

export interface WorkloadContext {
  readonly world: World
  readonly client: Client
  /** Empty-handed unless the run's machines have grids. */
  readonly grids: Grids
  readonly random: Prng
  /** Partitions whose copies were all lost, as far as the cluster said so (P8): what was in them is excused. */
  readonly lostPartitions: ReadonlySet<number>
  /** Counts an operation as begun; `false` once the budget of the run is spent. */
  spend(): boolean
  /** How far any machine's wall clock was put forth or back so far, all leaps of it together. */
  leaptMs(): number
  /** Somebody holds what another held under a lease before. */
  leaseTaken(): void
  /** Counts and folds an outcome into the run's hash. */
  settled(what: string, outcome: Settled): void
}

export interface Workload {
  readonly name: string
  /** Clients begin. They go on until `rest`. */
  begin(): void
  /** No new operations; those under way settle. */
  rest(): void
  /** After the heal and once everything settled: reads what is there now, from a machine that runs, then calls `done`. */
  gather(node: number, done: () => void): void
  /** What can't be. `isGathered` is false when nothing could be read at the end, so that nothing can be said to be missing. */
  check(isGathered: boolean): readonly Violation[]
}

export type WorkloadFactory = (context: WorkloadContext) => Workload

/** Clients per workload: one on each machine and some more, at most this many. */
const clientsMax = 10

/**
 * Runs client loops: `act(client, node, next)` does one thing and calls `next` when it is over. A client on a machine that
 * is down waits. Between two things a client thinks for a random time of mean `thinkMs`.
 */
export class Clients {
  readonly #context: WorkloadContext
  readonly #thinkMs: number
  readonly #act: (client: number, node: number, next: () => void) => void
  #isResting = false

  constructor(
    context: WorkloadContext,
    thinkMs: number,
    act: (client: number, node: number, next: () => void) => void,
  ) {
    this.#context = context
    this.#thinkMs = thinkMs
    this.#act = act
  }

  begin(clientCount: number): void {
    for (let client = 0; client < Math.min(clientCount, clientsMax); client++) this.#think(client)
  }

  rest(): void {
    this.#isResting = true
  }

  /** Nothing new may be begun any more, also not as the next step of something longer. */
  get isResting(): boolean {
    return this.#isResting
  }

  #think(client: number): void {
    const { world, random } = this.#context
    world.after(random.float() * 2 * this.#thinkMs, () => this.#next(client))
  }

  #next(client: number): void {
    if (this.#isResting) return
    const { client: cluster } = this.#context
    const node = client % cluster.nodeCount
    if (!cluster.isRunning(node) || !this.#context.spend()) return this.#think(client)
    this.#act(client, node, () => this.#think(client))
  }
}

/** Runs `each` over `items` one after the other, then `done`. */
export function inTurn<T>(items: readonly T[], each: (item: T, next: () => void) => void, done: () => void): void {
  let at = 0
  const next = (): void => {
    const item = items[at++]
    if (item === undefined) done()
    else each(item, next)
  }
  next()
}
