/**
 * One running member as those who embed it see it: starts and ends, calls into the grid's commands, and what it agrees
 * on. The machines and their wiring are in driver.ts. A Peer lives for one member id; lifecycle above starts the next.
 */
import type { Env } from '../base/env.ts'
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import { recoveredId } from '../base/lineage.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { planRecovery, recoveryProblem, type RecoveryPlan } from '../consensus/recovery.ts'
import type { Definition } from '../placement/placement.ts'
import type { Safety } from '../placement/safety.ts'
import type { Settled } from '../replication/caller.ts'
import type { Operation, Query } from '../replication/command.ts'
import type { Network } from '../transport/network.ts'
import { Driver, type DriverEvents } from './driver.ts'
import type { Hint } from './hint.ts'
import type { CallOptions, PeerListener, PeerOptions } from './peer-options.ts'
import type { Storage } from './storage.ts'
import type { WireMessage } from './wire.ts'

/** Whoever lost its lease less long ago may only be between two leaders. */
const sinceLeaseMs = 1_000

export class Peer {
  readonly member: MemberId
  readonly driver: Driver
  readonly #options: PeerOptions
  readonly #env: Env
  readonly #network: Network<WireMessage>
  readonly #listener: PeerListener
  readonly #settled = new Map<number, (outcome: Settled) => void>()
  #nextCallId = 1
  #safety: Safety = { level: -1, reason: 'not in a cluster yet' }
  #session: SessionId | undefined

  constructor(
    options: PeerOptions,
    env: Env,
    network: Network<WireMessage>,
    storage: Storage,
    listener: PeerListener = {},
  ) {
    this.member = options.member
    this.#options = options
    this.#env = env
    this.#network = network
    this.#listener = listener
    this.driver = new Driver(options, env, network, storage, this.#events(), () => listener.turned?.())
  }

  /** Opens the network and starts to look for others. Rejects if the network cannot listen. */
  async start(): Promise<void> {
    await this.#network.start(this.driver.listener())
    this.driver.started()
    for (const seed of this.#options.seeds) this.#network.connect({ addresses: [seed] })
  }

  /** Ends at once, as a crash would but that links close: callers hear that their calls may have happened. */
  async stop(): Promise<void> {
    if (!this.driver.turns.isRunning) return
    this.driver.turns.stop()
    for (const settle of this.#settled.values()) settle({ kind: 'indeterminate', message: 'this member stopped' })
    this.#settled.clear()
    await this.#network.stop()
  }

  /** Asks the linked members how far they are: a moment before `recovery`. */
  survey(): void {
    this.driver.force({ kind: 'survey', members: this.#network.links })
  }

  /** What `recover` would do now, or why it must not be done. */
  recovery(): RecoveryPlan | string {
    const linked = [this.member, ...this.#network.links].filter(member => this.state.members.has(member))
    const problem = recoveryProblem({
      self: this.member,
      state: this.state,
      voters: this.voters,
      leader: this.leader,
      isLeased: this.leaseUntilMs > this.#env.now().monotonicMs - sinceLeaseMs,
      linked,
      survey: this.driver.consensus.survey,
    })
    return problem ?? planRecovery(this.state, linked)
  }

  /** Goes on with those kept alone: all others are gone for good, says a person. */
  recover({ kept }: RecoveryPlan): void {
    const cluster = recoveredId(this.state.cluster, this.#env.random.uint32().toString(36))
    this.driver.force({ kind: 'recover', cluster, kept: kept.map(({ member }) => member) })
  }

  /** Asks for everything to be taken over by others; `expelled` tells when that is done. */
  leave(): void {
    this.driver.leave()
  }

  /** Tells the others that this member is gone on purpose. */
  farewell(): void {
    this.driver.farewell()
  }

  /** The agreed state as this member knows it. */
  get state(): ClusterState {
    return this.driver.state
  }

  get safety(): Safety {
    return this.#safety
  }

  /** Undefined while this member has none: commands wait for one. */
  get session(): SessionId | undefined {
    return this.#session
  }

  /** The consensus leader, as far as this member knows. */
  get leader(): MemberId | undefined {
    return this.driver.consensus.leader
  }

  get voters(): readonly MemberId[] {
    return this.driver.consensus.config.voters
  }

  /** What this member owns it serves until then, monotonic; the past: no quorum, as far as it can see. */
  get leaseUntilMs(): number {
    return this.driver.placement.leaseUntilMs
  }

  get leaseEndMs(): number {
    return this.driver.placement.leaseEndMs
  }

  /** Memory held by data, logs and transfers. */
  get bytes(): number {
    return this.driver.replication.bytes
  }

  get addresses(): readonly string[] {
    return this.#network.self.addresses
  }

  /** Transport identity, valid once started. */
  get peerId(): string {
    return this.#network.self.peer
  }

  /** One atomic command of one partition. `settle` is called once, never from inside this call. Returns an id for `cancel`. */
  call(options: CallOptions, operations: readonly Operation[], settle: (outcome: Settled) => void): number {
    return this.#expect(settle, id => this.driver.call({ kind: 'call', id, operations, ...options }))
  }

  /** A linearizable read: the outcome's only result. */
  ask(options: CallOptions, query: Query, settle: (outcome: Settled) => void): number {
    return this.#expect(settle, id => this.driver.call({ kind: 'ask', id, query, ...options }))
  }

  /** Operations in several partitions: all or none. */
  transact(
    parts: readonly { readonly partition: PartitionId; readonly operations: readonly Operation[] }[],
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): number {
    return this.#expect(settle, id => this.driver.call({ kind: 'transact', id, parts, deadlineMs }))
  }

  /** Gives a call up; it settles as what is known of it. */
  cancel(id: number): void {
    if (this.#settled.has(id)) this.driver.call({ kind: 'cancel', id })
  }

  /** Agrees on a named definition or on settings. Nothing answers: watch `applied`, and repeat until it shows. */
  define(command: Definition): void {
    this.driver.define(command)
  }

  /** A hint may be lost. */
  tell(member: MemberId, hint: Hint): void {
    if (this.driver.turns.isRunning) this.#network.send(member, 'control', { kind: 'hint', hint })
  }

  #expect(settle: (outcome: Settled) => void, send: (id: number) => void): number {
    const id = this.#nextCallId++
    if (this.driver.turns.isRunning) {
      this.#settled.set(id, settle)
      send(id)
    } else {
      this.#env.turn(() => settle({ kind: 'unavailable', message: 'this member is not running' }))
    }
    return id
  }

  #events(): DriverEvents {
    return {
      applied: state => this.#listener.applied?.(state),
      safety: safety => {
        this.#safety = safety
        this.#listener.safety?.(safety)
      },
      session: (session, untilMonotonicMs) => {
        this.#session = session
        this.#listener.session?.(session, untilMonotonicMs)
      },
      expelled: () => this.#listener.expelled?.(),
      hinted: (from, hint) => this.#listener.hinted?.(from, hint),
      opened: (partition, epoch) => this.#listener.opened?.(partition, epoch),
      settled: (id, outcome) => {
        const settle = this.#settled.get(id)
        this.#settled.delete(id)
        settle?.(outcome)
      },
    }
  }
}
