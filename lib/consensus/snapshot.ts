/**
 * The way of a whole state to a member that is too far behind for entries (Raft section 7). The state is cut into
 * smaller states, each with a slice of its lists, so that no message is large and each part is validated by the shape of
 * the state itself. Parts go in order with a small window; what is missing is sent again from the first gap.
 */
import type { MemberId } from '../base/ids.ts'
import { emptyClusterState, type ClusterState } from './cluster-state.ts'
import type { RaftSnapshot, SnapshotPart } from './messages.ts'

/** Parts sent ahead of the acknowledgement. */
const windowParts = 4
/** More parts than any state can have is a mistake of the sender. */
export const partCountMax = 10_000

/** At least one part, each with at most `itemsMax` items; `joinStates` is its inverse. */
export function splitState(state: ClusterState, itemsMax: number): readonly ClusterState[] {
  const members = [...state.members]
  const definitions = [...state.definitions]
  const { partitions, endedSessions } = state
  const itemCount = members.length + partitions.length + definitions.length + endedSessions.length
  const parts: ClusterState[] = []
  for (let start = 0; start === 0 || start < itemCount; start += itemsMax) {
    let offset = 0
    const slice = <T>(list: readonly T[]): readonly T[] => {
      const from = Math.max(0, start - offset)
      const to = Math.max(0, start + itemsMax - offset)
      offset += list.length
      return list.slice(from, to)
    }
    parts.push({
      ...state,
      members: new Map(slice(members)),
      partitions: slice(partitions),
      definitions: new Map(slice(definitions)),
      endedSessions: slice(endedSessions),
    })
  }
  return parts
}

export function joinStates(parts: readonly ClusterState[]): ClusterState {
  return {
    ...(parts[0] ?? emptyClusterState),
    members: new Map(parts.flatMap(part => [...part.members])),
    partitions: parts.flatMap(part => part.partitions),
    definitions: new Map(parts.flatMap(part => [...part.definitions])),
    endedSessions: parts.flatMap(part => part.endedSessions),
  }
}

/** The leader's end of one transfer. */
export class OutgoingSnapshot {
  readonly snapshot: RaftSnapshot
  readonly #parts: readonly ClusterState[]
  // 0 <= held <= sent <= parts.length
  #held = 0
  #sent = 0
  /** What the receiver last said: less than held once it has started over. */
  #reported = 0
  #progressAtMs: number

  constructor(snapshot: RaftSnapshot, itemsMax: number, nowMs: number) {
    this.snapshot = snapshot
    this.#parts = splitState(snapshot.state, itemsMax)
    this.#progressAtMs = nowMs
  }

  get isComplete(): boolean {
    return this.#held === this.#parts.length
  }

  get progressAtMs(): number {
    return this.#progressAtMs
  }

  /** The receiver has the parts before `next`. */
  held(next: number, nowMs: number): void {
    this.#reported = Math.min(next, this.#parts.length)
    if (next <= this.#held || next > this.#parts.length) return
    this.#held = next
    this.#sent = Math.max(this.#sent, next)
    this.#progressAtMs = nowMs
  }

  /** Sends again whatever the receiver lacks. */
  rewind(nowMs: number): void {
    this.#held = this.#sent = this.#reported
    this.#progressAtMs = nowMs
  }

  /** The parts that may go out now. */
  next(term: number, round: number): readonly SnapshotPart[] {
    const out: SnapshotPart[] = []
    const { index, term: lastTerm, config } = this.snapshot
    for (; this.#sent < Math.min(this.#parts.length, this.#held + windowParts); this.#sent++) {
      const state = this.#parts[this.#sent] as ClusterState
      const partCount = this.#parts.length
      out.push({ kind: 'snapshot', term, round, index, lastTerm, config, part: this.#sent, partCount, state })
    }
    return out
  }
}

/** The receiver's end: one at a time; another leader, term or index starts over. */
export class IncomingSnapshot {
  #key = ''
  /** By number; at most `windowParts` beyond the first gap. */
  #parts: (ClusterState | undefined)[] = []
  #next = 0

  /** Takes a part. Returns the first one missing, and the whole once there is none. */
  take(from: MemberId, part: SnapshotPart): { readonly next: number; readonly snapshot: RaftSnapshot | undefined } {
    const key = `${from}/${part.term}/${part.index}/${part.partCount}`
    if (key !== this.#key) this.#restart(key)
    if (part.partCount > partCountMax || part.part >= part.partCount) return { next: 0, snapshot: undefined }
    if (part.part < this.#next + windowParts) this.#parts[part.part] = part.state
    while (this.#parts[this.#next] !== undefined) this.#next++
    const next = this.#next
    if (next < part.partCount) return { next, snapshot: undefined }
    const state = joinStates(this.#parts.filter(held => held !== undefined))
    this.#restart('')
    return { next, snapshot: { index: part.index, term: part.lastTerm, config: part.config, state } }
  }

  #restart(key: string): void {
    this.#key = key
    this.#parts = []
    this.#next = 0
  }
}
