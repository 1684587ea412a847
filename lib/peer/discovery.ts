/**
 * Where a member looks for others. The network dials every seed for ever and resolves names anew each time
 * (transport/dialer.ts), so a DNS name that comes to stand for more peers is followed; here is only which seeds there
 * are, at the first start and after having been expelled.
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'

export interface Discovery {
  readonly seeds: readonly string[]
  readonly expect: number | undefined
}

/** Seeds and how many to found with: as set, without doubles. */
export function firstDiscovery(seeds: readonly string[], expect: number | undefined): Discovery {
  return { seeds: [...new Set(seeds)], expect }
}

/**
 * After having been in a cluster it never founds one: it looks for those it knew, too, and joins. If it knew nobody it
 * was alone, and goes by its settings.
 */
export function nextDiscovery(first: Discovery, member: MemberId, state: ClusterState): Discovery {
  const known = [...state.members.values()].filter(entry => entry.member !== member).flatMap(entry => entry.addresses)
  if (known.length === 0) return first
  return { seeds: [...new Set([...first.seeds, ...known])], expect: undefined }
}
