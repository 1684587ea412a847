/**
 * How many more members may be lost without losing an acknowledged write or the quorum: the least over all partitions
 * and the voters. What `status`, readiness and `grid.on('safety')` show (P1, P8, P9).
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { absenceOf, isAway } from './absence.ts'
import { stayingOf } from './copies.ts'

export interface Safety {
  /** k - 1; -1 while some partition has no live copy or the voters no majority. */
  readonly level: number
  /** A sentence naming what limits it. */
  readonly reason: string
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
  if (fewestCopies === Infinity) return { level: -1, reason: 'not in a cluster yet' }
  const liveVoters = voters.filter(isLive).length
  const spareVoters = liveVoters - (Math.floor(voters.length / 2) + 1)
  const level = Math.min(fewestCopies - 1, spareVoters)
  return { level: Math.max(level, -1), reason: reasonOf(state, level, fewestCopies, thin, liveVoters, voters.length) }
}

function reasonOf(
  state: ClusterState,
  level: number,
  fewestCopies: number,
  thin: number,
  liveVoters: number,
  voterCount: number,
): string {
  if (fewestCopies === 0) return `${thin} of ${state.partitions.length} partitions wait for their only copy`
  if (level < fewestCopies - 1) return `${liveVoters} of ${voterCount} voters are live`
  if (state.members.size === 1) return 'alone, one copy'
  const copies = fewestCopies === 1 ? 'one copy' : `${fewestCopies} copies`
  if (fewestCopies < Math.min(state.settings.copies, state.members.size))
    return `${thin} of ${state.partitions.length} partitions have ${copies}; re-copying where memory allows`
  return `every partition has at least ${copies}`
}
