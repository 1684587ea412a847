/**
 * Ids of clusters that a person has recovered after the loss of most voters (consensus/recovery.ts): the former id with
 * something random behind it, so that whoever bears the former one can tell that it is over.
 */
import type { ClusterId } from './ids.ts'

/** Recoveries that one cluster can go through, as each makes its id longer and a hello has limits. One more is refused. */
export const recoveriesMax = 16

/** Whether the second id is that of a cluster which was recovered, once or more often, into the first. */
export function supersedes(newer: ClusterId, older: ClusterId): boolean {
  return older !== '' && newer.startsWith(`${older}+`)
}

/** `suffix`: random, without '+', at most 12 characters. */
export function recoveredId(cluster: ClusterId, suffix: string): ClusterId {
  return `${cluster}+${suffix}`
}

/** How often it was recovered. */
export function recoveryCount(cluster: ClusterId): number {
  return cluster.split('+').length - 1
}
