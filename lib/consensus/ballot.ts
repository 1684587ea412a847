/**
 * The votes of one candidacy, and what they say about older leaders.
 *
 * Why `oldLeaseAgeMs` is safe. A leader grants a lease that was asked for at S only after a round that it began after S
 * was acknowledged by a majority of its newest configuration. Claim: every later leader learns of an acknowledgement
 * that was made after S. Let L be the first leader elected after that round. The configurations of the two are equal or
 * neighbours, so their majorities share a voter v (section 4.1 of the thesis, given that no configuration changes before
 * an entry of the own term is committed). v acknowledged the round before it voted for L, since it acknowledges no
 * leader of an older term after voting. If the round's leader itself is v, it noted the start of the round as its own
 * acknowledgement. So L learns of a moment after S. Any leader after L either is elected by a majority that shares a
 * voter with the round's majority, and the same holds; or configurations have changed since, and then the last of the
 * changes before the one it was elected in was committed by a majority that shares a voter w with its own, and w
 * acknowledged that entry after L was elected or the change was begun, hence after S. By induction the claim holds for chains of changes.
 *
 * And the age is never too large: it grows from the acknowledgement to the vote on the voter's clock; the way of the
 * vote counts for nothing; from its arrival on it grows on the winner's clock. A clock that stands still (a suspended
 * machine) makes it smaller. Rates that differ are covered by the drift margin of the lease itself.
 */
import type { MemberId } from '../base/ids.ts'
import type { RaftConfig } from './messages.ts'
import { isMajority } from './raft-config.ts'

export class Ballot {
  readonly #granted = new Set<MemberId>()
  /** The latest acknowledgement of any older leader by a voter who granted, on this member's clock. */
  #latestAckMs = -Infinity

  grant(voter: MemberId, nowMs: number, ageMs: number | undefined): void {
    this.#granted.add(voter)
    if (ageMs !== undefined) this.#latestAckMs = Math.max(this.#latestAckMs, nowMs - Math.max(0, ageMs))
  }

  isWon(config: RaftConfig): boolean {
    return isMajority(config, voter => this.#granted.has(voter))
  }

  /** Undefined: nobody ever acknowledged a leader. */
  oldLeaseAgeMs(nowMs: number): number | undefined {
    return this.#latestAckMs === -Infinity ? undefined : nowMs - this.#latestAckMs
  }
}
