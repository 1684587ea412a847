/**
 * The consensus leader's part of placement: grants leases, and folds what it sees (renewals, membership's word, owners'
 * requests, newcomers) into the next proposal. Holds nothing that a new leader could not find out again within a lease.
 *
 * Silent: the lease ran out; kept as learner, replacement copies start after `replaceAfterMs`, membership ends after
 * `forgetAfterMs`. Gone: its process is known dead or left; replaced at once. Both only after its lease has run out.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import { sessionId } from '../base/ids.ts'
import type { Emit } from '../base/machine.ts'
import {
  emptyClusterState,
  type ClusterCommand,
  type ClusterState,
  type MemberEntry,
  type PartitionChange,
} from '../consensus/cluster-state.ts'
import { LeaseBook, type LeaseOptions } from './lease.ts'
import type { PlacementMessage } from './messages.ts'
import { Penalties } from './penalties.ts'
import { changeOf, planBalance, planFailover } from './plan.ts'
import type { PlacementRequest } from './requests.ts'

/** What placement reads of consensus. */
export interface LeaderView {
  /** The voters of the newest configuration. */
  voters(): readonly MemberId[]
  /** The next configuration's voters, at most one step away, if it should change. */
  planVoters(nowMs: number, state: ClusterState): readonly MemberId[] | undefined
}

export interface Proposal {
  readonly id: number
  readonly command: ClusterCommand | undefined
  /** Undefined: unchanged. */
  readonly voters: readonly MemberId[] | undefined
  /** All that receive the log after the change. */
  readonly members: readonly MemberId[]
}

export interface LeaderStep {
  readonly events: readonly Emit[]
  readonly confirm: number | undefined
  readonly proposal: Proposal | undefined
  readonly isResigning: boolean
}

interface Renewal {
  readonly from: MemberId
  readonly sequence: number
  readonly receivedAtMs: number
}

const idleStep: LeaderStep = { events: [], confirm: undefined, proposal: undefined, isResigning: false }

/** How long a silent member may come back before its copies are replaced elsewhere. */
export const replaceAfterMs = 5_000
/** How long a silent member stays a member. */
export const forgetAfterMs = 30_000
/** A new member gets this long to hear of its admission and renew first. */
const admissionGraceMs = 3_000
/** Owners' requests of one turn are answered by one entry. */
const gatherMs = 2
/** Before what consensus did not take (nothing of the own term committed yet, another change under way) is proposed again. */
const proposeAgainMs = 10
/** Renewals that come in together share one round of heartbeats. */
const renewalGatherMs = 4
/** How often voters and balance are looked at again with nothing else happening. */
const reviewIntervalMs = 200
/** Newcomers waiting for admission; one more waits for its next try. */
const joiningMax = 1_000
/** After a failover, balance waits for the dust to settle. */
const settleMs = 500

export class LeaderPlan {
  readonly #self: MemberId
  readonly #options: LeaseOptions
  readonly #view: LeaderView
  readonly #book: LeaseBook
  readonly #penalties = new Penalties()
  #isLeading = false
  #state: ClusterState = emptyClusterState
  #index = 0
  #nextId = 1
  #renewals: Renewal[] = []
  readonly #confirming = new Map<number, readonly Renewal[]>()
  /** The proposal in flight: members it silences or drops get no lease meanwhile. */
  #inFlight: { readonly id: number; readonly barred: ReadonlySet<MemberId> } | undefined
  #deadlineMs: number | undefined
  readonly #graceUntilMs = new Map<MemberId, number>()
  readonly #silentSinceMs = new Map<MemberId, number>()
  readonly #gone = new Set<MemberId>()
  readonly #returning = new Set<MemberId>()
  readonly #leaving = new Set<MemberId>()
  /** Silent members whose session this leader has ended already: the next one is fresh and unused. */
  readonly #endedWhileSilent = new Set<MemberId>()
  readonly #joining = new Map<MemberId, MemberEntry>()
  /** When each partition's owner last changed, by this leader. */
  readonly #movedAtMs = new Map<PartitionId, number>()
  readonly #definitions: ClusterCommand[] = []
  readonly #requests = new Map<PartitionId, PlacementRequest>()
  #settledAtMs = -Infinity
  #ledSinceMs = -Infinity

  constructor(self: MemberId, options: LeaseOptions, view: LeaderView) {
    this.#self = self
    this.#options = options
    this.#view = view
    this.#book = new LeaseBook(options)
  }

  deadline(): number | undefined {
    return this.#isLeading ? this.#deadlineMs : undefined
  }

  /** A new leader counts each member's lease from the latest acknowledgement of any former one. */
  lead(nowMs: number, isLeader: boolean, oldLeaseAgeMs: number | undefined): void {
    if (isLeader === this.#isLeading) return
    this.#isLeading = isLeader
    this.#renewals = []
    this.#confirming.clear()
    this.#inFlight = undefined
    this.#graceUntilMs.clear()
    this.#silentSinceMs.clear()
    this.#returning.clear()
    this.#requests.clear()
    this.#joining.clear()
    this.#definitions.length = 0
    this.#endedWhileSilent.clear()
    if (!isLeader) return
    this.#book.restart(oldLeaseAgeMs === undefined ? -Infinity : nowMs - oldLeaseAgeMs)
    for (const member of this.#state.members.keys()) this.#graceUntilMs.set(member, nowMs + this.#options.nodeLeaseMs)
    this.#settledAtMs = nowMs + settleMs
    this.#ledSinceMs = nowMs
    this.#movedAtMs.clear()
    this.#wake(nowMs)
  }

  apply(nowMs: number, state: ClusterState, index: number): void {
    const before = this.#state
    this.#state = state
    this.#index = index
    if (!this.#isLeading || state === before) return
    for (const member of state.members.keys())
      if (!before.members.has(member)) this.#graceUntilMs.set(member, nowMs + admissionGraceMs)
    for (const member of before.members.keys()) if (!state.members.has(member)) this.#forget(member)
    this.#wake(nowMs)
  }

  renew(nowMs: number, from: MemberId, sequence: number): void {
    if (!this.#isLeading || this.#renewals.length >= renewalsMax) return
    this.#renewals.push({ from, sequence, receivedAtMs: nowMs })
    this.#wake(nowMs + renewalGatherMs)
  }

  /** Answers the renewals that waited for this round of heartbeats. */
  confirmed(
    nowMs: number,
    id: number,
    isConfirmed: boolean,
  ): { readonly to: MemberId; readonly message: PlacementMessage }[] {
    const renewals = this.#confirming.get(id) ?? []
    this.#confirming.delete(id)
    if (!isConfirmed || !this.#isLeading) return []
    const answers: { to: MemberId; message: PlacementMessage }[] = []
    for (const { from, sequence, receivedAtMs } of renewals) {
      const entry = this.#state.members.get(from)
      if (entry === undefined) {
        answers.push({ to: from, message: { kind: 'expelled', sequence } })
      } else if (entry.state === 'silent') {
        this.#returning.add(from)
        this.#gone.delete(from)
        this.#wake(nowMs)
      } else if (this.#inFlight?.barred.has(from) !== true) {
        this.#book.granted(from, receivedAtMs)
        this.#wake(this.#book.nodeEndMs(from))
        answers.push({
          to: from,
          message: { kind: 'granted', sequence, stateIndex: this.#index, session: entry.session },
        })
      }
    }
    return answers
  }

  proposed(nowMs: number, id: number, isCommitted: boolean): void {
    if (this.#inFlight?.id !== id) return
    this.#inFlight = undefined
    this.#wake(isCommitted ? nowMs : nowMs + proposeAgainMs)
  }

  membership(nowMs: number, member: MemberId, status: 'alive' | 'suspect' | 'silent' | 'gone'): void {
    if (status === 'gone') this.#gone.add(member)
    else this.#gone.delete(member)
    if (this.#gone.size > goneMax) this.#gone.delete(this.#gone.values().next().value ?? '')
    this.#wake(nowMs)
  }

  join(nowMs: number, entry: MemberEntry): void {
    if (
      !this.#isLeading ||
      this.#state.cluster === '' ||
      this.#state.members.has(entry.member) ||
      this.#joining.size >= joiningMax
    )
      return
    this.#joining.set(entry.member, { ...entry, state: 'live', session: 1 })
    this.#wake(nowMs)
  }

  define(nowMs: number, command: ClusterCommand): void {
    if (!this.#isLeading || this.#definitions.length >= definitionsMax) return
    this.#definitions.push(command)
    this.#wake(nowMs)
  }

  leaving(nowMs: number, member: MemberId): void {
    if (!this.#isLeading || !this.#state.members.has(member) || this.#leaving.has(member)) return
    this.#leaving.add(member)
    this.#wake(nowMs)
  }

  ask(nowMs: number, request: PlacementRequest): void {
    if (!this.#isLeading || this.#state.partitions[request.partition]?.epoch !== request.epoch) return
    this.#requests.set(request.partition, request)
    this.#wake(nowMs + gatherMs)
  }

  tick(nowMs: number): LeaderStep {
    if (!this.#isLeading || this.#deadlineMs === undefined || this.#deadlineMs > nowMs) return idleStep
    this.#deadlineMs = undefined
    const confirm = this.#confirm()
    if (this.#state.cluster === '') return { ...idleStep, confirm }
    const events: Emit[] = []
    const proposal = this.#inFlight === undefined ? this.#propose(nowMs, events) : undefined
    if (proposal === undefined) this.#wake(this.#nextLookMs(nowMs))
    return { events, confirm, proposal, isResigning: this.#mustResign() }
  }

  #wake(atMs: number): void {
    if (this.#deadlineMs === undefined || atMs < this.#deadlineMs) this.#deadlineMs = atMs
  }

  #confirm(): number | undefined {
    if (this.#renewals.length === 0) return undefined
    const id = this.#nextId++
    this.#confirming.set(id, this.#renewals)
    if (this.#confirming.size > confirmingMax) this.#confirming.delete(this.#confirming.keys().next().value ?? 0)
    this.#renewals = []
    return id
  }

  #nextLookMs(nowMs: number): number {
    let nextMs = nowMs + reviewIntervalMs
    for (const member of this.#state.members.keys()) {
      const endMs = Math.max(this.#book.nodeEndMs(member), this.#graceMs(member))
      if (endMs > nowMs && endMs < nextMs) nextMs = endMs
    }
    return nextMs
  }

  /** A member that is known dead needs no grace to renew, only the end of its lease. */
  #graceMs(member: MemberId): number {
    return this.#gone.has(member) ? -Infinity : (this.#graceUntilMs.get(member) ?? -Infinity)
  }

  #isLapsed(nowMs: number, member: MemberId): boolean {
    return member !== this.#self && nowMs >= this.#book.nodeEndMs(member) && nowMs >= this.#graceMs(member)
  }

  #forget(member: MemberId): void {
    this.#book.forget(member)
    this.#graceUntilMs.delete(member)
    this.#silentSinceMs.delete(member)
    this.#gone.delete(member)
    this.#returning.delete(member)
    this.#leaving.delete(member)
    this.#endedWhileSilent.delete(member)
  }

  #mustResign(): boolean {
    return (
      this.#state.members.get(this.#self)?.state === 'leaving' &&
      this.#view.voters().some(voter => voter !== this.#self && this.#state.members.get(voter)?.state === 'live')
    )
  }

  #propose(nowMs: number, events: Emit[]): Proposal | undefined {
    const draft = this.#members(nowMs, events)
    const silent = (member: MemberId): boolean =>
      draft.silenced.has(member) || (this.#state.members.get(member)?.state === 'silent' && !draft.revived.has(member))
    const gone = (member: MemberId): boolean => draft.gone.has(member) || !this.#state.members.has(member)
    const failover = planFailover(this.#state, silent, gone)
    if (failover.length > 0 || draft.silenced.size > 0) this.#settledAtMs = nowMs + settleMs
    for (const { partition, lost } of failover)
      if (lost) events.push({ kind: 'emit', level: 'error', event: 'placement.partition-lost', fields: { partition } })
    const partitions = [...failover, ...this.#granted(nowMs), ...this.#balance(nowMs)]
    const isChanged = draft.upsert.length + draft.remove.length + draft.endSessions.length + partitions.length > 0
    if (!isChanged && draft.voters === undefined) return this.#defining()
    const command: ClusterCommand | undefined = isChanged
      ? {
          kind: 'change',
          upsert: draft.upsert,
          remove: draft.remove,
          endSessions: draft.endSessions,
          partitions: firstPerPartition(partitions),
        }
      : undefined
    const members = [...this.#state.members.keys()].filter(member => !draft.remove.includes(member))
    for (const { member } of draft.upsert) if (!members.includes(member)) members.push(member)
    const id = this.#nextId++
    this.#inFlight = { id, barred: new Set([...draft.silenced, ...draft.gone]) }
    for (const { partition, owner } of partitions) {
      if (owner !== this.#state.partitions[partition]?.owner) this.#movedAtMs.set(partition, nowMs)
    }
    return { id, command, voters: draft.voters, members }
  }

  #defining(): Proposal | undefined {
    const command = this.#definitions.shift()
    if (command === undefined) return undefined
    const id = this.#nextId++
    this.#inFlight = { id, barred: new Set() }
    return { id, command, voters: undefined, members: [...this.#state.members.keys()] }
  }

  /** Members to admit, silence, revive, end and drop. */
  #members(nowMs: number, events: Emit[]): MembersDraft {
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
    for (const entry of this.#state.members.values()) {
      const next = this.#nextEntry(nowMs, entry, draft, events)
      if (next !== entry && next !== undefined) upsert.set(entry.member, next)
    }
    this.#returning.clear()
    const voters = this.#view.planVoters(nowMs, this.#state)
    const votersAfter = voters ?? this.#view.voters()
    const goneVoter = voters === undefined ? votersAfter.find(voter => draft.gone.has(voter)) : undefined
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
      voters: remaining === this.#view.voters() ? undefined : remaining,
    }
  }

  #nextEntry(nowMs: number, entry: MemberEntry, draft: MembersDraft, events: Emit[]): MemberEntry | undefined {
    const { member } = entry
    if (entry.state === 'leaving' && this.#holdsNothing(member)) {
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
      nowMs >= this.#book.sessionEndMs(member) &&
      nowMs - sinceMs >= this.#options.sessionLeaseMs &&
      !this.#endedWhileSilent.has(member)
    if (!isSessionOver) return entry
    this.#endedWhileSilent.add(member)
    draft.endSessions.push(sessionId(member, entry.session))
    return { ...entry, session: entry.session + 1 }
  }

  #holdsNothing(member: MemberId): boolean {
    return !this.#state.partitions.some(entry => entry.owner === member || entry.backups.includes(member))
  }

  /** What owners asked for, as far as it still holds. */
  #granted(nowMs: number): PartitionChange[] {
    const changes: PartitionChange[] = []
    for (const [partition, request] of this.#requests) {
      const entry = this.#state.partitions[partition]
      if (entry === undefined || entry.epoch !== request.epoch) continue
      if (request.kind === 'promote') {
        const { learner } = request
        if (!entry.learners.includes(learner) || this.#state.members.get(learner)?.state !== 'live') continue
        changes.push(
          changeOf(partition, entry, {
            backups: [...entry.backups, learner],
            learners: entry.learners.filter(member => member !== learner),
          }),
        )
      } else if ([...entry.backups, ...entry.learners].includes(request.backup)) {
        // A learner may be named too: the owner waits for one that it asked to promote until the epoch moves.
        this.#penalties.fault(request.backup, nowMs)
        const without = (members: readonly MemberId[]): MemberId[] =>
          members.filter(member => member !== request.backup)
        changes.push(changeOf(partition, entry, { backups: without(entry.backups), learners: without(entry.learners) }))
      }
    }
    this.#requests.clear()
    return changes
  }

  #balance(nowMs: number): PartitionChange[] {
    let isSilenceFresh = false
    for (const entry of this.#state.members.values()) {
      if (entry.state === 'silent' && nowMs - (this.#silentSinceMs.get(entry.member) ?? nowMs) < replaceAfterMs)
        isSilenceFresh = true
    }
    // A former owner stays backup for a lease: until it has heard of its successor it may still believe in its own.
    const leaseMs = this.#options.nodeLeaseMs * (1 + 2 * this.#options.clockDriftRatio)
    const mayTrim = (partition: PartitionId): boolean =>
      nowMs - (this.#movedAtMs.get(partition) ?? this.#ledSinceMs) > leaseMs
    const isFree = (member: MemberId): boolean => !this.#penalties.isPenal(member, nowMs)
    return planBalance(this.#state, {
      mayReceive: isFree,
      mayOwn: isFree,
      mayTrim,
      mayCopy: !isSilenceFresh,
      mayMove: !isSilenceFresh && nowMs >= this.#settledAtMs,
    })
  }
}

interface MembersDraft {
  readonly upsert: readonly MemberEntry[]
  readonly remove: readonly MemberId[]
  readonly endSessions: string[]
  readonly voters: readonly MemberId[] | undefined
  readonly silenced: Set<MemberId>
  readonly revived: Set<MemberId>
  readonly gone: Set<MemberId>
}

/** Renewals waiting for one round; more than this in a turn are not answered, and repeated by their senders. */
const renewalsMax = 10_000
/** Definitions waiting to be proposed; one more is dropped, and repeated by its sender. */
const definitionsMax = 1_000
const confirmingMax = 64
/** Dead ids remembered; the oldest goes, and is found silent instead. */
const goneMax = 10_000

/** Failover before requests before balance: a second change of one partition would be stale anyway. */
function firstPerPartition(changes: readonly PartitionChange[]): PartitionChange[] {
  const seen = new Set<PartitionId>()
  return changes.filter(({ partition }) => !seen.has(partition) && seen.add(partition))
}
