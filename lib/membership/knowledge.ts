/**
 * What this member believes of all others and how a belief changes: the dissemination half of SWIM (section 4). Every
 * claim, its own suspicions included, goes through `learn`, which is the only place that changes a status.
 */
import { Heap } from '../base/heap.ts'
import type { MemberId } from '../base/ids.ts'
import type { Emit } from '../base/machine.ts'
import type { Prng } from '../base/prng.ts'
import { incarnationMax, isFinal, overrides, type Claim, type Status } from './claim.ts'
import { GossipQueue } from './gossip-queue.ts'
import { LocalHealth } from './local-health.ts'
import type { MemberRecord } from './member-record.ts'
import type { MembershipOptions } from './options.ts'
import { Roster, type Member } from './roster.ts'
import { Suspicion } from './suspicion.ts'

/** The status of a member is now this. 'gone' of oneself: others hold this process for dead; only a fresh start helps. */
export interface Changed {
  readonly kind: 'changed'
  readonly record: MemberRecord
  readonly status: Status
}

export class Knowledge {
  readonly roster: Roster
  readonly news: GossipQueue = new GossipQueue()
  readonly health: LocalHealth
  #self: MemberRecord
  readonly #random: Prng
  readonly #options: MembershipOptions
  /** Members to look at again; what is due is said by the member itself, so an entry may be too early. */
  readonly #wakes = new Heap<MemberId>()
  #changes: (Changed | Emit)[] = []
  #incarnation = 0
  /** It is on its way out. */
  isLeaving = false
  #selfStatus: 'alive' | 'gone' | 'left' = 'alive'
  #isFullSaid = false

  constructor(self: MemberRecord, random: Prng, options: MembershipOptions) {
    this.#self = self
    this.#random = random
    this.#options = options
    this.roster = new Roster(options)
    this.health = new LocalHealth(options.healthMax)
  }

  get incarnation(): number {
    return this.#incarnation
  }

  get selfStatus(): 'alive' | 'gone' | 'left' {
    return this.#selfStatus
  }

  get selfClaim(): Claim {
    const member = this.#self.member
    if (this.#selfStatus !== 'alive') return { member, status: this.#selfStatus, incarnation: this.#incarnation }
    return { member, status: 'alive', incarnation: this.#incarnation, record: this.#self }
  }

  /** When `expire` has something to look at. */
  get dueMs(): number {
    return Math.min(this.#wakes.peekRank() ?? Infinity, this.roster.nextPurgeMs)
  }

  /** The changes since the last call, in their order. */
  drain(): readonly (Changed | Emit)[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** Takes a claim; one that does not override what is known changes nothing. Returns whether it taught anything. */
  learn(claim: Claim, nowMs: number, isSync: boolean): boolean {
    if (claim.incarnation > incarnationMax) return false
    if (claim.member === this.#self.member) return this.#hearOfSelf(claim)
    const known = this.roster.get(claim.member)
    const held = this.roster.claimOf(claim.member)
    if (held === undefined) return this.#meet(claim, nowMs)
    const offered = known === undefined ? claim : this.#soften(claim, known, nowMs, isSync)
    if (known?.suspicion !== undefined && offered.status === 'suspect' && offered.incarnation === known.incarnation) {
      return this.#confirm(known, offered)
    }
    if (!overrides(offered, held)) return false
    if (known === undefined) return this.#comeBack(offered, nowMs)
    this.#adopt(known, offered, nowMs)
    return true
  }

  /** Ends suspicions and drops the silent. Returns suspects that were heard meanwhile and should be told. */
  expire(nowMs: number): readonly Member[] {
    const toCall: Member[] = []
    this.roster.purge(nowMs)
    while ((this.#wakes.peekRank() ?? Infinity) <= nowMs) {
      const member = this.roster.get(this.#wakes.pop() as MemberId)
      if (member === undefined) continue
      const dueMs = member.suspicion?.dueMs ?? member.dropMs
      if (dueMs > nowMs) {
        if (dueMs < Infinity) this.#wakes.push(dueMs, member.record.member)
      } else if (member.suspicion === undefined) this.#drop(member, nowMs)
      else if (this.#isHeard(member, nowMs)) toCall.push(this.#suspectAnew(member, nowMs))
      else this.learn({ ...this.#claim(member), status: 'silent' }, nowMs, false)
    }
    return toCall
  }

  /** This process slept: everyone gets as much longer. */
  putOff(lagMs: number): void {
    for (const member of this.roster.members()) {
      if (member.suspicion !== undefined) member.suspicion.startedMs += lagMs
      member.dropMs += lagMs
    }
  }

  /** What this member says of itself from now on. Before anyone was told, as a record never changes. */
  introduce(self: MemberRecord): void {
    this.#self = self
  }

  leave(): void {
    this.#selfStatus = 'left'
    this.news.add(this.selfClaim)
  }

  /** Never believed in again. Nothing is emitted and nothing gossiped: consensus has told everyone. */
  forget(member: MemberId, nowMs: number): void {
    const incarnation = this.roster.get(member)?.incarnation ?? 0
    const status = this.roster.tombstone(member)?.claim.status === 'left' ? 'left' : 'gone'
    this.news.remove(member)
    this.roster.bury({ member, status, incarnation }, nowMs)
  }

  #hearOfSelf(claim: Claim): boolean {
    if (this.#selfStatus !== 'alive' || claim.status === 'alive') return false
    if (isFinal(claim.status)) {
      this.#selfStatus = 'gone'
      this.#changes.push({ kind: 'changed', record: this.#self, status: 'gone' })
      this.#say(this.isLeaving ? 'debug' : 'error', 'membership.declared-gone', { member: claim.member })
      return true
    }
    if (claim.incarnation < this.#incarnation) return false
    this.#incarnation = claim.incarnation + 1
    this.health.worsen()
    this.news.add(this.selfClaim, true)
    this.#say('info', 'membership.refuted', {
      status: claim.status,
      incarnation: this.#incarnation,
      by: claim.by ?? '',
    })
    return true
  }

  /** The first word of a member. Someone silent or dead is not worth meeting, but the dead are remembered. */
  #meet(claim: Claim, nowMs: number): boolean {
    if (isFinal(claim.status)) {
      this.roster.bury(claim, nowMs)
      this.news.add(claim)
      return true
    }
    return claim.status !== 'silent' && this.#welcome(claim, nowMs)
  }

  /** A dropped member proves by a higher incarnation that it lives; a final claim replaces any other. */
  #comeBack(claim: Claim, nowMs: number): boolean {
    if (isFinal(claim.status)) {
      this.roster.bury(claim, nowMs)
      return true
    }
    return claim.status === 'alive' && this.#welcome(claim, nowMs)
  }

  #welcome(claim: Claim, nowMs: number): boolean {
    const { record } = claim
    if (record === undefined || record.member !== claim.member) return false
    if (this.roster.isFull) {
      if (!this.#isFullSaid) this.#say('warn', 'membership.full', { membersMax: this.#options.membersMax })
      this.#isFullSaid = true
      return false
    }
    this.#isFullSaid = false
    const member = this.roster.add(record, 'alive', claim.incarnation, this.#random)
    if (claim.status === 'suspect') this.#adopt(member, claim, nowMs)
    else this.#publish(member, this.#claim(member))
    return true
  }

  /**
   * A second-hand silence is only a suspicion here if it comes by push-pull (as sides that meet after a cut hold each
   * other for silent) or if the member was heard just now. So it can refute before anybody acts on it.
   */
  #soften(claim: Claim, known: Member, nowMs: number, isSync: boolean): Claim {
    if (claim.status !== 'silent' || known.status === 'silent') return claim
    return isSync || this.#isHeard(known, nowMs) ? { ...claim, status: 'suspect' } : claim
  }

  #adopt(member: Member, claim: Claim, nowMs: number): void {
    const published = { ...claim, record: isFinal(claim.status) ? undefined : member.record }
    member.incarnation = claim.incarnation
    member.suspicion = undefined
    member.dropMs = Infinity
    switch (claim.status) {
      case 'alive':
        member.status = 'alive'
        break
      case 'suspect':
        member.status = 'suspect'
        this.#startSuspicion(member, claim.by ?? '', nowMs)
        break
      case 'silent':
        member.status = 'silent'
        member.dropMs = nowMs + this.#options.silentKeepMs
        this.#wakes.push(member.dropMs, member.record.member)
        break
      case 'gone':
      case 'left':
        this.roster.bury(published, nowMs)
        break
    }
    this.#publish(member, published)
  }

  #publish(member: Member, claim: Claim): void {
    this.news.add(claim)
    this.#changes.push({ kind: 'changed', record: member.record, status: claim.status })
  }

  #startSuspicion(member: Member, by: MemberId, nowMs: number): void {
    member.suspicion = new Suspicion(nowMs, by, this.roster.length + 1, this.#options)
    this.#wakes.push(member.suspicion.dueMs, member.record.member)
  }

  /** Another independent suspicion: the first few shorten the wait and are passed on (Lifeguard, section IV-B). */
  #confirm(member: Member, claim: Claim): boolean {
    if (member.suspicion?.confirm(claim.by ?? '') !== true) return false
    this.news.add({ ...claim, record: member.record })
    this.#wakes.push(member.suspicion.dueMs, member.record.member)
    return true
  }

  #suspectAnew(member: Member, nowMs: number): Member {
    this.#startSuspicion(member, this.#self.member, nowMs)
    return member
  }

  #isHeard(member: Member, nowMs: number): boolean {
    return nowMs - member.heardMs < this.#options.probeIntervalMs
  }

  #drop(member: Member, nowMs: number): void {
    this.news.remove(member.record.member)
    this.roster.bury(this.#claim(member), nowMs)
    this.#say('info', 'membership.dropped', { member: member.record.member })
  }

  #claim(member: Member): Claim {
    const { record, status, incarnation } = member
    return { member: record.member, status, incarnation, record }
  }

  #say(level: Emit['level'], event: string, fields: Emit['fields']): void {
    this.#changes.push({ kind: 'emit', level, event, fields })
  }
}
