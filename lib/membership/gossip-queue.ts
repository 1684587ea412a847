/**
 * News waiting to be piggybacked (SWIM, section 4.1): the least often sent go first, each is sent a bounded number of
 * times, and a newer claim about a member replaces the older one. At most one claim a member, so bounded by the roster.
 */
import type { MemberId } from '../base/ids.ts'
import type { Claim } from './claim.ts'

export class GossipQueue {
  /** By times sent plus one, urgent ones plus nothing; within one, oldest first. */
  readonly #bySent: Map<MemberId, Claim>[] = []
  /** Position in `#bySent`; 0 <= sent <= transmitMax of the last take. */
  readonly #sent = new Map<MemberId, number>()

  get length(): number {
    return this.#sent.size
  }

  /** An urgent one (a refutation) goes before all others and once more than they. */
  add(claim: Claim, isUrgent: boolean = false): void {
    this.remove(claim.member)
    const sent = isUrgent ? 0 : 1
    this.#sent.set(claim.member, sent)
    this.#level(sent).set(claim.member, claim)
  }

  remove(member: MemberId): void {
    const sent = this.#sent.get(member)
    if (sent === undefined) return
    this.#level(sent).delete(member)
    this.#sent.delete(member)
  }

  /** Up to `countMax` claims, each counted as sent once more; one sent `transmitMax` times leaves. */
  take(countMax: number, transmitMax: number): readonly Claim[] {
    const taken: Claim[] = []
    for (const level of this.#bySent) {
      for (const claim of level.values()) {
        if (taken.length === countMax) break
        taken.push(claim)
      }
    }
    for (const claim of taken) this.#advance(claim, transmitMax)
    return taken
  }

  #advance(claim: Claim, transmitMax: number): void {
    const sent = (this.#sent.get(claim.member) ?? 0) + 1
    this.remove(claim.member)
    if (sent > transmitMax) return
    this.#sent.set(claim.member, sent)
    this.#level(sent).set(claim.member, claim)
  }

  #level(sent: number): Map<MemberId, Claim> {
    while (this.#bySent.length <= sent) this.#bySent.push(new Map())
    return this.#bySent[sent] as Map<MemberId, Claim>
  }
}

/** How often each claim is sent among `memberCount` members: lambda log n (SWIM, section 4.1). */
export function transmitMaxOf(multiplier: number, memberCount: number): number {
  return multiplier * Math.max(1, Math.ceil(Math.log10(memberCount + 1)))
}
