/**
 * Who is here: SWIM (Das et al. 2002) with suspicion and incarnations, Lifeguard (Dadgar et al. 2018), and push-pull
 * sync. The slow, sure detector; leases are the fast one. This file is the detecting half: when to probe, whom to ask,
 * what to send. What is believed is in knowledge.ts.
 *
 * A closed connection is evidence: the member is probed at once. If its address refuses connections here and a
 * neighbour says the same, its process is gone. With no neighbour to ask (two members) it is only silent, after the
 * least suspicion: one refusal may be a firewall's.
 *
 * Decision: a member dropped 30 s after it fell silent may come back with a higher incarnation, which only its own
 * living process can make, because otherwise a cut of half a minute with no majority on any side could never heal.
 * Old news never bring it back, and gone, left or forgotten is for ever.
 *
 * It does not dial: the driver connects to members reported alive and tells of links. It trusts whoever transport admits.
 */
import type { Instant } from '../base/instant.ts'
import type { MemberId } from '../base/ids.ts'
import type { Emit, Machine, Send, Tick } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'
import { isFinal, type Claim, type Status } from './claim.ts'
import { Detector } from './detector.ts'
import { Dissemination } from './dissemination.ts'
import { Knowledge, type Changed } from './knowledge.ts'
import type { MemberRecord } from './member-record.ts'
import type { MembershipMessage } from './messages.ts'
import { membershipDefaults, type MembershipOptions } from './options.ts'
import type { Roster } from './roster.ts'

export type MembershipInput =
  /** Where this member listens is known now; optional, first if at all. */
  | { readonly kind: 'started'; readonly self: MemberRecord }
  | { readonly kind: 'received'; readonly from: MemberId; readonly message: MembershipMessage }
  | Tick
  | { readonly kind: 'linkUp'; readonly record: MemberRecord }
  /** `refused`: nothing listens at its address any more. */
  | { readonly kind: 'linkDown'; readonly member: MemberId; readonly refused: boolean }
  /** Something else was received from it. */
  | { readonly kind: 'heard'; readonly member: MemberId }
  /** It has asked to be taken over: that it is given up is then no surprise. */
  | { readonly kind: 'leaving' }
  | { readonly kind: 'leave' }
  /** Consensus removed it. */
  | { readonly kind: 'forget'; readonly member: MemberId }

export type MembershipEffect = Send<MembershipMessage> | Changed | Emit

export class Membership implements Machine<MembershipInput, MembershipEffect> {
  readonly #self: MemberId
  readonly #options: MembershipOptions
  readonly #random: Prng
  readonly #knowledge: Knowledge
  readonly #roster: Roster
  readonly #detector: Detector
  readonly #dissemination: Dissemination
  #out: MembershipEffect[] = []
  #nowMs = -Infinity
  #lastStepMs = -Infinity
  #isStarted = false
  #nextProbeMs = Infinity
  #nextGossipMs = -Infinity
  #nextSyncMs = Infinity
  #nextReunionMs = Infinity
  /** A push-pull with someone who came back is not made before this. */
  #nextWelcomeMs = -Infinity

  constructor(init: {
    readonly self: MemberRecord
    readonly seed: number
    readonly options?: Partial<MembershipOptions>
  }) {
    this.#self = init.self.member
    this.#options = { ...membershipDefaults, ...init.options }
    this.#random = new Prng(init.seed)
    this.#knowledge = new Knowledge(init.self, this.#random, this.#options)
    this.#roster = this.#knowledge.roster
    const send = (to: MemberId, message: MembershipMessage): void => this.#send(to, message)
    this.#dissemination = new Dissemination(this.#knowledge, this.#random, this.#options, send)
    this.#detector = new Detector({
      self: this.#self,
      knowledge: this.#knowledge,
      dissemination: this.#dissemination,
      random: this.#random,
      options: this.#options,
      send,
    })
  }

  /** Members present, without this one: alive, suspect or silent. */
  *members(): Iterable<{ readonly record: MemberRecord; readonly status: Status }> {
    for (const { record, status } of this.#roster.members()) yield { record, status }
  }

  /** Undefined of someone never met or dropped long ago. */
  status(member: MemberId): Status | undefined {
    if (member === this.#self) return this.#knowledge.selfStatus
    return this.#roster.claimOf(member)?.status
  }

  /** This member's own; grows when it refutes. */
  get incarnation(): number {
    return this.#knowledge.incarnation
  }

  /** Lifeguard's local health: 0 is healthy. */
  get healthScore(): number {
    return this.#knowledge.health.score
  }

  deadline(): number | undefined {
    if (!this.#isStarted) return undefined
    let due = Math.min(this.#knowledge.dueMs, this.#detector.dueMs)
    if (this.#knowledge.selfStatus === 'alive') due = Math.min(due, this.#nextReunionMs)
    if (this.#roster.length > 0) {
      if (this.#knowledge.selfStatus === 'alive') due = Math.min(due, this.#nextProbeMs, this.#nextSyncMs)
      if (this.#knowledge.news.length > 0) due = Math.min(due, this.#nextGossipMs)
    }
    return due === Infinity ? undefined : due
  }

  step(now: Instant, input: MembershipInput): readonly MembershipEffect[] {
    this.#out = []
    this.#absorbStall(now.monotonicMs)
    switch (input.kind) {
      case 'started':
        this.#knowledge.introduce(input.self)
        break
      case 'received':
        this.#received(input.from, input.message)
        break
      case 'tick':
        this.#tick()
        break
      case 'linkUp':
        this.#linkUp(input.record)
        break
      case 'linkDown':
        this.#detector.linkDown(input.member, input.refused)
        break
      case 'heard':
        this.#detector.heard(this.#roster.get(input.member))
        break
      case 'leaving':
        this.#knowledge.isLeaving = true
        break
      case 'leave':
        this.#leave()
        break
      case 'forget':
        this.#knowledge.forget(input.member, this.#nowMs)
        break
    }
    this.#takeChanges()
    return this.#out
  }

  /** A deadline long past means that this process slept; what it missed says nothing about others (Lifeguard's premise). */
  #absorbStall(nowMs: number): void {
    const { stallMs } = this.#options
    const mayHaveStalled = this.#isStarted && nowMs - this.#lastStepMs >= stallMs
    const dueMs = mayHaveStalled ? this.deadline() : undefined
    if (!this.#isStarted) this.#start(nowMs)
    this.#nowMs = nowMs
    this.#detector.nowMs = nowMs
    const lagMs = dueMs === undefined ? 0 : nowMs - Math.max(dueMs, this.#lastStepMs)
    this.#lastStepMs = nowMs
    if (lagMs < stallMs) return
    this.#knowledge.putOff(lagMs)
    this.#detector.putOff(lagMs)
    this.#knowledge.health.worsen()
    this.#emit('warn', 'membership.stalled', { lagMs: Math.round(lagMs) })
  }

  #start(nowMs: number): void {
    this.#isStarted = true
    this.#nextProbeMs = nowMs + this.#random.between(0, this.#options.probeIntervalMs)
    this.#nextSyncMs = nowMs + this.#random.between(0, this.#options.syncIntervalMs)
    this.#nextReunionMs = nowMs + this.#random.between(0, this.#options.reunionIntervalMs)
  }

  #tick(): void {
    for (const member of this.#knowledge.expire(this.#nowMs)) this.#detector.call(member)
    this.#detector.advance()
    if (this.#knowledge.selfStatus === 'alive') {
      if (this.#nextProbeMs <= this.#nowMs) {
        this.#nextProbeMs = this.#nowMs + this.#options.probeIntervalMs * this.#knowledge.health.factor
        this.#detector.probeNext()
      }
      if (this.#nextSyncMs <= this.#nowMs) {
        this.#nextSyncMs = this.#nowMs + this.#dissemination.syncIntervalMs
        this.#dissemination.syncAny()
      }
      if (this.#nextReunionMs <= this.#nowMs) {
        this.#nextReunionMs = this.#nowMs + this.#options.reunionIntervalMs
        this.#dissemination.callTheLost()
      }
    }
    this.#takeChanges()
    if (this.#nextGossipMs > this.#nowMs || this.#knowledge.news.length === 0) return
    this.#nextGossipMs = this.#nowMs + this.#options.gossipIntervalMs
    this.#dissemination.gossip()
  }

  // --- links and signs of life

  #linkUp(record: MemberRecord): void {
    const { member } = record
    if (member === this.#self) return
    const held = this.#roster.claimOf(member)
    if (held !== undefined && isFinal(held.status)) return this.#send(member, { kind: 'gossip', claims: [held] })
    if (held === undefined) {
      this.#detector.findPredecessor(record)
      this.#knowledge.learn({ member, status: 'alive', incarnation: 0, record }, this.#nowMs, false)
    }
    this.#detector.linkUp(record)
    if (held === undefined || held.status !== 'alive') this.#dissemination.sync(member, true)
  }

  // --- messages

  #received(from: MemberId, message: MembershipMessage): void {
    if (from === this.#self) return
    const stone = this.#roster.tombstone(from)
    if (stone !== undefined && isFinal(stone.claim.status)) return this.#answerTheDead(from, message, stone.claim)
    this.#learnAll(from, message)
    this.#detector.heard(this.#roster.get(from))
    switch (message.kind) {
      case 'ping':
        this.#send(from, { kind: 'ack', sequence: message.sequence, claims: this.#dissemination.claimsFor(from) })
        break
      case 'ack':
        this.#detector.acked(from, message.sequence)
        break
      case 'pingRequest':
        this.#detector.probeFor(from, message.sequence, message.target, message.isRefused)
        break
      case 'answered':
        this.#detector.answered(from, message.sequence, message.verdict)
        break
      case 'sync':
        if (message.wantsReply) this.#dissemination.sync(from, false)
        break
      case 'gossip':
        break
    }
  }

  /** It learns that it is held for dead; nothing it says counts any more. */
  #answerTheDead(from: MemberId, message: MembershipMessage, claim: Claim): void {
    if (message.kind === 'ping' || message.kind === 'sync') this.#send(from, { kind: 'gossip', claims: [claim] })
  }

  /** Old news about members that are no longer present are corrected, or their teller would hold on to them. */
  #learnAll(from: MemberId, message: MembershipMessage): void {
    const corrections: Claim[] = []
    for (const claim of message.claims) {
      if (this.#knowledge.learn(claim, this.#nowMs, message.kind === 'sync') || isFinal(claim.status)) continue
      const stone = this.#roster.tombstone(claim.member)
      if (stone !== undefined && claim.status !== 'silent') corrections.push(stone.claim)
    }
    if (corrections.length > 0) this.#send(from, { kind: 'gossip', claims: corrections })
  }

  // --- effects

  #leave(): void {
    if (this.#knowledge.selfStatus !== 'alive') return
    this.#knowledge.leave()
    this.#dissemination.farewell()
  }

  #send(to: MemberId, message: MembershipMessage): void {
    this.#out.push({ kind: 'send', to, lane: 'control', message })
  }

  #emit(level: Emit['level'], event: string, fields: Emit['fields']): void {
    this.#out.push({ kind: 'emit', level, event, fields })
  }

  /** Hands out what changed. With someone who came, or came back, everything is exchanged, but not with all at once. */
  #takeChanges(): void {
    for (const change of this.#knowledge.drain()) {
      this.#out.push(change)
      if (change.kind !== 'changed' || change.status !== 'alive' || this.#nowMs < this.#nextWelcomeMs) continue
      this.#nextWelcomeMs = this.#nowMs + this.#options.reunionIntervalMs
      this.#dissemination.sync(change.record.member, true)
    }
  }
}
