/**
 * What the consensus leader knows of each member's life, and what becomes of it next: admitted, silent, revived, its
 * session ended, dropped. Holds nothing that a new leader could not find out again within a lease.
 *
 * Silent: the lease ran out; kept as learner. Gone: its process is known dead, or it left, or it was silent for
 * `forgetAfterMs`. Both only after its lease has run out.
 */
import { sessionId, type MemberId } from '../base/ids.ts'
import type { Emit } from '../base/machine.ts'
import type { ClusterState, MemberEntry } from '../consensus/cluster-state.ts'
import type { LeaderView } from './leader-plan.ts'
import { LeaseBook, type LeaseOptions } from './lease.ts'
import type { Penalties } from './penalties.ts'

/** How long a silent member stays a member. */
export const forgetAfterMs = 30_000
/** A new member gets this long to hear of its admission and renew first. */
const admissionGraceMs = 3_000
/** Newcomers waiting for admission; one more waits for its next try. */
const joiningMax = 1_000
/** Dead ids remembered; the oldest goes, and is found silent instead. */
const goneMax = 10_000

export interface MembersDraft {
  readonly upsert: readonly MemberEntry[]
  readonly remove: readonly MemberId[]
  readonly endSessions: string[]
  readonly voters: readonly MemberId[] | undefined
  readonly silenced: Set<MemberId>
  readonly revived: Set<MemberId>
  readonly gone: Set<MemberId>
}

export class MemberWatch {
  readonly book: LeaseBook
  readonly #self: MemberId
  readonly #options: LeaseOptions
  readonly #penalties: Penalties
  readonly #graceUntilMs = new Map<MemberId, number>()
  readonly #silentSinceMs = new Map<MemberId, number>()
  readonly #gone = new Set<MemberId>()
  readonly #returning = new Set<MemberId>()
  readonly #leaving = new Set<MemberId>()
  readonly #joining = new Map<MemberId, MemberEntry>()
  /** Silent members whose session this leader has ended already: the next one is fresh and unused. */
  readonly #endedWhileSilent = new Set<MemberId>()

  constructor(self: MemberId, options: LeaseOptions, penalties: Penalties) {
    this.#self = self
    this.#options = options
    this.#penalties = penalties
    this.book = new LeaseBook(options)
  }

  /** A new leader: each member may have renewed with the former one until `oldLeaseAgeMs` ago, and gets a lease's time to renew here. */
  restart(nowMs: number, state: ClusterState, oldLeaseAgeMs: number | undefined): void {
    this.#graceUntilMs.clear()
    this.#silentSinceMs.clear()
    this.#returning.clear()
    this.#joining.clear()
    this.#endedWhileSilent.clear()
    this.book.restart(oldLeaseAgeMs === undefined ? -Infinity : nowMs - oldLeaseAgeMs)
    for (const member of state.members.keys()) this.#graceUntilMs.set(member, nowMs + this.#options.nodeLeaseMs)
  }

  /** The agreed state went on: newcomers have a while to hear of it, the dropped are forgotten. */
  follow(nowMs: number, before: ClusterState, state: ClusterState): void {
    for (const member of state.members.keys())
      if (!before.members.has(member)) this.#graceUntilMs.set(member, nowMs + admissionGraceMs)
    for (const member of before.members.keys()) if (!state.members.has(member)) this.#forget(member)
  }

  /** It renewed, and waits for the round that confirms it: not silent. */
  heard(member: MemberId, nowMs: number): void {
    this.#extend(member, nowMs)
  }

  /** This leader did not listen for a while: all get the time of one renewal to be heard. */
  stalled(nowMs: number, state: ClusterState): void {
    for (const member of state.members.keys()) this.#extend(member, nowMs)
  }

  /** Waiting longer before a member is called silent is always safe. */
  #extend(member: MemberId, nowMs: number): void {
    const untilMs = nowMs + this.#options.renewIntervalMs
    if (untilMs > (this.#graceUntilMs.get(member) ?? -Infinity)) this.#graceUntilMs.set(member, untilMs)
  }

  /** A lease was granted: from now on only its end counts. */
  granted(member: MemberId, receivedAtMs: number): void {
    this.book.granted(member, receivedAtMs)
    this.#graceUntilMs.delete(member)
  }

  /** A silent member renewed. */
  returned(member: MemberId): void {
    this.#returning.add(member)
    this.#gone.delete(member)
  }

  /** Membership's word. */
  told(member: MemberId, isGone: boolean): void {
    if (isGone) this.#gone.add(member)
    else this.#gone.delete(member)
    if (this.#gone.size > goneMax) this.#gone.delete(this.#gone.values().next().value ?? '')
  }

  join(entry: MemberEntry): void {
    if (this.#joining.size < joiningMax) this.#joining.set(entry.member, { ...entry, state: 'live', session: 1 })
  }

  /** False if it is known already. */
  leave(member: MemberId): boolean {
    if (this.#leaving.has(member)) return false
    this.#leaving.add(member)
    return true
  }

  /** When the next lease runs out, or Infinity. */
  nextLapseMs(nowMs: number, state: ClusterState): number {
    let nextMs = Infinity
    for (const member of state.members.keys()) {
      const endMs = Math.max(this.book.nodeEndMs(member), this.#graceMs(member))
      if (endMs > nowMs && endMs < nextMs) nextMs = endMs
    }
    return nextMs
  }

  /** Whether some member fell silent after `sinceMs`. */
  isSilentSince(sinceMs: number, nowMs: number, state: ClusterState): boolean {
    for (const { member, state: status } of state.members.values())
      if (status === 'silent' && (this.#silentSinceMs.get(member) ?? nowMs) > sinceMs) return true
    return false
  }

  /** Members to admit, silence, revive, end and drop, as of the agreed state. */
  draft(nowMs: number, state: ClusterState, view: LeaderView, events: Emit[]): MembersDraft {
    const upsert = new Map<MemberId, MemberEntry>(this.#joining)
    this.#joining.clear()
    const draft: MembersDraft = {
      upsert: [],
      remove: [],
      endSessions: [],
      voters: undefined,
      silenced: new Set(),
      revived: new Set(),
      gone: new Set(),
    }
    for (const entry of state.members.values()) {
      const next = this.#nextEntry(nowMs, entry, state, draft, events)
      if (next !== entry && next !== undefined) upsert.set(entry.member, next)
    }
    this.#returning.clear()
    const voters = view.planVoters(nowMs, state)
    const votersAfter = voters ?? view.voters()
    // One that leaves and lives votes until the plan of voters can do without it.
    const isDead = (voter: MemberId): boolean =>
      draft.gone.has(voter) && (state.members.get(voter)?.state !== 'leaving' || this.#isLapsed(nowMs, voter))
    const goneVoter = voters === undefined ? votersAfter.find(isDead) : undefined
    const remaining =
      goneVoter === undefined || votersAfter.length === 1
        ? votersAfter
        : votersAfter.filter(voter => voter !== goneVoter)
    const remove = [...draft.gone].filter(member => !remaining.includes(member))
    for (const member of remove) upsert.delete(member)
    return {
      ...draft,
      upsert: [...upsert.values()],
      remove,
      voters: remaining === view.voters() ? undefined : remaining,
    }
  }

  #nextEntry(
    nowMs: number,
    entry: MemberEntry,
    state: ClusterState,
    draft: MembersDraft,
    events: Emit[],
  ): MemberEntry | undefined {
    const { member } = entry
    if (entry.state === 'leaving' && holdsNothing(state, member)) {
      draft.gone.add(member)
      return undefined
    }
    const isLapsed = this.#isLapsed(nowMs, member)
    if (isLapsed && this.#gone.has(member)) {
      draft.gone.add(member)
      events.push({ kind: 'emit', level: 'warn', event: 'placement.member-gone', fields: { member } })
      return undefined
    }
    if (entry.state === 'silent') return this.#nextSilent(nowMs, entry, draft)
    if (isLapsed) {
      draft.silenced.add(member)
      this.#silentSinceMs.set(member, nowMs)
      this.#penalties.fault(member, nowMs)
      events.push({ kind: 'emit', level: 'warn', event: 'placement.member-silent', fields: { member } })
      return { ...entry, state: 'silent' }
    }
    return this.#leaving.has(member) && entry.state === 'live' ? { ...entry, state: 'leaving' } : entry
  }

  #nextSilent(nowMs: number, entry: MemberEntry, draft: MembersDraft): MemberEntry | undefined {
    const { member } = entry
    if (this.#returning.has(member)) {
      draft.revived.add(member)
      this.#endedWhileSilent.delete(member)
      this.#silentSinceMs.delete(member)
      this.#graceUntilMs.set(member, nowMs + this.#options.nodeLeaseMs)
      return { ...entry, state: 'live' }
    }
    const sinceMs = this.#silentSinceMs.get(member) ?? nowMs
    this.#silentSinceMs.set(member, sinceMs)
    if (nowMs - sinceMs >= forgetAfterMs && this.#isLapsed(nowMs, member)) {
      draft.gone.add(member)
      return undefined
    }
    const isSessionOver =
      entry.session > 0 &&
      nowMs >= this.book.sessionEndMs(member) &&
      nowMs - sinceMs >= this.#options.sessionLeaseMs &&
      !this.#endedWhileSilent.has(member)
    if (!isSessionOver) return entry
    this.#endedWhileSilent.add(member)
    draft.endSessions.push(sessionId(member, entry.session))
    return { ...entry, session: entry.session + 1 }
  }

  /** A member that is known dead needs no grace to renew, only the end of its lease. */
  #graceMs(member: MemberId): number {
    return this.#gone.has(member) ? -Infinity : (this.#graceUntilMs.get(member) ?? -Infinity)
  }

  #isLapsed(nowMs: number, member: MemberId): boolean {
    return member !== this.#self && nowMs >= this.book.nodeEndMs(member) && nowMs >= this.#graceMs(member)
  }

  #forget(member: MemberId): void {
    this.book.forget(member)
    this.#graceUntilMs.delete(member)
    this.#silentSinceMs.delete(member)
    this.#gone.delete(member)
    this.#returning.delete(member)
    this.#leaving.delete(member)
    this.#endedWhileSilent.delete(member)
  }
}

function holdsNothing(state: ClusterState, member: MemberId): boolean {
  return !state.partitions.some(entry => entry.owner === member || entry.backups.includes(member))
}
