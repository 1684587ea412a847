/**
 * For how many more copies each member has memory: a copy never goes where it does not fit (DESIGN, placement). Members
 * say with every renewal what they have taken and what is left to them; a copy is reckoned at the mean of all copies,
 * because a member does not know the size of what others hold. That may be too much or too little, so whoever has any
 * room and waits for no copy gets one: partitions far below the mean are copied, one at a time, and one far above it
 * overfills a member by what it is larger.
 *
 * Of whoever was not heard yet nothing is known, and it gets none: a new leader would else copy all of a dead member's
 * share in its first moment, wherever it fits or not.
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { copiesOf } from './copies.ts'

/** Of a member's memory budget, bytes. */
export interface MemoryUse {
  readonly usedBytes: number
  /** What is left for copies. */
  readonly roomBytes: number
}

/** Not a byte is left: not for small copies either. */
export const noRoom: number = -Infinity

interface Report extends MemoryUse {
  /** Copies that the member held when it was heard. */
  readonly copyCount: number
}

/** Of one agreed state, by member. */
interface Counts {
  readonly copies: ReadonlyMap<MemberId, number>
  readonly learners: ReadonlyMap<MemberId, number>
}

export class Room {
  readonly #reports = new Map<MemberId, Report>()
  #state: ClusterState | undefined
  #counts: Counts = { copies: new Map(), learners: new Map() }

  heard(member: MemberId, use: MemoryUse, state: ClusterState): void {
    this.#reports.set(member, { ...use, copyCount: this.#count(state).copies.get(member) ?? 0 })
  }

  /** Who is a member no more is forgotten. */
  keep(members: ReadonlyMap<MemberId, unknown>): void {
    for (const member of this.#reports.keys()) if (!members.has(member)) this.#reports.delete(member)
  }

  /** What a former leadership heard says nothing. */
  clear(): void {
    this.#reports.clear()
  }

  /** Whole copies that each heard member can take beyond those it got since, or is getting: they count as not there yet. */
  copies(state: ClusterState): ReadonlyMap<MemberId, number> {
    const { copies, learners } = this.#count(state)
    let usedBytes = 0
    let heldCount = 0
    for (const report of this.#reports.values()) {
      usedBytes += report.usedBytes
      heldCount += report.copyCount
    }
    const copyBytes = Math.max(usedBytes / Math.max(heldCount, 1), 1)
    const room = new Map<MemberId, number>()
    for (const [member, { roomBytes, copyCount }] of this.#reports) {
      const newCount = (copies.get(member) ?? 0) + (learners.get(member) ?? 0) - copyCount
      const count = Math.floor(roomBytes / copyBytes) - Math.max(newCount, 0)
      room.set(member, roomBytes <= 0 ? noRoom : newCount <= 0 ? Math.max(count, 1) : count)
    }
    return room
  }

  /** Counted once for each state: members are heard far more often than it changes. */
  #count(state: ClusterState): Counts {
    if (state === this.#state) return this.#counts
    const copies = new Map<MemberId, number>()
    const learners = new Map<MemberId, number>()
    const add = (counts: Map<MemberId, number>, member: MemberId): unknown =>
      counts.set(member, (counts.get(member) ?? 0) + 1)
    for (const entry of state.partitions) {
      for (const member of copiesOf(entry)) add(copies, member)
      for (const member of entry.learners) add(learners, member)
    }
    this.#state = state
    this.#counts = { copies, learners }
    return this.#counts
  }
}
