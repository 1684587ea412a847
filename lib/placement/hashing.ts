/**
 * Which partition a key lives in: its hash modulo the count agreed at founding. The structure's name is left out on
 * purpose: an aggregator's group, its queue shard and its receiver's mark with equal keys share one log, so that a unit
 * of work over them is one command.
 */
import { hashText } from '../base/hash.ts'
import type { PartitionId } from '../base/ids.ts'

export function partitionOf(key: string, partitionCount: number): PartitionId {
  return hashText(key) % partitionCount
}
