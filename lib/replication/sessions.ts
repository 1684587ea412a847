/** Sessions of a partition: marks and recorded results (RIFL, Lee et al. 2015). */
import { sessionMember, type SessionId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'

/**
 * What the cluster says of a session, for owners, before anything is logged:
 * 'live' admit; 'ended' answer indeterminate (an earlier copy of the command may have been applied); 'unknown' answer
 * retry 'not-open' (a newcomer that this member has not heard of yet, or one that left long ago; certainly not applied).
 * Within the log the partition's own bounded set of ended sessions decides the same way on all copies.
 */
export function sessionStanding(state: ClusterState, session: SessionId): 'live' | 'ended' | 'unknown' {
  const member = sessionMember(session)
  const ordinal = Number(session.slice(member.length + 1))
  const current = state.members.get(member)?.session ?? 0
  if (ordinal === current && current > 0) return 'live'
  return ordinal < current || state.endedSessions.includes(session) ? 'ended' : 'unknown'
}
