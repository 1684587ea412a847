/**
 * Whom a member has promised what: its term, its vote in it, the leader it follows, and when it last acknowledged one.
 * Decides about votes (Raft section 5.2 and 5.4.1; thesis, sections 4.2.3 and 9.6); making them durable is not its part.
 */
import type { MemberId } from '../base/ids.ts'
import type { RaftLog } from './log.ts'
import type { RequestVote } from './messages.ts'

export class Allegiance {
  term: number
  votedFor: MemberId | undefined
  /** In this term; the member itself while it leads. */
  leader: MemberId | undefined
  #heardAtMs = -Infinity
  #isLost = false
  /** Not before an acknowledgement that leaves leaves; a leader acknowledges its own rounds. */
  #ackedAtMs = -Infinity

  constructor(term: number, votedFor: MemberId | undefined) {
    this.term = term
    this.votedFor = votedFor
  }

  enter(term: number, votedFor: MemberId | undefined): void {
    this.term = term
    this.votedFor = votedFor
    this.leader = undefined
  }

  /** False: it has done so before. */
  vote(candidate: MemberId): boolean {
    if (this.votedFor === candidate) return false
    this.votedFor = candidate
    return true
  }

  /** False: another already leads this term, which only a bug elsewhere can cause. */
  follow(leader: MemberId, nowMs: number): boolean {
    if (this.leader !== undefined && this.leader !== leader) return false
    this.leader = leader
    this.#heardAtMs = nowMs
    this.#isLost = false
    this.acknowledge(nowMs)
    return true
  }

  /** The leader's link closed: nothing is owed to it until it is heard again. */
  lose(): void {
    this.#isLost = true
  }

  acknowledge(nowMs: number): void {
    this.#ackedAtMs = nowMs
  }

  /** How long ago it last acknowledged any leader; undefined: never. */
  ackAgeMs(nowMs: number): number | undefined {
    return this.#ackedAtMs === -Infinity ? undefined : nowMs - this.#ackedAtMs
  }

  /** It has a leader whose link is not known to be down. */
  get isFollowing(): boolean {
    return this.leader !== undefined && !this.#isLost
  }

  /** A leader lives, as far as this follower knows: it was heard within `graceMs`. */
  isLoyal(nowMs: number, graceMs: number): boolean {
    return this.leader !== undefined && !this.#isLost && nowMs - this.#heardAtMs < graceMs
  }

  /** Whether the vote, or with `isPre` the promise of one, may be given by a member that owes no loyalty. */
  grants(from: MemberId, request: RequestVote, log: RaftLog): boolean {
    if (log.compareEnd(request) < 0 || request.term < this.term) return false
    if (request.term > this.term) return true
    const isFree = this.leader === undefined && (this.votedFor === undefined || this.votedFor === from)
    return !request.isPre && isFree
  }
}
