/**
 * Carries inputs to the machines of one member and their effects to the ports, and nothing else. The wiring of the
 * layers is the list of `#perform...` methods below, from the lowest layer up; every arrow between two layers is one
 * line there. Real peers and the simulator run this class.
 */
import type { Env } from '../base/env.ts'
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import { recoveryCount } from '../base/lineage.ts'
import type { Lane } from '../base/machine.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { Consensus, type ConsensusEffect, type ConsensusInput } from '../consensus/consensus.ts'
import { Founding, type FoundingEffect, type FoundingInput } from '../membership/founding.ts'
import { Membership, type MembershipEffect, type MembershipInput } from '../membership/membership.ts'
import { Placement, type Definition, type PlacementEffect, type PlacementInput } from '../placement/placement.ts'
import type { Safety } from '../placement/safety.ts'
import { Caller, type CallerEffect, type CallerInput, type Settled } from '../replication/caller.ts'
import { Replication, type ReplicationEffect, type ReplicationInput } from '../replication/replication.ts'
import type { LinkDown, LinkHello, Network, NetworkListener } from '../transport/network.ts'
import type { Hint } from './hint.ts'
import { leaderView } from './leader-view.ts'
import type { PeerOptions } from './peer-options.ts'
import { entryOf, foundCommand, recordOf, selfRecord } from './self.ts'
import type { Storage } from './storage.ts'
import { Turns } from './turns.ts'
import { operations, type WireMessage } from './wire.ts'

/** What leaves the top of the stack. */
export interface DriverEvents {
  applied(state: ClusterState): void
  safety(safety: Safety): void
  session(session: SessionId | undefined, untilMonotonicMs: number): void
  expelled(): void
  opened(partition: PartitionId, epoch: number): void
  settled(id: number, outcome: Settled): void
  hinted(from: MemberId, hint: Hint): void
}

export class Driver {
  readonly membership: Membership
  readonly founding: Founding
  readonly consensus: Consensus
  readonly placement: Placement
  readonly replication: Replication
  readonly caller: Caller
  /** The rhythm that all inputs go through. */
  readonly turns: Turns
  readonly #options: PeerOptions
  readonly #env: Env
  readonly #network: Network<WireMessage>
  readonly #storage: Storage
  readonly #events: DriverEvents
  #state: ClusterState

  constructor(
    options: PeerOptions,
    env: Env,
    network: Network<WireMessage>,
    storage: Storage,
    events: DriverEvents,
    turned: () => void,
  ) {
    const { member } = options
    this.#options = options
    this.#env = env
    this.#network = network
    this.#storage = storage
    this.#events = events
    const self = selfRecord(options, { peer: '', addresses: [] })
    const seed = (): number => env.random.uint32()
    this.membership = new Membership({ self, seed: seed() })
    this.founding = new Founding({ self, seed: seed(), seedCount: options.seeds.length, expect: options.expect })
    this.consensus = new Consensus({ member, seed: seed() })
    this.placement = new Placement({
      member,
      options: options.placement,
      view: leaderView(this.consensus, network),
      memory: () => options.budget.use(),
    })
    this.replication = new Replication({
      member,
      seed: seed(),
      createState: options.createState,
      operationShape: operations,
      budget: options.budget,
    })
    this.caller = new Caller({ member, seed: seed() })
    this.#state = this.consensus.state
    const driven = [
      { machine: this.membership, tick: () => this.#membership({ kind: 'tick' }) },
      { machine: this.founding, tick: () => this.#founding({ kind: 'tick' }) },
      { machine: this.consensus, tick: () => this.#consensus({ kind: 'tick' }) },
      { machine: this.placement, tick: () => this.#placement({ kind: 'tick' }) },
      { machine: this.replication, tick: () => this.#replication({ kind: 'tick' }) },
      { machine: this.caller, tick: () => this.#caller({ kind: 'tick' }) },
    ]
    this.turns = new Turns(env, driven, turned)
  }

  /** The agreed state as this member knows it. */
  get state(): ClusterState {
    return this.#state
  }

  /** The network listens: addresses are known now. */
  started(): void {
    this.turns.start()
    const self = selfRecord(this.#options, this.#network.self)
    this.turns.input(() => {
      this.#membership({ kind: 'started', self })
      this.#founding({ kind: 'started', self })
    })
  }

  /** Words from the layers above; folded at the end of the turn, so that nothing answers before the call returns. */
  call(input: Extract<CallerInput, { kind: 'call' | 'ask' | 'transact' | 'cancel' }>): void {
    this.turns.later(() => this.#caller(input))
  }

  define(command: Definition): void {
    this.turns.later(() => this.#placement({ kind: 'define', command }))
  }

  /** Forces what no leader can: see consensus/recovery.ts. */
  force(input: Extract<ConsensusInput, { kind: 'survey' | 'recover' }>): void {
    this.turns.later(() => this.#consensus(input))
  }

  /** Everything is to be taken over by others. */
  leave(): void {
    this.turns.later(() => this.#membership({ kind: 'leaving' }))
    this.turns.later(() => this.#placement({ kind: 'leave' }))
  }

  /** Tells the others that this member goes on purpose. */
  farewell(): void {
    this.turns.input(() => this.#membership({ kind: 'leave' }))
  }

  // --- network -> machines ---

  listener(): NetworkListener<WireMessage> {
    return {
      message: (from, _lane, body) => this.turns.input(() => this.#received(from, body)),
      linkUp: hello => this.turns.input(() => this.#linkUp(hello)),
      linkDown: (member, down) => this.turns.input(() => this.#linkDown(member, down)),
      laneReset: (member, lane) => this.turns.input(() => this.#laneReset(member, lane)),
      heard: member => this.turns.input(() => this.#membership({ kind: 'heard', member })),
      // The network logs it.
      refused: ({ code }) => (code === 'superseded' ? this.#events.expelled() : undefined),
    }
  }

  #received(from: MemberId, body: WireMessage): void {
    switch (body.kind) {
      case 'membership':
        return this.#membership({ kind: 'received', from, message: body.message })
      case 'founding':
        return this.#founding({ kind: 'received', from, message: body.message })
      case 'consensus':
        this.#consensus({ kind: 'received', from, message: body.message })
        if (body.message.kind === 'append') this.turns.after(() => this.#placement({ kind: 'led' }))
        return
      case 'placement':
        return this.#placement({ kind: 'received', from, message: body.message })
      case 'replication':
        if (body.message.kind === 'reply' || body.message.kind === 'oversize')
          return this.#caller({ kind: 'received', from, message: body.message })
        return this.#replication({ kind: 'received', from, message: body.message })
      case 'hint':
        return this.#events.hinted(from, body.hint)
    }
  }

  #linkUp(hello: LinkHello): void {
    const record = recordOf(hello)
    this.#membership({ kind: 'linkUp', record })
    this.#founding({ kind: 'linkUp', record, cluster: hello.cluster })
    this.#consensus({ kind: 'linkUp', member: hello.member })
    this.#replication({ kind: 'linkUp', member: hello.member })
  }

  #linkDown(member: MemberId, { refused }: LinkDown): void {
    this.#membership({ kind: 'linkDown', member, refused })
    this.#founding({ kind: 'linkDown', member, refused })
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
    for (const effect of this.membership.step(this.#env.now(), input)) this.#performMembership(effect)
  }

  #performMembership(effect: MembershipEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'membership', message: effect.message })
      case 'emit':
        return this.#env.emit(effect)
      case 'changed': {
        const { member, addresses } = effect.record
        const status = effect.status === 'left' ? 'gone' : effect.status
        // The others have buried it: a voter that was removed hears of no leader who could say so.
        if (member === this.#options.member) {
          // Strangers carry over what those say who were left behind by a recovery; a lease knows better.
          const isLeased = this.placement.leaseUntilMs > this.#env.now().monotonicMs
          const isHearsay = isLeased && recoveryCount(this.#state.cluster) > 0
          return status === 'gone' && !isHearsay ? this.#events.expelled() : undefined
        }
        if (status === 'gone') this.#network.forget({ member, addresses })
        else if (status === 'alive') this.#network.connect({ member, addresses })
        return this.turns.after(() => this.#placement({ kind: 'member', member, status }))
      }
    }
  }

  #founding(input: FoundingInput): void {
    for (const effect of this.founding.step(this.#env.now(), input)) this.#performFounding(effect)
  }

  #performFounding(effect: FoundingEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'founding', message: effect.message })
      case 'emit':
        return this.#env.emit(effect)
      case 'found':
        this.turns.after(() =>
          this.#consensus({
            kind: 'found',
            command: foundCommand(this.#options, this.#network.self, this.#env.random),
          }),
        )
        return
      case 'joinVia': {
        const via = effect.member
        return this.turns.after(() =>
          this.#placement({ kind: 'join', entry: entryOf(this.#options, this.#network.self), via }),
        )
      }
    }
  }

  #consensus(input: ConsensusInput): void {
    for (const effect of this.consensus.step(this.#env.now(), input)) this.#performConsensus(effect)
  }

  #performConsensus(effect: ConsensusEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'consensus', message: effect.message })
      case 'emit':
        return this.#env.emit(effect)
      case 'persist':
        return this.#storage.persist(
          'consensus',
          effect.record,
          this.#persisted(() => this.#consensus({ kind: 'persisted', token: effect.token })),
        )
      case 'role': {
        const { role, leader, term, oldLeaseAgeMs } = effect
        return this.turns.after(() =>
          this.#placement({ kind: 'role', isLeader: role === 'leader', leader, term, oldLeaseAgeMs }),
        )
      }
      case 'applied': {
        const { state, index } = effect
        return this.turns.after(() => this.#applied(state, index))
      }
      case 'confirmed': {
        const { id, ok } = effect
        return this.turns.after(() => this.#placement({ kind: 'confirmed', id, isConfirmed: ok }))
      }
      case 'proposed': {
        const { id, result } = effect
        return this.turns.after(() => this.#placement({ kind: 'proposed', id, isCommitted: result === 'committed' }))
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
    this.#events.applied(state)
  }

  #placement(input: PlacementInput): void {
    for (const effect of this.placement.step(this.#env.now(), input)) this.#performPlacement(effect)
  }

  #performPlacement(effect: PlacementEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'placement', message: effect.message })
      case 'emit':
        return this.#env.emit(effect)
      case 'propose':
        return this.turns.after(() => this.#propose(effect))
      case 'confirm':
        return this.turns.after(() => this.#consensus({ kind: 'confirm', id: effect.id }))
      case 'resign':
        return this.turns.after(() => this.#consensus({ kind: 'resign' }))
      case 'lease':
        return this.turns.after(() => this.#replication({ kind: 'lease', ...effect.lease }))
      case 'session': {
        const { session, untilMonotonicMs } = effect
        this.turns.after(() => this.#caller({ kind: 'session', session, untilMonotonicMs }))
        this.#events.session(session, untilMonotonicMs)
        return
      }
      case 'safety':
        this.#events.safety(effect.safety)
        return
      case 'expelled':
        this.#events.expelled()
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
    for (const effect of this.replication.step(this.#env.now(), input)) this.#performReplication(effect)
  }

  #performReplication(effect: ReplicationEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'replication', message: effect.message })
      case 'emit':
        return this.#env.emit(effect)
      case 'persist':
        return this.#storage.persist(
          'replication',
          effect.record,
          this.#persisted(() => this.#replication({ kind: 'persisted', token: effect.token })),
        )
      case 'ask':
        return this.turns.after(() => this.#placement({ kind: 'ask', request: effect.request }))
      case 'opened':
        this.#events.opened(effect.partition, effect.epoch)
        return
    }
  }

  #caller(input: CallerInput): void {
    for (const effect of this.caller.step(this.#env.now(), input)) this.#performCaller(effect)
  }

  #performCaller(effect: CallerEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.to, effect.lane, { kind: 'replication', message: effect.message })
      case 'settled':
        return this.#events.settled(effect.id, effect.outcome)
    }
  }

  /** To oneself without encoding: a caller and an owner are often the same member. */
  #send(to: MemberId, lane: Lane, body: WireMessage): void {
    if (to === this.#options.member) this.turns.after(() => this.#received(to, body))
    else this.#network.send(to, lane, body)
  }

  #persisted(fold: () => void): () => void {
    return () => this.turns.after(fold)
  }
}
