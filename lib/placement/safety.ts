/**
 * What may be lost still: members without losing an acknowledged write (P1), and voters without losing the power to
 * decide (P7). What `status` and `grid.on('safety')` show.
 *
 * Decision: the level counts copies alone, and the voters are told beside it. Of two members one votes (voters.ts), so a
 * level that counted both would never say that two copies keep what was acknowledged, which they do: without the voter
 * everything waits, for its return or for `skein recover`, and nothing is lost.
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { absenceOf, isAway } from './absence.ts'
import { stayingOf } from './plan.ts'

export interface Safety {
  /** k - 1, where each partition has k live copies or more; -1 while one has none, or the voters no majority. */
  readonly level: number
  /** How many voters may die at once and the others still decide; -1 while they cannot. */
  readonly spareVoters: number
  /** A sentence naming what limits it. */
  readonly reason: string
}

/** Of a member that has no cluster, or no quorum. */
export function noSafety(reason: string): Safety {
  return { level: -1, spareVoters: -1, reason }
}

export function safetyOf(state: ClusterState, voters: readonly MemberId[]): Safety {
  const absence = absenceOf(state)
  const isLive = (member: MemberId): boolean => !isAway(absence, member)
  let fewestCopies = Infinity
  let thin = 0
  for (const entry of state.partitions) {
    const copies = entry.owner !== undefined && isLive(entry.owner) ? stayingOf(entry).filter(isLive).length : 0
    if (copies < fewestCopies) thin = 0
    if (copies <= fewestCopies) thin++
    fewestCopies = Math.min(fewestCopies, copies)
  }
  if (fewestCopies === Infinity) return noSafety('not in a cluster yet')
  const liveVoters = voters.filter(isLive)
  const spareVoters = Math.max(-1, liveVoters.length - (Math.floor(voters.length / 2) + 1))
  const level = spareVoters < 0 ? -1 : fewestCopies - 1
  const limits = [copiesReason(state, fewestCopies, thin), votersReason(state, voters, liveVoters, spareVoters, level)]
  return { level, spareVoters, reason: limits.filter(limit => limit !== undefined).join('; ') }
}

function copiesReason(state: ClusterState, fewest: number, thin: number): string {
  if (fewest === 0) return `${thin} of ${state.partitions.length} partitions wait for their only copy`
  if (state.members.size === 1) return 'alone, one copy'
  const copies = fewest === 1 ? 'one copy' : `${fewest} copies`
  if (fewest < Math.min(state.settings.copies, state.members.size))
    return `${thin} of ${state.partitions.length} partitions have ${copies}; re-copying`
  return `every partition has at least ${copies}`
}

/** Undefined where the voters limit nothing that the copies do not. */
function votersReason(
  { members }: ClusterState,
  voters: readonly MemberId[],
  live: readonly MemberId[],
  spareVoters: number,
  level: number,
): string | undefined {
  if (spareVoters < 0) return `${live.length} of ${voters.length} voters are live, too few to decide`
  if (members.size === 1 || spareVoters >= Math.max(level, 1)) return undefined
  const [first] = live
  if (voters.length === 1 && first !== undefined)
    return `${members.get(first)?.name ?? first} alone votes: without it everything waits`
  const spare = spareVoters === 0 ? 'no' : spareVoters
  return `${live.length} of ${voters.length} voters are live: ${spare} more may die, or everything waits`
}
