/** A whole simulated cluster: machines, wires, observer. What clients do in it goes through inside.ts. */
import type { Shape } from '../lib/base/shape.ts'
import type { ClusterState, Settings } from '../lib/consensus/cluster-state.ts'
import type { WireMessage } from '../lib/peer/wire.ts'
import type { StateMachine } from '../lib/replication/state-machine.ts'
import { Fabric, type FabricOptions } from './fabric.ts'
import { Machine } from './machine.ts'
import { Observer } from './observer.ts'
import type { World } from './world.ts'

export interface ClusterOptions {
  readonly nodeCount: number
  readonly settings: Settings
  /** How many zones the machines are spread over; 1 gives them none. */
  readonly zoneCount: number
  /** Found by the promise of all, instead of by the first machine alone. */
  readonly isFoundedTogether: boolean
  readonly fabric: FabricOptions
  /** Bound of the drift of each machine's clock. */
  readonly driftPpmMax: number
  readonly createState: () => StateMachine
  readonly shape: Shape<WireMessage> | undefined
  readonly isFrozen: boolean
  readonly hasGrid: boolean
}

export class Cluster {
  readonly machines: readonly Machine[]
  readonly fabric: Fabric<WireMessage>
  readonly observer: Observer
  readonly #world: World
  readonly #options: ClusterOptions

  constructor(world: World, options: ClusterOptions) {
    this.#world = world
    this.#options = options
    this.fabric = new Fabric(world, options.fabric)
    this.observer = new Observer(world)
    const { observer } = this
    this.fabric.watch = body => observer.delivered(body)
    const drifts = world.random.fork('drift')
    this.machines = Array.from(
      { length: options.nodeCount },
      (_, i) =>
        new Machine(
          world,
          this.fabric,
          {
            name: `goose-${i + 1}`,
            driftPpm: drifts.between(-options.driftPpmMax, options.driftPpmMax),
            zone: options.zoneCount > 1 ? `zone-${i % options.zoneCount}` : undefined,
            settings: options.settings,
            createState: options.createState,
            shape: options.shape,
            isFrozen: options.isFrozen,
            hasGrid: options.hasGrid,
          },
          {
            emitted: (machine, event) => observer.emitted(machine, event),
            applied: (_machine, state) => observer.applied(state),
            opened: (machine, partition, epoch) => observer.opened(machine, partition, epoch),
          },
        ),
    )
  }

  get nodeCount(): number {
    return this.machines.length
  }

  get partitionCount(): number {
    return this.#options.settings.partitionCount
  }

  get settings(): Settings {
    return this.#options.settings
  }

  /** Starts all machines. */
  boot(): void {
    const addresses = this.machines.map(machine => machine.address)
    this.machines.forEach((machine, i) => {
      if (this.#options.isFoundedTogether) {
        machine.seeds = addresses
        machine.expect = addresses.length
      } else if (i > 0) {
        machine.seeds = addresses.filter(address => address !== machine.address)
      }
      this.#world.after(this.#world.random.float() * 500, () => {
        machine.start()
        // Whoever starts again joins what is there.
        machine.seeds = addresses.filter(address => address !== machine.address)
        machine.expect = undefined
      })
    })
  }

  /** The peer that most of the awake members take for their leader, if it takes itself for one. */
  leader(): Machine | undefined {
    return newestOf(this.machines.filter(machine => machine.isAwake))
  }

  /** The leader of the highest term, though it may sleep. */
  newestLeader(): Machine | undefined {
    return newestOf(this.machines)
  }

  /** Who knows the newest committed state, though it may sleep; a leader that was superseded while it slept does not. */
  bestInformed(): Machine | undefined {
    const leader = this.newestLeader()
    return this.machines.reduce(
      (best, machine) => (commitIndexOf(machine) > commitIndexOf(best) ? machine : best),
      leader,
    )
  }

  /** All live members of the newest state are there, and each partition has all the copies it can have. */
  isWhole(): boolean {
    const state = this.leader()?.running?.peer.state
    if (state === undefined || state.cluster === '') return false
    const running = this.machines.flatMap(machine => machine.running?.member ?? [])
    if (running.some(member => state.members.get(member)?.state !== 'live')) return false
    if (state.members.size !== running.length) return false
    const copiesWanted = Math.min(state.settings.copies, running.length)
    return state.partitions.every(entry => entry.owner !== undefined && entry.backups.length + 1 >= copiesWanted)
  }

  /** The newest agreed state. */
  get state(): ClusterState | undefined {
    return this.leader()?.running?.peer.state ?? this.observer.state
  }

  machineOf(member: string): Machine | undefined {
    return this.machines.find(machine => machine.running?.member === member)
  }
}

function newestOf(machines: readonly Machine[]): Machine | undefined {
  const leaders = machines.filter(machine => machine.running?.peer.driver.consensus.role === 'leader')
  return leaders.sort((a, b) => termOf(b) - termOf(a))[0]
}

function commitIndexOf(machine: Machine | undefined): number {
  return machine?.running?.peer.driver.consensus.commitIndex ?? -1
}

function termOf(machine: Machine): number {
  return machine.running?.peer.driver.consensus.term ?? 0
}
