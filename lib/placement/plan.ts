/**
 * The partition table's next steps, as pure functions of the agreed state: failover, re-replication, balance. Each
 * returns changes conditional on the epoch they were computed from; a plan that comes too late does nothing.
 *
 * Balanced within one owner and one copy per member with minimal movement: a step is taken only if it strictly reduces
 * the spread, so plans end. A move is: learner, then backup at the owner's request, then the roles swap, then the surplus
 * copy goes. The former owner stays backup in the swap: the new one cannot serve before the former one has heard of it.
 *
 * Decision: a backup whose process may live leaves only at its owner's request, which the owner makes when it has applied
 * a state that shows the backup silent or parting, because nobody else knows that the owner is alive: if it died a moment
 * before, the copy to be removed may be the last one. Instead of removing it while the owner seems fresh, which loses
 * what a kill in that moment leaves. What is silent or parting counts as no copy (safety.ts), though it still is one.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { ClusterState, MemberEntry, PartitionChange, PartitionEntry } from '../consensus/cluster-state.ts'
import { isAway, type Absence } from './absence.ts'
import { copiesOf, stayingOf, without } from './copies.ts'
import { noRoom } from './room.ts'

/** How many extra learners balance may have under way at once, cluster-wide. More: faster balance, more transfer load. */
export const movesMax = 48
/** At most this many changes in one plan of balance; failover is never cut. */
export const changesMax = 128

type Draft = Pick<PartitionChange, 'owner' | 'backups' | 'learners' | 'parting'> & { readonly lost?: boolean }

/** The change of `entry` to `draft`. */
export function changeOf(partition: number, entry: PartitionEntry, draft: Partial<Draft>): PartitionChange {
  const backups = draft.backups ?? entry.backups
  const parting = (draft.parting ?? entry.parting ?? []).filter(member => backups.includes(member))
  return {
    partition,
    fromEpoch: entry.epoch,
    owner: 'owner' in draft ? draft.owner : entry.owner,
    backups,
    learners: draft.learners ?? entry.learners,
    lost: draft.lost ?? false,
    ...(parting.length > 0 && { parting }),
  }
}

/**
 * What must move because members fell silent or are gone. A partition whose only copy is silent waits (P9); one whose
 * every copy is gone begins empty at another member (P8, `lost`). A silent owner stays as backup of its heir.
 */
export function planFailover(state: ClusterState, absence: Absence): PartitionChange[] {
  const owned = ownedCounts(state)
  const changes: PartitionChange[] = []
  const reachable = [...state.members.values()].filter(
    entry => entry.holdsData && entry.state === 'live' && !isAway(absence, entry.member),
  )
  state.partitions.forEach((entry, partition) => {
    const draft = failOver(entry, absence, owned, reachable)
    if (draft === undefined) return
    if (draft.owner !== undefined && draft.owner !== entry.owner)
      owned.set(draft.owner, (owned.get(draft.owner) ?? 0) + 1)
    changes.push(changeOf(partition, entry, draft))
  })
  return changes
}

function failOver(
  entry: PartitionEntry,
  absence: Absence,
  owned: ReadonlyMap<MemberId, number>,
  reachable: readonly MemberEntry[],
): Draft | undefined {
  const { isGone } = absence
  const { owner } = entry
  const backups = entry.backups.filter(member => !isGone(member))
  const learners = entry.learners.filter(member => !isGone(member))
  const liveBackups = backups.filter(member => !isAway(absence, member))
  const isOwnerAway = owner === undefined || isAway(absence, owner)
  const heir = isOwnerAway ? (fewest(without(liveBackups, entry.parting ?? []), owned) ?? liveBackups[0]) : undefined
  const isOwnerGone = owner === undefined || isGone(owner)
  if (heir !== undefined) {
    const former = isOwnerGone ? [] : [owner]
    return { owner: heir, backups: [...without(backups, [heir]), ...former], learners }
  }
  if (!isOwnerGone)
    return backups.length === entry.backups.length && learners.length === entry.learners.length
      ? undefined
      : { owner, backups, learners }
  const sleeper = backups[0]
  if (sleeper !== undefined) return { owner: sleeper, backups: backups.slice(1), learners }
  const founder = fewest(
    reachable.map(member => member.member),
    owned,
  )
  if (founder === undefined) return undefined
  return { owner: founder, backups: [], learners: learners.filter(member => member !== founder), lost: true }
}

export interface BalanceRules {
  /** Members that may be given new copies now. */
  readonly mayReceive: (member: MemberId) => boolean
  /** How many more copies a member has memory for; `noRoom`; undefined: nobody knows yet, so none for now. */
  readonly room: (member: MemberId) => number | undefined
  /** Members that do not flap. */
  readonly mayOwn: (member: MemberId) => boolean
  /** Whether the surplus copy of a partition may go: not before its former owner has certainly heard of the new one. */
  readonly mayTrim: (partition: PartitionId) => boolean
  /** Replace missing copies; false while a silent member may yet come back with its own. */
  readonly mayCopy: boolean
  /** Level owners and copies by extra learners. */
  readonly mayMove: boolean
}

/** Re-replication, hand-over of leaving members, surplus and balance. */
export function planBalance(state: ClusterState, rules: BalanceRules): PartitionChange[] {
  const usable = [...state.members.values()]
    .filter(entry => entry.holdsData && entry.state === 'live')
    .map(entry => entry.member)
  if (usable.length === 0) return []
  const table = new Balance(state, new Set(usable), rules)
  const changes: PartitionChange[] = []
  const moved = new Set<number>()
  for (let partition = 0; partition < state.partitions.length && changes.length < changesMax; partition++) {
    const entry = state.partitions[partition] as PartitionEntry
    const draft = table.mend(entry, partition)
    if (draft === undefined) continue
    moved.add(partition)
    changes.push(changeOf(partition, entry, draft))
  }
  if (!rules.mayMove) return changes
  for (
    let partition = 0;
    partition < state.partitions.length && changes.length < changesMax && table.pending < movesMax;
    partition++
  ) {
    if (moved.has(partition)) continue
    const entry = state.partitions[partition] as PartitionEntry
    const learner = table.extra(entry)
    if (learner !== undefined) changes.push(changeOf(partition, entry, { learners: [...entry.learners, learner] }))
  }
  return changes
}

/** Everything that the plan of balance depends on, once all surplus may go. */
export interface Level {
  readonly state: ClusterState
  readonly mayCopy: boolean
  readonly mayMove: boolean
  readonly mayTrimAll: boolean
  /** Members that flap, in the order of the state. */
  readonly penal: string
  /** Whether members have room, in the order of the state. */
  readonly room: string
}

export function isSameLevel(a: Level, b: Level | undefined): boolean {
  return (
    b !== undefined &&
    a.state === b.state &&
    a.mayCopy === b.mayCopy &&
    a.mayMove === b.mayMove &&
    a.mayTrimAll === b.mayTrimAll &&
    a.penal === b.penal &&
    a.room === b.room
  )
}

/** Counts that follow each draft as it is made, so that one plan does not overshoot. */
class Balance {
  readonly #state: ClusterState
  readonly #usable: ReadonlySet<MemberId>
  readonly #rules: BalanceRules
  readonly #copiesWanted: number
  readonly #owned: Map<MemberId, number>
  readonly #copies = new Map<MemberId, number>()
  readonly #room = new Map<MemberId, number | undefined>()
  /** Usable learners under way. */
  pending = 0

  constructor(state: ClusterState, usable: ReadonlySet<MemberId>, rules: BalanceRules) {
    this.#state = state
    this.#usable = usable
    this.#rules = rules
    this.#copiesWanted = Math.min(state.settings.copies, usable.size)
    this.#owned = ownedCounts(state)
    for (const member of usable) {
      this.#copies.set(member, 0)
      this.#room.set(member, rules.room(member))
    }
    for (const entry of state.partitions) {
      for (const member of stayingOf(entry)) this.#count(member, 1)
      for (const member of entry.learners) {
        this.#count(member, 1)
        if (usable.has(member)) this.pending++
      }
    }
  }

  /** The most urgent step for one partition, if any. */
  mend(entry: PartitionEntry, partition: PartitionId): Draft | undefined {
    const { owner } = entry
    if (owner === undefined || this.#state.members.get(owner)?.state === 'silent') return undefined
    return (
      this.#swap(entry, owner) ??
      (this.#rules.mayTrim(partition) ? this.#trim(entry, owner) : undefined) ??
      this.#copy(entry, owner) ??
      this.#dropIdleLearner(entry, owner)
    )
  }

  /** A learner that would level owners or copies: each helps only if it reduces the spread by one at both ends. */
  extra(entry: PartitionEntry): MemberId | undefined {
    const { owner } = entry
    if (owner === undefined || entry.learners.some(member => this.#usable.has(member))) return undefined
    const copies = copiesOf(entry)
    if (stayingOf(entry).length > this.#copiesWanted) return undefined
    const others = [...this.#usable].filter(
      member =>
        !copies.includes(member) &&
        !entry.learners.includes(member) &&
        this.#rules.mayReceive(member) &&
        this.#hasRoom(member),
    )
    const heir = fewest(others.filter(this.#rules.mayOwn), this.#owned)
    const byOwner =
      heir !== undefined && (this.#owned.get(owner) ?? 0) - (this.#owned.get(heir) ?? 0) >= 2 ? heir : undefined
    const emptiest = fewest(others, this.#copies)
    // Backups alone: the surplus that goes afterwards is a backup, so only then does the spread shrink and the plan end.
    const fullest = most(without(entry.backups, entry.parting ?? []), this.#copies)
    const spread =
      emptiest === undefined || fullest === undefined
        ? 0
        : (this.#copies.get(fullest) ?? 0) - (this.#copies.get(emptiest) ?? 0)
    const byCopies = spread >= 2 ? emptiest : undefined
    const learner = byOwner ?? byCopies
    if (learner === undefined) return undefined
    if (byOwner !== undefined) this.#hand(owner, byOwner)
    this.#teach(learner)
    this.#count(fullest ?? owner, -1)
    return learner
  }

  #swap(entry: PartitionEntry, owner: MemberId): Draft | undefined {
    const heir = fewest(
      without(entry.backups, entry.parting ?? []).filter(
        member => this.#usable.has(member) && this.#rules.mayOwn(member),
      ),
      this.#owned,
    )
    if (heir === undefined) return undefined
    const mustGo = !this.#usable.has(owner)
    if (!mustGo && (this.#owned.get(owner) ?? 0) - (this.#owned.get(heir) ?? 0) < 2) return undefined
    this.#hand(owner, heir)
    return {
      owner: heir,
      backups: [owner, ...entry.backups.filter(member => member !== heir)],
      learners: entry.learners,
    }
  }

  #trim(entry: PartitionEntry, owner: MemberId): Draft | undefined {
    const parting = entry.parting ?? []
    const good = stayingOf(entry).filter(member => this.#usable.has(member)).length
    const staying = without(entry.backups, parting)
    const leaving = staying.find(member => this.#state.members.get(member)?.state === 'leaving')
    const surplus =
      leaving !== undefined && (good >= this.#copiesWanted || this.#mayThin(entry, good))
        ? leaving
        : good > this.#copiesWanted
          ? most(staying, this.#copies)
          : undefined
    if (surplus === undefined || surplus === owner) return undefined
    this.#count(surplus, -1)
    return { owner, backups: entry.backups, learners: entry.learners, parting: [...parting, surplus] }
  }

  #copy(entry: PartitionEntry, owner: MemberId): Draft | undefined {
    const good = stayingOf(entry).filter(member => this.#usable.has(member))
    const learning = entry.learners.filter(member => this.#usable.has(member))
    if (!this.#rules.mayCopy || good.length + learning.length >= this.#copiesWanted) return undefined
    // Without it writes are refused, those that would make room too, so even a member that flaps or is full will do.
    const isNeeded = good.length + learning.length < this.#state.settings.minCopies
    const mayReceive = (member: MemberId): boolean => isNeeded || this.#rules.mayReceive(member)
    const { parting = [], backups } = entry
    const stayer = parting.find(member => this.#usable.has(member) && mayReceive(member))
    if (stayer !== undefined) {
      this.#count(stayer, 1)
      return { owner, backups, learners: entry.learners, parting: without(parting, [stayer]) }
    }
    const others = [...this.#usable].filter(
      member =>
        member !== owner &&
        !backups.includes(member) &&
        !learning.includes(member) &&
        mayReceive(member) &&
        (isNeeded || this.#hasRoom(member)),
    )
    const zones = new Set(good.map(member => this.#state.members.get(member)?.zone))
    const apart = others.filter(member => !zones.has(this.#state.members.get(member)?.zone))
    const learner = fewest(apart.length > 0 ? apart : others, this.#copies)
    if (learner === undefined) return undefined
    this.#teach(learner)
    return { owner, backups: entry.backups, learners: [...entry.learners, learner] }
  }

  /** A member that left or sleeps is a learner only as long as its copy may be wanted again. */
  #dropIdleLearner(entry: PartitionEntry, owner: MemberId): Draft | undefined {
    const idle = entry.learners.find(
      member => this.#state.members.get(member)?.state !== 'silent' && !this.#usable.has(member),
    )
    if (idle === undefined) return undefined
    return { owner, backups: entry.backups, learners: entry.learners.filter(member => member !== idle) }
  }

  #hand(from: MemberId, to: MemberId): void {
    this.#owned.set(from, (this.#owned.get(from) ?? 0) - 1)
    this.#owned.set(to, (this.#owned.get(to) ?? 0) + 1)
  }

  /** Nobody has memory for another copy, and what stays is enough to go on with: else whoever leaves would never be let go. */
  #mayThin(entry: PartitionEntry, good: number): boolean {
    if (good < Math.max(this.#state.settings.minCopies, 1) || !this.#rules.mayCopy) return false
    if (entry.learners.some(member => this.#usable.has(member))) return false
    return without([...this.#usable], copiesOf(entry)).every(member => this.#room.get(member) === noRoom)
  }

  #hasRoom(member: MemberId): boolean {
    return (this.#room.get(member) ?? 0) >= 1
  }

  #teach(learner: MemberId): void {
    this.#count(learner, 1)
    const room = this.#room.get(learner)
    if (room !== undefined) this.#room.set(learner, room - 1)
    this.pending++
  }

  #count(member: MemberId, by: number): void {
    this.#copies.set(member, (this.#copies.get(member) ?? 0) + by)
  }
}

function ownedCounts(state: ClusterState): Map<MemberId, number> {
  const counts = new Map<MemberId, number>()
  for (const { owner } of state.partitions) if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1)
  return counts
}

/** The first of those with the smallest count. */
function fewest(members: readonly MemberId[], counts: ReadonlyMap<MemberId, number>): MemberId | undefined {
  let best: MemberId | undefined
  for (const member of members)
    if (best === undefined || (counts.get(member) ?? 0) < (counts.get(best) ?? 0)) best = member
  return best
}

/** The last of those with the largest count. */
function most(members: readonly MemberId[], counts: ReadonlyMap<MemberId, number>): MemberId | undefined {
  let best: MemberId | undefined
  for (const member of members)
    if (best === undefined || (counts.get(member) ?? 0) >= (counts.get(best) ?? 0)) best = member
  return best
}
