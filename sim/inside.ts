/**
 * Clients inside the processes of a cluster, as applications are: calls and code that die with the process they run in.
 * Also held against P9 here: a call is settled once, and soon after its deadline.
 *
 * While a run gathers what is there in the end, a read that is not answered is asked again, and one that never is makes
 * the whole gathering void instead of looking like lost things.
 */
import type { MemberGrid } from '../lib/grid/grid.ts'
import type { Peer } from '../lib/peer/peer.ts'
import type { StructureOperation, StructureQuery } from '../lib/structures/operations.ts'
import type { Client, Part, Settled } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { Grids, Ran } from './grids.ts'
import type { World } from './world.ts'

/** What a call may take over its deadline while its machine is awake: the lag of a turn and the reply's way. */
const lateMaxMs = 1_000

/** How often a read is asked while gathering, and the pause between. */
const attemptsMax = 10
const pauseMs = 200

export class Inside implements Client, Grids {
  readonly #world: World
  readonly #cluster: Cluster
  #isGathering = false
  #isVoid = false

  constructor(world: World, cluster: Cluster) {
    this.#world = world
    this.#cluster = cluster
  }

  get nodeCount(): number {
    return this.#cluster.nodeCount
  }

  get partitionCount(): number {
    return this.#cluster.partitionCount
  }

  /** From now on every read matters. */
  gather(): void {
    this.#isGathering = true
  }

  /** Some read was never answered: what was gathered is not all there is. */
  get isVoid(): boolean {
    return this.#isVoid
  }

  isRunning(node: number): boolean {
    return this.#cluster.machines[node]?.running !== undefined
  }

  call(
    node: number,
    partition: number,
    operations: readonly StructureOperation[],
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    this.#enter(node, deadlineMs, settle, (peer, atMs, done) =>
      peer.call({ partition, deadlineMs: atMs }, operations, done),
    )
  }

  ask(
    node: number,
    partition: number,
    query: StructureQuery,
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    const attempt = (count: number): void => {
      const judge = (outcome: Settled): void => {
        if (outcome.kind === 'done' || !this.#isGathering) return settle(outcome)
        if (count < attemptsMax) return void this.#world.after(pauseMs, () => attempt(count + 1))
        this.#isVoid = true
        settle(outcome)
      }
      this.#enter(node, deadlineMs, judge, (peer, atMs, done) => peer.ask({ partition, deadlineMs: atMs }, query, done))
    }
    attempt(1)
  }

  transact(node: number, parts: readonly Part[], deadlineMs: number, settle: (outcome: Settled) => void): void {
    this.#enter(node, deadlineMs, settle, (peer, atMs, done) => peer.transact(parts, atMs, done))
  }

  run<T>(node: number, work: (grid: MemberGrid) => Promise<T>, settle: (ran: Ran<T>) => void): void {
    const machine = this.#cluster.machines[node]
    const grid = machine?.running?.grid
    if (machine === undefined || grid === undefined) return void this.#world.after(0, () => settle({ kind: 'died' }))
    let isOpen = true
    const done = (ran: Ran<T>): void => {
      if (!isOpen) return
      isOpen = false
      unwatch()
      // A continuation belongs to no event of the world: what follows from it does.
      this.#world.after(0, () => settle(ran))
    }
    const unwatch = machine.watch(() => done({ kind: 'died' }))
    machine.running?.process.enter(() => {
      work(grid).then(
        value => done({ kind: 'done', value }),
        (error: unknown) => done({ kind: 'failed', error }),
      )
    })
  }

  whenStarted(started: (node: number, grid: MemberGrid) => void): void {
    this.#cluster.machines.forEach((machine, node) =>
      machine.whenStarted(() => {
        const grid = machine.running?.grid
        if (grid !== undefined) started(node, grid)
      }),
    )
  }

  #enter(
    node: number,
    deadlineMs: number,
    settle: (outcome: Settled) => void,
    ask: (peer: Peer, atMs: number, done: (outcome: Settled) => void) => void,
  ): void {
    const machine = this.#cluster.machines[node]
    const running = machine?.running
    if (machine === undefined || running === undefined) {
      this.#world.after(0, () => settle({ kind: 'unavailable', message: 'nothing runs there' }))
      return
    }
    let isOpen = true
    const done = (outcome: Settled): void => {
      if (!isOpen) return this.#cluster.observer.violate('settled-once', `${machine.name} settled a call twice`)
      isOpen = false
      unwatch()
      cancel()
      settle(outcome)
    }
    const unwatch = machine.watch(() => done({ kind: 'indeterminate', message: 'the process died' }))
    const { process, peer } = running
    let cancel = (): void => {}
    process.enter(() => {
      const atMs = process.now().monotonicMs + deadlineMs
      const judge = (): void => {
        if (isOpen)
          this.#cluster.observer.violate(
            'deadline',
            `a call on ${machine.name} is still open ${lateMaxMs} ms after its deadline`,
          )
      }
      // A process that slept has the rest of the turn in which it woke.
      cancel = process.at(atMs + lateMaxMs, () => process.turn(judge))
      ask(peer, atMs, done)
    })
  }
}
