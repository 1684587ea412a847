/**
 * Copies of a partition that have applied the same entries are equal: the members compare what they folded now and then,
 * this compares at the end what they hold, record by record.
 */
import { hashValue } from '../../lib/base/hash.ts'
import type { SnapshotCursor } from '../../lib/replication/snapshot.ts'
import type { Cluster } from '../cluster.ts'

/** Partitions whose copies differ, with who holds what. */
export function unequalCopies(cluster: Cluster): string[] {
  const problems: string[] = []
  for (let partition = 0; partition < cluster.partitionCount; partition++) {
    const entry = cluster.state?.partitions[partition]
    const members = entry === undefined ? [] : [entry.owner ?? '', ...entry.backups]
    const held = members.flatMap(member => {
      const state = cluster.machineOf(member)?.running?.peer.driver.replication.partition(partition)?.held?.state
      return state === undefined ? [] : [{ member, appliedIndex: state.appliedIndex, hash: hashOf(state.snapshot()) }]
    })
    for (const same of Map.groupBy(held, ({ appliedIndex }) => appliedIndex).values())
      if (new Set(same.map(({ hash }) => hash)).size > 1)
        problems.push(`partition ${partition}: ${same.map(one => `${one.member} ${one.hash}`).join(', ')}`)
  }
  return problems
}

/** Of all records, in whatever order a copy keeps them. */
function hashOf(cursor: SnapshotCursor): number {
  let sum = 0
  for (const record of cursor.next(Infinity) ?? []) sum = (sum + hashValue(record)) >>> 0
  return sum
}
