/**
 * One simulated machine: an address, two clocks, and at most one process on it, in which a real `Peer` runs. A process
 * that starts again is a fresh member and remembers nothing.
 */
import type { Emit } from '../lib/base/machine.ts'
import type { StateMachine } from '../lib/replication/state-machine.ts'
import type { ClusterState, Settings } from '../lib/consensus/cluster-state.ts'
import { MemberGrid } from '../lib/grid/grid.ts'
import { Budget } from '../lib/peer/budget.ts'
import { Peer } from '../lib/peer/peer.ts'
import { wireVersions, type WireMessage } from '../lib/peer/wire.ts'
import type { Shape } from '../lib/base/shape.ts'
import { SimClock } from './clock.ts'
import type { Fabric } from './fabric.ts'
import { SimNetwork } from './network.ts'
import { SimProcess } from './env.ts'
import { SimStorage } from './storage.ts'
import type { World } from './world.ts'

export interface MachineOptions {
  readonly name: string
  readonly driftPpm: number
  readonly zone: string | undefined
  readonly settings: Settings
  readonly createState: () => StateMachine
  /** Sends messages through their wire form. */
  readonly shape: Shape<WireMessage> | undefined
  readonly isFrozen: boolean
  /** Runs the grid's handles over each peer. */
  readonly hasGrid: boolean
}

export interface MachineListener {
  emitted(machine: Machine, event: Emit): void
  applied(machine: Machine, state: ClusterState): void
  opened(machine: Machine, partition: number, epoch: number): void
}

/** Pause between the end of an expelled member and the start of the next process. */
const restartPauseMs = 100
const memoryBytes = 256 * 1024 * 1024

export interface Running {
  readonly member: string
  readonly process: SimProcess
  readonly network: SimNetwork<WireMessage>
  readonly storage: SimStorage
  readonly peer: Peer
  /** Undefined unless the machine was made to have one. */
  readonly grid: MemberGrid | undefined
  readonly sinceMs: number
}

export class Machine {
  readonly name: string
  readonly address: string
  readonly clock: SimClock
  readonly #world: World
  readonly #fabric: Fabric<WireMessage>
  readonly #options: MachineOptions
  readonly #listener: MachineListener
  readonly #whenStarted = new Set<() => void>()
  #startCount = 0
  #running: Running | undefined
  /** Where it looks for others when it starts. */
  seeds: readonly string[] = []
  expect: number | undefined
  /** Called when the process dies, with what it had not settled yet. */
  readonly #obituaries = new Set<() => void>()

  constructor(world: World, fabric: Fabric<WireMessage>, options: MachineOptions, listener: MachineListener) {
    this.name = options.name
    this.address = `${options.name}:7400`
    this.#world = world
    this.#fabric = fabric
    this.#options = options
    this.#listener = listener
    this.clock = new SimClock(world, {
      driftPpm: options.driftPpm,
      monotonicStartMs: world.random.between(1_000, 1_000_000),
      wallOffsetMs: world.random.between(-50, 50),
    })
  }

  get running(): Running | undefined {
    return this.#running
  }

  /** Runs, and neither stopped nor suspended. */
  get isAwake(): boolean {
    return this.#running !== undefined && !this.#running.process.isStopped
  }

  start(): void {
    if (this.#running !== undefined) return
    const world = this.#world
    const member = `${this.name}~${++this.#startCount}`
    const process = new SimProcess(world, this.name, this.clock, (_, event) => this.#listener.emitted(this, event))
    const { zone, shape, isFrozen, settings, createState } = this.#options
    const record = { name: this.name, holdsData: true, memoryBytes, ...(zone !== undefined && { zone }) }
    const network = new SimNetwork<WireMessage>({
      fabric: this.#fabric,
      process,
      address: this.address,
      hello: () => ({
        ...record,
        member,
        cluster: peer.state.cluster,
        isKept: other => peer.state.members.has(other),
        versionMin: wireVersions.min,
        versionMax: wireVersions.max,
      }),
      isFrozen,
      ...(shape && { shape }),
    })
    const storage = new SimStorage(process)
    const grid = this.#options.hasGrid ? new MemberGrid({ env: process, name: this.name }) : undefined
    const peer: Peer = new Peer(
      {
        ...record,
        member,
        seeds: this.seeds,
        settings,
        createState: grid?.createState ?? createState,
        budget: grid?.budget ?? new Budget(memoryBytes, () => peer.bytes),
        ...(this.expect !== undefined && { expect: this.expect }),
      },
      process,
      network,
      storage,
      {
        ...grid?.listener,
        applied: state => {
          grid?.listener.applied(state)
          this.#listener.applied(this, state)
        },
        opened: (partition, epoch) => this.#listener.opened(this, partition, epoch),
        expelled: () => process.turn(() => this.#startOver(member)),
      },
    )
    grid?.attach(peer)
    this.#running = { member, process, network, storage, peer, grid, sinceMs: world.nowMs }
    world.note('start', member)
    world.settle()
    peer.start().catch((error: unknown) => {
      this.#listener.emitted(this, {
        kind: 'emit',
        level: 'error',
        event: 'sim.start-failed',
        fields: { message: String(error) },
      })
    })
    for (const started of this.#whenStarted) started()
  }

  /** Goes on purpose: hands everything over, is gone, and starts again as a fresh member. */
  leave(): void {
    this.#running?.process.enter(() => this.#running?.peer.leave())
  }

  /** `started` is called for the process that runs now, and at the start of each one after it. */
  whenStarted(started: () => void): void {
    this.#whenStarted.add(started)
    if (this.#running !== undefined) started()
  }

  /** SIGKILL: the process is gone between two of its events; its connections close. */
  crash(): void {
    const running = this.#running
    if (running === undefined) return
    this.#world.note('crash', running.member)
    this.#running = undefined
    running.process.kill()
    running.network.leave(true)
    const obituaries = [...this.#obituaries]
    this.#obituaries.clear()
    for (const obituary of obituaries) obituary()
  }

  /** Calls `obituary` if this process dies before the returned function is called. */
  watch(obituary: () => void): () => void {
    this.#obituaries.add(obituary)
    return () => this.#obituaries.delete(obituary)
  }

  #startOver(member: string): void {
    if (this.#running?.member !== member) return
    this.crash()
    this.#world.after(restartPauseMs, () => this.start())
  }
}
