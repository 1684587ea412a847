/**
 * Who owns what, on both sides: every member renews its lease and says what it may own; the consensus leader grants
 * leases and proposes the table's next changes. Needs nothing but the clock rates to be bounded (DESIGN, node lease).
 *
 * Decision: the leader has one proposal in flight at a time, because a plan is computed from the applied state and a
 * second one over the same state would mostly be stale; a proposal may carry any number of independent changes.
 * A grant names the state index it was made under, because a sleeper that wakes with an old table would otherwise own,
 * under a fresh lease, what was given away while it slept.
 */
import type { Instant } from '../base/instant.ts'
import { noLease, type Lease } from '../base/lease.ts'
import type { MemberId } from '../base/ids.ts'
import { sessionId, type SessionId } from '../base/ids.ts'
import type { Emit, Machine, Send, Tick } from '../base/machine.ts'
import {
  emptyClusterState,
  type ClusterCommand,
  type ClusterState,
  type MemberEntry,
} from '../consensus/cluster-state.ts'
import { HeldLease, leaseDefaults, type LeaseOptions } from './lease.ts'
import { LeaderPlan, type LeaderView, type Proposal } from './leader-plan.ts'
import type { PlacementMessage } from './messages.ts'
import type { PlacementRequest } from './requests.ts'
import type { MemoryUse } from './room.ts'
import { safetyOf, type Safety } from './safety.ts'

export type PlacementInput =
  | Tick
  | { readonly kind: 'received'; readonly from: MemberId; readonly message: PlacementMessage }
  | {
      readonly kind: 'role'
      readonly isLeader: boolean
      readonly leader: MemberId | undefined
      readonly term: number
      readonly oldLeaseAgeMs: number | undefined
    }
  | { readonly kind: 'applied'; readonly state: ClusterState; readonly index: number }
  | { readonly kind: 'confirmed'; readonly id: number; readonly isConfirmed: boolean }
  | { readonly kind: 'proposed'; readonly id: number; readonly isCommitted: boolean }
  /** A heartbeat of the leader came in. Renewals follow it, so that those of all members reach the leader together and share a round. */
  | { readonly kind: 'led' }
  /** Membership's word; `gone` covers what left. */
  | { readonly kind: 'member'; readonly member: MemberId; readonly status: 'alive' | 'suspect' | 'silent' | 'gone' }
  | { readonly kind: 'ask'; readonly request: PlacementRequest }
  /** This process wants to be admitted; repeated to `via` and whoever leads until it is. */
  | { readonly kind: 'join'; readonly entry: MemberEntry; readonly via: MemberId }
  | { readonly kind: 'leave' }
  /** Agree on a definition or on settings; sent once, its caller repeats it until the applied state shows it. */
  | { readonly kind: 'define'; readonly command: Definition }

export type Definition = Extract<ClusterCommand, { readonly kind: 'define' | 'settings' }>

export type PlacementEffect =
  | Send<PlacementMessage>
  | {
      readonly kind: 'propose'
      readonly id: number
      readonly command: ClusterCommand | undefined
      readonly voters: readonly MemberId[] | undefined
      readonly members: readonly MemberId[]
    }
  | { readonly kind: 'confirm'; readonly id: number }
  /** Hand leadership to another voter. */
  | { readonly kind: 'resign' }
  /** This member may own until then; -Infinity: nothing. */
  | { readonly kind: 'lease'; readonly lease: Lease }
  | { readonly kind: 'session'; readonly session: SessionId | undefined; readonly untilMonotonicMs: number }
  /** The cluster no longer knows this member: stop, and start over under a fresh id (or be done, if leaving). */
  | { readonly kind: 'expelled' }
  | { readonly kind: 'safety'; readonly safety: Safety }
  | Emit

export interface PlacementOptions extends LeaseOptions {
  /** How often a newcomer repeats its request to be admitted, and an owner's request is repeated. */
  readonly repeatIntervalMs: number
}

export const placementDefaults: PlacementOptions = { ...leaseDefaults, repeatIntervalMs: 250 }

/** A renewal due within this share of its interval goes out at once when the leader's heartbeat comes in. */
const followRatio = 0.5
/** Requests kept for repetition; one more drops the oldest (its owner asks again). */
const requestsMax = 8_192

export class Placement implements Machine<PlacementInput, PlacementEffect> {
  readonly #member: MemberId
  readonly #options: PlacementOptions
  readonly #lease: HeldLease
  readonly #plan: LeaderPlan
  readonly #view: LeaderView
  readonly #memory: () => MemoryUse
  #state: ClusterState = emptyClusterState
  #index = 0
  #leader: MemberId | undefined
  #isLeader = false
  #join: { readonly entry: MemberEntry; readonly via: MemberId } | undefined
  #isLeaving = false
  #isExpelled = false
  #renewAtMs: number | undefined
  #repeatAtMs: number | undefined
  readonly #requests = new Map<string, PlacementRequest>()
  #owned: Lease = noLease
  #leaseEndMs = -Infinity
  #sessionUntilMs = -Infinity
  #session: SessionId | undefined
  #safety: Safety | undefined

  constructor({
    member,
    view,
    memory,
    options = placementDefaults,
  }: {
    readonly member: MemberId
    readonly view: LeaderView
    /** What this member has taken of its memory, and has left. */
    readonly memory: () => MemoryUse
    readonly options?: PlacementOptions | undefined
  }) {
    this.#member = member
    this.#options = options
    this.#view = view
    this.#memory = memory
    this.#lease = new HeldLease(options)
    this.#plan = new LeaderPlan(member, options, view)
  }

  /** What this member may own until then, in its monotonic ms. */
  get leaseUntilMs(): number {
    return this.#owned.untilMonotonicMs
  }

  /** When the lease that it holds, or held last, ends; -Infinity: it never had one. */
  get leaseEndMs(): number {
    return this.#leaseEndMs
  }

  get safety(): Safety | undefined {
    return this.#safety
  }

  deadline(): number | undefined {
    const dueMs = Math.min(this.#renewAtMs ?? Infinity, this.#repeatAtMs ?? Infinity, this.#plan.deadline() ?? Infinity)
    return dueMs === Infinity ? undefined : dueMs
  }

  step(now: Instant, input: PlacementInput): readonly PlacementEffect[] {
    const effects: PlacementEffect[] = []
    if (this.#lease.watchWall(now)) effects.push(warn('placement.wall-clock-leapt', { member: this.#member }))
    this.#plan.awake(now.monotonicMs)
    this.#fold(now, input, effects)
    this.#announce(now, effects)
    return effects
  }

  #fold(now: Instant, input: PlacementInput, effects: PlacementEffect[]): void {
    switch (input.kind) {
      case 'tick':
        return this.#tick(now, effects)
      case 'received':
        return this.#receive(now, input.from, input.message, effects)
      case 'role':
        return this.#changeRole(now, input)
      case 'applied':
        return this.#apply(now, input.state, input.index, effects)
      case 'confirmed':
        for (const { to, message } of this.#plan.confirmed(now.monotonicMs, input.id, input.isConfirmed))
          this.#deliver(now, to, message, effects)
        return
      case 'proposed':
        return this.#plan.proposed(now.monotonicMs, input.id, input.isCommitted)
      case 'led':
        return this.#follow(now, effects)
      case 'member':
        return this.#plan.membership(now.monotonicMs, input.member, input.status)
      case 'ask':
        return this.#ask(now, input.request, effects)
      case 'join':
        this.#join = { entry: input.entry, via: input.via }
        this.#repeatAtMs = now.monotonicMs
        return
      case 'define':
        return this.#tell(now, { kind: 'define', command: input.command }, effects)
      case 'leave':
        this.#isLeaving = true
        this.#repeatAtMs = now.monotonicMs
        return
    }
  }

  #tick(now: Instant, effects: PlacementEffect[]): void {
    if (this.#renewAtMs !== undefined && this.#renewAtMs <= now.monotonicMs) this.#renew(now, effects)
    if (this.#repeatAtMs !== undefined && this.#repeatAtMs <= now.monotonicMs) this.#repeat(now, effects)
    const step = this.#plan.tick(now.monotonicMs)
    for (const event of step.events) effects.push(event)
    if (step.confirm !== undefined) effects.push({ kind: 'confirm', id: step.confirm })
    if (step.proposal !== undefined) effects.push(proposalEffect(step.proposal))
    if (step.isResigning) effects.push({ kind: 'resign' })
  }

  #receive(now: Instant, from: MemberId, message: PlacementMessage, effects: PlacementEffect[]): void {
    switch (message.kind) {
      case 'renew':
        this.#plan.renew(now.monotonicMs, from, message)
        if (from !== this.#member) this.#follow(now, effects)
        return
      case 'granted':
        return this.#lease.grant(message.sequence, message.stateIndex, message.session)
      case 'expelled':
        // Whoever says so has it from a leader's proof, and who leaves may know no leader any more.
        if (from === this.#leader || this.#isLeaving) this.#expel(effects)
        return
      case 'join':
        if (this.#isLeader) return this.#plan.join(now.monotonicMs, message.entry)
        if (!message.isForwarded && this.#leader !== undefined)
          effects.push(send(this.#leader, { ...message, isForwarded: true }))
        return
      case 'asking':
        return this.#plan.ask(now.monotonicMs, message.request)
      case 'define':
        if (message.command.kind === 'define' || message.command.kind === 'settings')
          this.#plan.define(now.monotonicMs, message.command)
        return
      case 'leaving':
        return this.#plan.leaving(now.monotonicMs, message.member)
    }
  }

  #expel(effects: PlacementEffect[]): void {
    if (this.#isExpelled) return
    this.#isExpelled = true
    this.#renewAtMs = undefined
    effects.push({ kind: 'expelled' })
  }

  #changeRole(now: Instant, input: Extract<PlacementInput, { kind: 'role' }>): void {
    const isNewLeader = input.leader !== undefined && input.leader !== this.#leader
    this.#leader = input.leader
    this.#isLeader = input.isLeader
    this.#plan.lead(now.monotonicMs, input.isLeader, input.oldLeaseAgeMs)
    if (!isNewLeader) return
    if (this.#isMember()) this.#renewAtMs = now.monotonicMs
    if (this.#requests.size > 0 || this.#join !== undefined || this.#isLeaving) this.#repeatAtMs = now.monotonicMs
  }

  #apply(now: Instant, state: ClusterState, index: number, effects: PlacementEffect[]): void {
    const wasMember = this.#isMember()
    // It receives the log no more, so it would learn of it by its next renewal, or by gossip if it knows no leader.
    if (this.#isLeader)
      for (const member of this.#state.members.keys())
        if (!state.members.has(member) && member !== this.#member)
          effects.push(send(member, { kind: 'expelled', sequence: 0 }))
    this.#state = state
    this.#index = index
    this.#plan.apply(now.monotonicMs, state, index)
    if (this.#isMember() && !wasMember) {
      this.#join = undefined
      this.#renewAtMs = now.monotonicMs
    }
    for (const [key, request] of this.#requests)
      if (state.partitions[request.partition]?.epoch !== request.epoch) this.#requests.delete(key)
  }

  #isMember(): boolean {
    return this.#state.members.has(this.#member)
  }

  #renew(now: Instant, effects: PlacementEffect[]): void {
    this.#renewAtMs = now.monotonicMs + this.#options.renewIntervalMs
    if (this.#leader === undefined) return
    const message = { kind: 'renew', sequence: this.#lease.renew(now), ...this.#memory() } as const
    if (this.#isLeader) this.#plan.renew(now.monotonicMs, this.#member, message)
    else effects.push(send(this.#leader, message))
  }

  /** Renews early if the next renewal is near. */
  #follow(now: Instant, effects: PlacementEffect[]): void {
    const { renewIntervalMs } = this.#options
    if (this.#renewAtMs !== undefined && this.#renewAtMs - now.monotonicMs < renewIntervalMs * followRatio)
      this.#renew(now, effects)
  }

  #ask(now: Instant, request: PlacementRequest, effects: PlacementEffect[]): void {
    if (this.#state.partitions[request.partition]?.epoch !== request.epoch) return
    if (this.#requests.size >= requestsMax) this.#requests.delete(this.#requests.keys().next().value ?? '')
    this.#requests.set(
      `${request.kind}/${request.partition}/${request.kind === 'promote' ? request.learner : request.backup}`,
      request,
    )
    this.#tell(now, { kind: 'asking', request }, effects)
    this.#repeatAtMs ??= now.monotonicMs + this.#options.repeatIntervalMs
  }

  #repeat(now: Instant, effects: PlacementEffect[]): void {
    for (const request of this.#requests.values()) this.#tell(now, { kind: 'asking', request }, effects)
    if (this.#join !== undefined)
      effects.push(send(this.#join.via, { kind: 'join', entry: this.#join.entry, isForwarded: false }))
    if (this.#isLeaving) this.#tell(now, { kind: 'leaving', member: this.#member }, effects)
    const isNeeded = this.#requests.size > 0 || this.#join !== undefined || this.#isLeaving
    this.#repeatAtMs = isNeeded ? now.monotonicMs + this.#options.repeatIntervalMs : undefined
  }

  /** To the leader, who may be this very member. */
  #tell(now: Instant, message: PlacementMessage, effects: PlacementEffect[]): void {
    if (this.#leader === undefined) return
    this.#deliver(now, this.#leader, message, effects)
  }

  #deliver(now: Instant, to: MemberId, message: PlacementMessage, effects: PlacementEffect[]): void {
    if (to === this.#member) this.#receive(now, to, message, effects)
    else effects.push(send(to, message))
  }

  /** Says what changed about the lease, the session and safety. */
  #announce(now: Instant, effects: PlacementEffect[]): void {
    const lease = this.#isMember() ? this.#lease.nodeLease(this.#index) : noLease
    if (lease.untilMonotonicMs !== this.#owned.untilMonotonicMs) {
      this.#owned = lease
      const { untilMonotonicMs: untilMs } = lease
      // Taken back before its time, it ends now.
      this.#leaseEndMs = untilMs === -Infinity ? Math.min(now.monotonicMs, this.#leaseEndMs) : untilMs
      effects.push({ kind: 'lease', lease })
    }
    const sessionUntilMs = this.#lease.sessionUntilMs()
    const session =
      sessionUntilMs > now.monotonicMs && this.#lease.session > 0
        ? sessionId(this.#member, this.#lease.session)
        : undefined
    if (session !== this.#session || sessionUntilMs !== this.#sessionUntilMs) {
      this.#session = session
      this.#sessionUntilMs = sessionUntilMs
      effects.push({ kind: 'session', session, untilMonotonicMs: sessionUntilMs })
    }
    this.#announceSafety(effects)
  }

  #safetyState: ClusterState | undefined

  #announceSafety(effects: PlacementEffect[]): void {
    if (this.#safetyState === this.#state) return
    this.#safetyState = this.#state
    const safety = safetyOf(this.#state, this.#view.voters())
    if (safety.level === this.#safety?.level && safety.reason === this.#safety.reason) return
    this.#safety = safety
    effects.push({ kind: 'safety', safety })
  }
}

function proposalEffect(proposal: Proposal): PlacementEffect {
  return { kind: 'propose', ...proposal }
}

function send(to: MemberId, message: PlacementMessage): Send<PlacementMessage> {
  return { kind: 'send', to, lane: 'control', message }
}

function warn(event: string, fields: Emit['fields']): Emit {
  return { kind: 'emit', level: 'warn', event, fields }
}
