/**
 * The consensus leader's part of placement: grants leases, and folds what it sees (renewals, membership's word, owners'
 * requests, newcomers) into the next proposal. Holds nothing that a new leader could not find out again within a lease.
 *
 * Silent: the lease ran out; kept as learner, replacement copies start after `replaceAfterMs`, membership ends after
 * `forgetAfterMs`. Gone: its process is known dead or left; replaced at once. Both only after its lease has run out.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { Emit } from '../base/machine.ts'
import {
  emptyClusterState,
  type ClusterCommand,
  type ClusterState,
  type MemberEntry,
  type PartitionChange,
  type PartitionEntry,
} from '../consensus/cluster-state.ts'
import { absenceOf } from './absence.ts'
import type { LeaseOptions } from './lease.ts'
import { MemberWatch } from './member-watch.ts'
import type { PlacementMessage } from './messages.ts'
import { Penalties } from './penalties.ts'
import { changeOf, isSameLevel, planBalance, planFailover, type Level } from './plan.ts'
import type { PlacementRequest } from './requests.ts'
import { noRoom, Room } from './room.ts'

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
/** Owners' requests of one turn are answered by one entry. */
const gatherMs = 2
/** Before what consensus did not take (nothing of the own term committed yet, another change under way) is proposed again. */
const proposeAgainMs = 10
/** Renewals that come in together share one round of heartbeats. */
const renewalGatherMs = 4
/** How often voters and balance are looked at again with nothing else happening. */
const reviewIntervalMs = 200
/** After a failover, balance waits for the dust to settle. */
const settleMs = 500

export class LeaderPlan {
  readonly #self: MemberId
  readonly #options: LeaseOptions
  readonly #view: LeaderView
  readonly #penalties = new Penalties()
  readonly #watch: MemberWatch
  readonly #room = new Room()
  #isLeading = false
  #state: ClusterState = emptyClusterState
  #index = 0
  #nextId = 1
  #renewals: Renewal[] = []
  readonly #confirming = new Map<number, readonly Renewal[]>()
  /** The proposal in flight: members it silences or drops get no lease meanwhile. */
  #inFlight: { readonly id: number; readonly barred: ReadonlySet<MemberId> } | undefined
  #deadlineMs: number | undefined
  /** When each partition's owner last changed, by this leader. */
  readonly #movedAtMs = new Map<PartitionId, number>()
  /** When any owner changed last, or this leader began. */
  #movedLastMs = -Infinity
  readonly #definitions: ClusterCommand[] = []
  readonly #requests = new Map<PartitionId, PlacementRequest>()
  /** The state in which every member is as it should be: as long as it holds, nothing fails over. */
  #soundState: ClusterState | undefined
  /** What balance found nothing to do for: as long as it holds, it finds nothing again. */
  #level: Level | undefined
  #settledAtMs = -Infinity
  #ledSinceMs = -Infinity
  #awakeMs = -Infinity

  constructor(self: MemberId, options: LeaseOptions, view: LeaderView) {
    this.#self = self
    this.#options = options
    this.#view = view
    this.#watch = new MemberWatch(self, options, this.#penalties)
  }

  deadline(): number | undefined {
    return this.#isLeading ? this.#deadlineMs : undefined
  }

  /**
   * At every step of this member, which renews its own lease among others: a leader that missed two renewals of its own
   * has not listened meanwhile, and whoever seems silent may have renewed.
   */
  awake(nowMs: number): void {
    const isStalled = nowMs - this.#awakeMs > 2 * this.#options.renewIntervalMs
    this.#awakeMs = nowMs
    if (isStalled && this.#isLeading) this.#watch.stalled(nowMs, this.#state)
  }

  /** A new leader counts each member's lease from the latest acknowledgement of any former one. */
  lead(nowMs: number, isLeader: boolean, oldLeaseAgeMs: number | undefined): void {
    if (isLeader === this.#isLeading) return
    this.#isLeading = isLeader
    this.#renewals = []
    this.#confirming.clear()
    this.#inFlight = undefined
    this.#requests.clear()
    this.#definitions.length = 0
    this.#room.clear()
    if (!isLeader) return
    this.#watch.restart(nowMs, this.#state, oldLeaseAgeMs)
    this.#settledAtMs = nowMs + settleMs
    this.#ledSinceMs = nowMs
    this.#movedAtMs.clear()
    this.#movedLastMs = nowMs
    this.#wake(nowMs)
  }

  apply(nowMs: number, state: ClusterState, index: number): void {
    const before = this.#state
    this.#state = state
    this.#index = index
    if (!this.#isLeading || state === before) return
    this.#watch.follow(nowMs, before, state)
    if (state.members !== before.members) this.#room.keep(state.members)
    this.#wake(nowMs)
  }

  renew(nowMs: number, from: MemberId, message: Extract<PlacementMessage, { kind: 'renew' }>): void {
    if (!this.#isLeading || this.#renewals.length >= renewalsMax) return
    const { sequence, usedBytes, roomBytes } = message
    this.#renewals.push({ from, sequence, receivedAtMs: nowMs })
    if (this.#state.members.has(from)) {
      this.#watch.heard(from, nowMs)
      this.#room.heard(from, { usedBytes, roomBytes }, this.#state)
    }
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
        this.#watch.returned(from)
        this.#wake(nowMs)
      } else if (this.#inFlight?.barred.has(from) !== true) {
        this.#watch.granted(from, receivedAtMs)
        this.#wake(this.#watch.book.nodeEndMs(from))
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
    this.#watch.told(member, status === 'gone')
    this.#wake(nowMs)
  }

  join(nowMs: number, entry: MemberEntry): void {
    if (!this.#isLeading || this.#state.cluster === '' || this.#state.members.has(entry.member)) return
    this.#watch.join(entry)
    this.#wake(nowMs)
  }

  define(nowMs: number, command: ClusterCommand): void {
    if (!this.#isLeading || this.#definitions.length >= definitionsMax) return
    this.#definitions.push(command)
    this.#wake(nowMs)
  }

  leaving(nowMs: number, member: MemberId): void {
    if (!this.#isLeading || !this.#state.members.has(member)) return
    if (!this.#watch.leave(member)) return
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
    return Math.min(nowMs + reviewIntervalMs, this.#watch.nextLapseMs(nowMs, this.#state))
  }

  #mustResign(): boolean {
    return (
      this.#state.members.get(this.#self)?.state === 'leaving' &&
      this.#view.voters().some(voter => voter !== this.#self && this.#state.members.get(voter)?.state === 'live')
    )
  }

  #propose(nowMs: number, events: Emit[]): Proposal | undefined {
    const draft = this.#watch.draft(nowMs, this.#state, this.#view, events)
    const isSteady = draft.silenced.size + draft.revived.size + draft.gone.size === 0
    const failover =
      isSteady && this.#soundState === this.#state ? [] : planFailover(this.#state, absenceOf(this.#state, draft))
    this.#soundState = isSteady && failover.length === 0 ? this.#state : undefined
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
      if (owner === this.#state.partitions[partition]?.owner) continue
      this.#movedAtMs.set(partition, nowMs)
      this.#movedLastMs = nowMs
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
      } else {
        const change = this.#removal(nowMs, partition, entry, request.backup)
        if (change !== undefined) changes.push(change)
      }
    }
    this.#requests.clear()
    return changes
  }

  /**
   * A backup that the owner knows to be silent or parting goes; another one is first said to be parting, so that it goes
   * only if the owner lives to ask again. A learner may be named too: the owner waits for one that it asked to promote
   * until the epoch moves.
   */
  #removal(
    nowMs: number,
    partition: PartitionId,
    entry: PartitionEntry,
    backup: MemberId,
  ): PartitionChange | undefined {
    const without = (members: readonly MemberId[]): MemberId[] => members.filter(member => member !== backup)
    const { backups, learners, parting = [] } = entry
    if (learners.includes(backup)) {
      this.#penalties.fault(backup, nowMs)
      return changeOf(partition, entry, { learners: without(learners) })
    }
    if (!backups.includes(backup)) return undefined
    const isSilent = this.#state.members.get(backup)?.state === 'silent'
    if (isSilent) return changeOf(partition, entry, { backups: without(backups), learners: [...learners, backup] })
    if (parting.includes(backup)) return changeOf(partition, entry, { backups: without(backups) })
    this.#penalties.fault(backup, nowMs)
    return changeOf(partition, entry, { parting: [...parting, backup] })
  }

  #balance(nowMs: number): PartitionChange[] {
    const isSilenceFresh = this.#watch.isSilentSince(nowMs - replaceAfterMs, nowMs, this.#state)
    // A former owner stays backup for a lease: until it has heard of its successor it may still believe in its own.
    const leaseMs = this.#options.nodeLeaseMs * (1 + 2 * this.#options.clockDriftRatio)
    const mayTrim = (partition: PartitionId): boolean =>
      nowMs - (this.#movedAtMs.get(partition) ?? this.#ledSinceMs) > leaseMs
    const isFree = (member: MemberId): boolean => !this.#penalties.isPenal(member, nowMs)
    const mayMove = !isSilenceFresh && nowMs >= this.#settledAtMs
    const room = this.#room.copies(this.#state)
    const level: Level = {
      state: this.#state,
      mayCopy: !isSilenceFresh,
      mayMove,
      // Whether every surplus copy may go: what is not yet due may become so without any other change.
      mayTrimAll: nowMs - this.#movedLastMs > leaseMs,
      penal: [...this.#state.members.keys()].filter(member => !isFree(member)).join(' '),
      room: [...this.#state.members.keys()].map(member => roomClass(room.get(member))).join(' '),
    }
    if (level.mayTrimAll && isSameLevel(level, this.#level)) return []
    const changes = planBalance(this.#state, {
      mayReceive: isFree,
      room: member => room.get(member),
      mayOwn: isFree,
      mayTrim,
      mayCopy: level.mayCopy,
      mayMove,
    })
    this.#level = changes.length === 0 ? level : undefined
    return changes
  }
}

/** What a plan that found nothing to do depends on. */
function roomClass(copies: number | undefined): string {
  return copies === undefined ? 'unknown' : copies === noRoom ? 'none' : copies < 1 ? 'awaited' : 'some'
}

/** Renewals waiting for one round; more than this in a turn are not answered, and repeated by their senders. */
const renewalsMax = 10_000
/** Definitions waiting to be proposed; one more is dropped, and repeated by its sender. */
const definitionsMax = 1_000
const confirmingMax = 64
/** Failover before requests before balance: a second change of one partition would be stale anyway. */
function firstPerPartition(changes: readonly PartitionChange[]): PartitionChange[] {
  const seen = new Set<PartitionId>()
  return changes.filter(({ partition }) => !seen.has(partition) && seen.add(partition))
}
