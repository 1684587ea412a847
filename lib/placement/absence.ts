/**
 * Who is away, for all who ask: the plan of failover, which acts on it, and safety, which says what is left. Two answers
 * would have one name copies that the other has given up.
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'

/** What is about to be agreed about members. */
export interface MemberNews {
  readonly silenced: ReadonlySet<MemberId>
  readonly revived: ReadonlySet<MemberId>
  readonly gone: ReadonlySet<MemberId>
}

export interface Absence {
  /** Its lease ran out: owns nothing, and goes when the new owner asks for it. */
  readonly isSilent: (member: MemberId) => boolean
  /** Dead, or dropped: kept as nothing. */
  readonly isGone: (member: MemberId) => boolean
}

const nothingNew: MemberNews = { silenced: new Set(), revived: new Set(), gone: new Set() }

/** As agreed, and as it will be with `next`. */
export function absenceOf(state: ClusterState, next: MemberNews = nothingNew): Absence {
  return {
    isSilent: member =>
      next.silenced.has(member) || (state.members.get(member)?.state === 'silent' && !next.revived.has(member)),
    isGone: member => next.gone.has(member) || !state.members.has(member),
  }
}

/** A copy at such a member counts for nothing now. */
export function isAway({ isSilent, isGone }: Absence, member: MemberId): boolean {
  return isSilent(member) || isGone(member)
}
