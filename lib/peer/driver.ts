/**
 * One running member: carries inputs to the machines and their effects to the ports, and nothing else. The wiring of
 * the layers is the list of `#perform...` methods below, from the lowest layer up; every arrow between two layers is
 * one line there. Real peers and the simulator run this class.
 *
 * A turn: inputs fold as they come, each with all that follows from it; at the end of the turn every machine whose
 * deadline is due is stepped with a tick (machines batch their sends until then), and one timer is armed for the next.
 */
import type { Env } from '../base/env.ts'
import type { Instant } from '../base/instant.ts'
import type { ClusterId, MemberId, PartitionId, SessionId } from '../base/ids.ts'
import type { Emit, Lane, Machine } from '../base/machine.ts'
import type { ClusterCommand, ClusterState, MemberEntry, Settings } from '../consensus/cluster-state.ts'
import { Consensus, type ConsensusEffect, type ConsensusInput } from '../consensus/consensus.ts'
import { planVoters } from '../consensus/voters.ts'
import { Founding, type FoundingEffect, type FoundingInput } from '../membership/founding.ts'
import { Membership, type MembershipEffect, type MembershipInput } from '../membership/membership.ts'
import type { MemberRecord } from '../membership/messages.ts'
import {
  Placement,
  placementDefaults,
  type Definition,
  type PlacementEffect,
  type PlacementInput,
  type PlacementOptions,
} from '../placement/placement.ts'
import type { Safety } from '../placement/safety.ts'
import { Caller, type CallerEffect, type CallerInput, type Settled } from '../replication/caller.ts'
import type { Operation, Query } from '../replication/command.ts'
import { Replication, type ReplicationEffect, type ReplicationInput } from '../replication/replication.ts'
import type { StateMachine } from '../replication/state-machine.ts'
import type { LinkDown, LinkHello, Network, NetworkListener } from '../transport/network.ts'
import type { Storage } from './storage.ts'
import { wireVersions, type WireMessage } from './wire.ts'

export interface PeerOptions {
  readonly member: MemberId
  /** e.g. 'goose-1' */
  readonly name: string
  readonly zone?: string
  readonly holdsData: boolean
  readonly memoryBytes: number
  /** Addresses to find others at; empty: found alone at once. */
  readonly seeds: readonly string[]
  /** Found only with the promise of this many processes; undefined with seeds: never found, only join. */
  readonly expect?: number
  /** Used by the founder alone. */
  readonly settings: Settings
  readonly placement?: PlacementOptions
  readonly createState: (partition: PartitionId) => StateMachine
  readonly budget: { isFull(): boolean }
}

/** What an embedding layer may want to hear of. All are called at most once per turn and never from inside a call. */
export interface PeerListener {
  /** The agreed state changed. */
  applied?(state: ClusterState): void
  safety?(safety: Safety): void
  /** The session changed or ended: undefined means that everything it held may be gone, so work under its leases must stop. */
  session?(session: SessionId | undefined, untilMonotonicMs: number): void
  /** This member is no longer one: start over under a fresh id, unless it was leaving. */
  expelled?(): void
  /** This member owns and serves the partition from now on. */
  opened?(partition: PartitionId, epoch: number): void
  /** End of a turn in which something happened. */
  turned?(): void
}

export interface CallOptions {
  readonly partition: PartitionId
  /** On `env.now().monotonicMs`. */
  readonly deadlineMs: number
}

/** Ticks of one turn before the loop yields: a machine that is always due must not starve the rest. */
const tickRoundsMax = 4

interface Driven {
  readonly machine: Machine<never, unknown>
  readonly tick: () => void
}

export class Peer {
  readonly member: MemberId
  readonly membership: Membership
  readonly founding: Founding
  readonly consensus: Consensus
  readonly placement: Placement
  readonly replication: Replication
  readonly caller: Caller
  readonly #options: PeerOptions
  readonly #env: Env
  readonly #network: Network<WireMessage>
  readonly #storage: Storage
  readonly #listener: PeerListener
  readonly #driven: readonly Driven[]
  readonly #queue: (() => void)[] = []
  #isDraining = false
  #isTurnDue = false
  #cancelTimer: (() => void) | undefined
  #timerAtMs = Infinity
  #isRunning = false
  #state: ClusterState
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
    const { member } = options
    this.member = member
    this.#options = options
    this.#env = env
    this.#network = network
    this.#storage = storage
    this.#listener = listener
    const seed = (): number => env.random.uint32()
    this.membership = new Membership({ self: this.#record(''), seed: seed() })
    this.founding = new Founding({
      self: this.#record(''),
      seed: seed(),
      seedCount: options.seeds.length,
      expect: options.expect,
    })
    this.consensus = new Consensus({ member, seed: seed() })
    this.placement = new Placement({
      member,
      options: options.placement ?? placementDefaults,
      view: {
        voters: () => this.consensus.config.voters,
        planVoters: (nowMs, state) =>
          planVoters({
            state,
            config: this.consensus.config,
            lastHeardMs: other => this.consensus.lastHeardMs(other),
            nowMs,
          })?.voters,
      },
    })
    this.replication = new Replication({
      member,
      seed: seed(),
      createState: options.createState,
      budget: options.budget,
    })
    this.caller = new Caller({ member, seed: seed() })
    this.#state = this.consensus.state
    this.#driven = [
      { machine: this.membership, tick: () => this.#membership({ kind: 'tick' }) },
      { machine: this.founding, tick: () => this.#founding({ kind: 'tick' }) },
      { machine: this.consensus, tick: () => this.#consensus({ kind: 'tick' }) },
      { machine: this.placement, tick: () => this.#placement({ kind: 'tick' }) },
      { machine: this.replication, tick: () => this.#replication({ kind: 'tick' }) },
      { machine: this.caller, tick: () => this.#caller({ kind: 'tick' }) },
    ]
  }

  /** Opens the network and starts to look for others. Rejects if the network cannot listen. */
  async start(): Promise<void> {
    await this.#network.start(this.#networkListener())
    this.#isRunning = true
    const { addresses, peer } = this.#network.self
    this.#input(() => {
      this.#membership({ kind: 'started', self: { ...this.#record(peer), addresses } })
      this.#founding({ kind: 'started', self: { ...this.#record(peer), addresses } })
    })
    for (const seed of this.#options.seeds) this.#network.connect({ addresses: [seed] })
  }

  /** Ends at once, as a crash would but that links close: callers hear that their calls may have happened. */
  async stop(): Promise<void> {
    if (!this.#isRunning) return
    this.#isRunning = false
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#queue.length = 0
    for (const settle of this.#settled.values()) settle({ kind: 'indeterminate', message: 'this member stopped' })
    this.#settled.clear()
    await this.#network.stop()
  }

  /** Asks for everything to be taken over by others; `expelled` tells when that is done. */
  leave(): void {
    this.#input(() => this.#placement({ kind: 'leave' }))
  }

  /** Tells the others that this member is gone on purpose. */
  farewell(): void {
    this.#input(() => this.#membership({ kind: 'leave' }))
  }

  /** The agreed state as this member knows it. */
  get state(): ClusterState {
    return this.#state
  }

  get safety(): Safety {
    return this.#safety
  }

  get session(): SessionId | undefined {
    return this.#session
  }

  get addresses(): readonly string[] {
    return this.#network.self.addresses
  }

  get peerId(): string {
    return this.#network.self.peer
  }

  /** One atomic command of one partition. `settle` is called once, never from inside this call. Returns an id for `cancel`. */
  call(options: CallOptions, operations: readonly Operation[], settle: (outcome: Settled) => void): number {
    const id = this.#expectSettled(settle)
    this.#input(() =>
      this.#caller({ kind: 'call', id, partition: options.partition, operations, deadlineMs: options.deadlineMs }),
    )
    return id
  }

  /** A linearizable read. */
  ask(options: CallOptions, query: Query, settle: (outcome: Settled) => void): number {
    const id = this.#expectSettled(settle)
    this.#input(() =>
      this.#caller({ kind: 'ask', id, partition: options.partition, query, deadlineMs: options.deadlineMs }),
    )
    return id
  }

  /** Operations in several partitions: all or none. */
  transact(
    parts: readonly { readonly partition: PartitionId; readonly operations: readonly Operation[] }[],
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): number {
    const id = this.#expectSettled(settle)
    this.#input(() => this.#caller({ kind: 'transact', id, parts, deadlineMs }))
    return id
  }

  /** Gives a call up; it settles as what is known of it. */
  cancel(id: number): void {
    if (this.#settled.has(id)) this.#input(() => this.#caller({ kind: 'cancel', id }))
  }

  /** Agrees on a named definition. Settles by the applied state, so watch `applied`. */
  define(command: Definition): void {
    this.#input(() => this.#placement({ kind: 'define', command }))
  }

  // --- turns ---

  /** Folds an input from outside with all that follows from it, and sees to it that the turn ends with ticks. */
  #input(fold: () => void): void {
    if (!this.#isRunning) return
    this.#queue.push(fold)
    this.#drain()
    this.#scheduleTurn()
  }

  #drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    try {
      for (let i = 0; i < this.#queue.length; i++) this.#queue[i]?.()
    } finally {
      this.#queue.length = 0
      this.#isDraining = false
    }
  }

  #scheduleTurn(): void {
    if (this.#isTurnDue) return
    this.#isTurnDue = true
    this.#env.turn(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#isTurnDue = false
    if (!this.#isRunning) return
    let isDue = true
    for (let round = 0; isDue && round < tickRoundsMax; round++) {
      isDue = false
      const nowMs = this.#env.now().monotonicMs
      for (const { machine, tick } of this.#driven) {
        const deadlineMs = machine.deadline()
        if (deadlineMs === undefined || deadlineMs > nowMs) continue
        isDue = true
        this.#queue.push(tick)
        this.#drain()
      }
    }
    if (isDue) this.#scheduleTurn()
    else this.#arm()
    this.#listener.turned?.()
  }

  #arm(): void {
    let atMs = Infinity
    for (const { machine } of this.#driven) atMs = Math.min(atMs, machine.deadline() ?? Infinity)
    if (atMs === this.#timerAtMs && this.#cancelTimer !== undefined) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#timerAtMs = atMs
    if (atMs === Infinity) return
    this.#cancelTimer = this.#env.at(atMs, () => {
      this.#cancelTimer = undefined
      this.#endTurn()
    })
  }

  // --- network -> machines ---

  #networkListener(): NetworkListener<WireMessage> {
    return {
      message: (from, _lane, body) => this.#input(() => this.#received(from, body)),
      linkUp: hello => this.#input(() => this.#linkUp(hello)),
      linkDown: (member, down) => this.#input(() => this.#linkDown(member, down)),
      laneReset: (member, lane) => this.#input(() => this.#laneReset(member, lane)),
      heard: member => this.#input(() => this.#membership({ kind: 'heard', member })),
      refused: ({ code, reason }) =>
        this.#env.emit({ kind: 'emit', level: 'warn', event: 'network.refused', fields: { code, reason } }),
    }
  }

  #received(from: MemberId, body: WireMessage): void {
    switch (body.kind) {
      case 'membership':
        return this.#membership({ kind: 'received', from, message: body.message })
      case 'founding':
        return this.#founding({ kind: 'received', from, message: body.message })
      case 'consensus':
        return this.#consensus({ kind: 'received', from, message: body.message })
      case 'placement':
        return this.#placement({ kind: 'received', from, message: body.message })
      case 'replication':
        if (body.message.kind === 'reply') return this.#caller({ kind: 'received', from, message: body.message })
        return this.#replication({ kind: 'received', from, message: body.message })
    }
  }

  #linkUp(hello: LinkHello): void {
    const record: MemberRecord = recordOf(hello)
    this.#membership({ kind: 'linkUp', record })
    this.#founding({ kind: 'linkUp', record, cluster: hello.cluster })
    this.#consensus({ kind: 'linkUp', member: hello.member })
    this.#replication({ kind: 'linkUp', member: hello.member })
  }

  #linkDown(member: MemberId, { refused }: LinkDown): void {
    this.#membership({ kind: 'linkDown', member, refused })
    this.#founding({ kind: 'linkDown', member })
    this.#consensus({ kind: 'linkDown', member })
    this.#replication({ kind: 'linkDown', member })
    this.#caller({ kind: 'linkDown', member })
  }

  /** What was under way on the lane may be lost: resume from the last acknowledgement. */
  #laneReset(member: MemberId, lane: Lane): void {
    if (lane === 'control') return
    this.#replication({ kind: 'linkUp', member })
    this.#caller({ kind: 'linkDown', member })
  }

  // --- machines -> ports and the layers above ---

  #membership(input: MembershipInput): void {
    for (const effect of this.membership.step(this.#now(), input)) this.#performMembership(effect)
  }

  #performMembership(effect: MembershipEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'membership', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'changed': {
        const { member, addresses } = effect.record
        const status = effect.status === 'left' ? 'gone' : effect.status
        if (status === 'gone') this.#network.forget({ member, addresses })
        else if (status === 'alive') this.#network.connect({ member, addresses })
        this.#queue.push(() => this.#placement({ kind: 'member', member, status }))
        return
      }
    }
  }

  #founding(input: FoundingInput): void {
    for (const effect of this.founding.step(this.#now(), input)) this.#performFounding(effect)
  }

  #performFounding(effect: FoundingEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'founding', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'found':
        this.#queue.push(() => this.#consensus({ kind: 'found', command: this.#foundCommand() }))
        return
      case 'joinVia': {
        const via = effect.member
        this.#queue.push(() => this.#placement({ kind: 'join', entry: this.#entry(), via }))
        return
      }
    }
  }

  #consensus(input: ConsensusInput): void {
    for (const effect of this.consensus.step(this.#now(), input)) this.#performConsensus(effect)
  }

  #performConsensus(effect: ConsensusEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'consensus', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'persist':
        return this.#storage.persist(
          'consensus',
          effect.record,
          this.#persisted(() => this.#consensus({ kind: 'persisted', token: effect.token })),
        )
      case 'role': {
        const { role, leader, term, oldLeaseAgeMs } = effect
        this.#queue.push(() =>
          this.#placement({ kind: 'role', isLeader: role === 'leader', leader, term, oldLeaseAgeMs }),
        )
        return
      }
      case 'applied': {
        const { state, index } = effect
        this.#queue.push(() => this.#applied(state, index))
        return
      }
      case 'confirmed': {
        const { id, ok } = effect
        this.#queue.push(() => this.#placement({ kind: 'confirmed', id, isConfirmed: ok }))
        return
      }
      case 'proposed': {
        const { id, result } = effect
        this.#queue.push(() => this.#placement({ kind: 'proposed', id, isCommitted: result === 'committed' }))
        return
      }
    }
  }

  #applied(state: ClusterState, index: number): void {
    const before = this.#state
    this.#state = state
    if (state.cluster !== before.cluster) {
      this.#network.announce()
      this.#founding({ kind: 'joined', cluster: state.cluster })
    }
    for (const member of before.members.keys())
      if (!state.members.has(member)) this.#membership({ kind: 'forget', member })
    this.#placement({ kind: 'applied', state, index })
    this.#replication({ kind: 'table', state })
    this.#caller({ kind: 'table', state })
    this.#listener.applied?.(state)
  }

  #placement(input: PlacementInput): void {
    for (const effect of this.placement.step(this.#now(), input)) this.#performPlacement(effect)
  }

  #performPlacement(effect: PlacementEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'placement', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'propose':
        this.#queue.push(() => this.#propose(effect))
        return
      case 'confirm':
        this.#queue.push(() => this.#consensus({ kind: 'confirm', id: effect.id }))
        return
      case 'resign':
        this.#queue.push(() => this.#consensus({ kind: 'resign' }))
        return
      case 'lease':
        this.#queue.push(() => this.#replication({ kind: 'lease', untilMonotonicMs: effect.untilMonotonicMs }))
        return
      case 'session': {
        const { session, untilMonotonicMs } = effect
        this.#session = session
        this.#queue.push(() => this.#caller({ kind: 'session', session, untilMonotonicMs }))
        this.#listener.session?.(session, untilMonotonicMs)
        return
      }
      case 'safety':
        this.#safety = effect.safety
        this.#listener.safety?.(effect.safety)
        return
      case 'expelled':
        this.#listener.expelled?.()
        return
    }
  }

  #propose({ id, command, voters, members }: Extract<PlacementEffect, { kind: 'propose' }>): void {
    const { config } = this.consensus
    const nextVoters = voters ?? config.voters
    const learners = members.filter(member => !nextVoters.includes(member))
    const isSame =
      voters === undefined &&
      learners.length === config.learners.length &&
      learners.every(member => config.learners.includes(member))
    this.#consensus({
      kind: 'propose',
      id,
      ...(command && { command }),
      ...(!isSame && { config: { voters: nextVoters, learners } }),
    })
  }

  #replication(input: ReplicationInput): void {
    for (const effect of this.replication.step(this.#now(), input)) this.#performReplication(effect)
  }

  #performReplication(effect: ReplicationEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'replication', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'persist':
        return this.#storage.persist(
          'replication',
          effect.record,
          this.#persisted(() => this.#replication({ kind: 'persisted', token: effect.token })),
        )
      case 'ask':
        this.#queue.push(() => this.#placement({ kind: 'ask', request: effect.request }))
        return
      case 'opened':
        this.#listener.opened?.(effect.partition, effect.epoch)
        return
    }
  }

  #caller(input: CallerInput): void {
    for (const effect of this.caller.step(this.#now(), input)) this.#performCaller(effect)
  }

  #performCaller(effect: CallerEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'replication', message: effect.message })
      case 'emit':
        return this.#emit(effect)
      case 'settled': {
        const settle = this.#settled.get(effect.id)
        this.#settled.delete(effect.id)
        settle?.(effect.outcome)
        return
      }
    }
  }

  // --- the ports ---

  #now(): Instant {
    return this.#env.now()
  }

  /** To oneself without encoding: a caller and an owner are often the same member. */
  #send(to: MemberId, lane: Lane, body: WireMessage): void {
    if (to === this.member) this.#queue.push(() => this.#received(to, body))
    else this.#network.send(to, lane, body)
  }

  #persisted(fold: () => void): () => void {
    return () => {
      if (this.#isDraining) this.#queue.push(fold)
      else this.#input(fold)
    }
  }

  #emit(event: Emit): void {
    this.#env.emit(event)
  }

  #expectSettled(settle: (outcome: Settled) => void): number {
    const id = this.#nextCallId++
    this.#settled.set(id, settle)
    return id
  }

  #record(peer: string): MemberRecord {
    const { member, name, zone, holdsData, memoryBytes } = this.#options
    return {
      member,
      peer,
      name,
      addresses: [],
      ...(zone !== undefined && { zone }),
      holdsData,
      memoryBytes,
      versionMin: wireVersions.min,
      versionMax: wireVersions.max,
    }
  }

  #entry(): MemberEntry {
    const { member, name, zone, holdsData, memoryBytes } = this.#options
    const { peer, addresses } = this.#network.self
    return { member, peer, name, addresses, zone, state: 'live', holdsData, session: 1, memoryBytes }
  }

  #foundCommand(): Extract<ClusterCommand, { kind: 'found' }> {
    const { random } = this.#env
    const cluster: ClusterId = Array.from({ length: 4 }, () => random.uint32().toString(36).padStart(7, '0')).join('')
    return {
      kind: 'found',
      cluster,
      settings: this.#options.settings,
      version: wireVersions.max,
      member: this.#entry(),
    }
  }
}

function recordOf({ cluster: _cluster, ...record }: LinkHello): MemberRecord {
  return record
}
