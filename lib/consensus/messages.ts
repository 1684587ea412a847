/**
 * What members say to agree, what a log entry is, and what is made durable. Raft (Ongaro and Ousterhout 2014, figure 2;
 * Ongaro's thesis 2014, figures 3.1, 3.10 and section 9.6), with two additions: a vote carries `ageMs` (see `Ballot`),
 * and `pull` lets a candidate with an old log fetch what its voters have (see `Consensus`).
 */
import type { MemberId } from '../base/ids.ts'
import { boolean, list, number, optional, record, string, uint, variants, type Shape } from '../base/shape.ts'
import { clusterCommandShape, clusterStateShape, type ClusterCommand, type ClusterState } from './cluster-state.ts'

/** Who decides and who only follows. Disjoint, without repetition, e.g. `{ voters: ['a~1'], learners: ['b~1'] }`. */
export interface RaftConfig {
  readonly voters: readonly MemberId[]
  readonly learners: readonly MemberId[]
}

/** Neither field: the empty entry with which a leader opens its term. Both: they take effect together. */
export interface RaftEntry {
  readonly term: number
  /** The first entry is 1; neighbours differ by one. */
  readonly index: number
  readonly config?: RaftConfig
  readonly command?: ClusterCommand
}

/** All that precedes `index` (included), folded. */
export interface RaftSnapshot {
  readonly index: number
  readonly term: number
  readonly config: RaftConfig
  readonly state: ClusterState
}

/** Kept in this order; entries replace everything from the first one's index on. */
export type ConsensusRecord =
  | { readonly kind: 'vote'; readonly term: number; readonly votedFor: MemberId | undefined }
  | { readonly kind: 'entries'; readonly entries: readonly RaftEntry[] }
  | { readonly kind: 'snapshot'; readonly snapshot: RaftSnapshot }

export interface RequestVote {
  readonly kind: 'requestVote'
  /** The term the candidate would lead; with `isPre` it has not entered it yet. */
  readonly term: number
  readonly lastIndex: number
  readonly lastTerm: number
  readonly isPre: boolean
  /** Asked for by the leader itself: the loyalty that is owed to a live leader does not count. */
  readonly isTransfer: boolean
}

export interface Voted {
  readonly kind: 'voted'
  /** Granted: the term asked for. Refused: the voter's. */
  readonly term: number
  readonly isPre: boolean
  readonly isGranted: boolean
  /** How long ago this voter last acknowledged any leader, on its own clock; undefined: never. */
  readonly ageMs: number | undefined
  readonly lastIndex: number
  readonly lastTerm: number
}

export interface Append {
  readonly kind: 'append'
  readonly term: number
  /** Number of the newest heartbeat round begun in this term; the answer repeats it. */
  readonly round: number
  readonly prevIndex: number
  readonly prevTerm: number
  readonly commitIndex: number
  readonly entries: readonly RaftEntry[]
}

export interface Appended {
  readonly kind: 'appended'
  readonly term: number
  readonly round: number
  /** Accepted: equal to the leader's log up to here, and durable. Refused: the `prevIndex` that did not fit. */
  readonly index: number
  readonly isAccepted: boolean
  /** Refused: where the logs may meet, at most `index`. */
  readonly hintIndex: number
  readonly hintTerm: number
}

export interface SnapshotPart {
  readonly kind: 'snapshot'
  readonly term: number
  readonly round: number
  readonly index: number
  readonly lastTerm: number
  readonly config: RaftConfig
  /** 0 .. partCount - 1. */
  readonly part: number
  readonly partCount: number
  /** A slice of the state, see `splitState`. */
  readonly state: ClusterState
}

export interface SnapshotHeld {
  readonly kind: 'snapshotHeld'
  readonly term: number
  readonly round: number
  readonly index: number
  /** Parts held, in order; the next one wanted. */
  readonly next: number
}

/** Candidate -> voter with a newer log: what do you have after this entry of mine? */
export interface Pull {
  readonly kind: 'pull'
  readonly term: number
  readonly index: number
  readonly indexTerm: number
}

export interface Pulled {
  readonly kind: 'pulled'
  readonly term: number
  readonly prevIndex: number
  readonly prevTerm: number
  /** Empty if (prevIndex, prevTerm) is only where the logs may meet. */
  readonly entries: readonly RaftEntry[]
  /** The end of the sender's log. */
  readonly lastIndex: number
  readonly lastTerm: number
}

/** Leader -> voter that has everything: stand for election now. */
export interface TimeoutNow {
  readonly kind: 'timeoutNow'
  readonly term: number
}

export type ConsensusMessage =
  RequestVote | Voted | Append | Appended | SnapshotPart | SnapshotHeld | Pull | Pulled | TimeoutNow

const raftConfigShape: Shape<RaftConfig> = record<RaftConfig>({
  voters: list(string, 16),
  learners: list(string, 10_000),
})

export const raftEntryShape: Shape<RaftEntry> = record<RaftEntry>({
  term: uint,
  index: uint,
  config: optional(raftConfigShape),
  command: optional(clusterCommandShape),
})

const entriesShape = list(raftEntryShape, 10_000)

export const consensusMessageShape: Shape<ConsensusMessage> = variants<ConsensusMessage>({
  requestVote: [1, record({ term: uint, lastIndex: uint, lastTerm: uint, isPre: boolean, isTransfer: boolean })],
  voted: [
    2,
    record<Omit<Voted, 'kind'>>({
      term: uint,
      isPre: boolean,
      isGranted: boolean,
      ageMs: optional(number),
      lastIndex: uint,
      lastTerm: uint,
    }),
  ],
  append: [
    3,
    record({ term: uint, round: uint, prevIndex: uint, prevTerm: uint, commitIndex: uint, entries: entriesShape }),
  ],
  appended: [4, record({ term: uint, round: uint, index: uint, isAccepted: boolean, hintIndex: uint, hintTerm: uint })],
  snapshot: [
    5,
    record({
      term: uint,
      round: uint,
      index: uint,
      lastTerm: uint,
      config: raftConfigShape,
      part: uint,
      partCount: uint,
      state: clusterStateShape,
    }),
  ],
  snapshotHeld: [6, record({ term: uint, round: uint, index: uint, next: uint })],
  pull: [7, record({ term: uint, index: uint, indexTerm: uint })],
  pulled: [
    8,
    record({ term: uint, prevIndex: uint, prevTerm: uint, entries: entriesShape, lastIndex: uint, lastTerm: uint }),
  ],
  timeoutNow: [9, record({ term: uint })],
})
