/**
 * At most one member at a time serves a partition: is open for it and believes in its lease, by its own clock. Judged
 * from outside, over all members that are awake; one that sleeps serves nobody until it wakes and looks at its clock.
 */
import { isHeld } from '../../lib/base/lease.ts'
import type { Cluster } from '../cluster.ts'

/** Partitions that two or more serve now, with their names. */
export function doublyServed(cluster: Cluster): string[] {
  const problems: string[] = []
  const servers = cluster.machines.flatMap(({ isAwake, running }) => {
    return isAwake && running !== undefined ? [running] : []
  })
  for (let partition = 0; partition < cluster.partitionCount; partition++) {
    const serving = servers.filter(({ peer, process }) => {
      const replica = peer.driver.replication.partition(partition)
      return replica?.tenure?.isOpen === true && isHeld(replica.turn.lease, process.now())
    })
    if (serving.length > 1) {
      const names = serving.map(
        ({ member, peer }) => `${member} (epoch ${peer.driver.replication.partition(partition)?.tenure?.epoch})`,
      )
      problems.push(`partition ${partition} is served by ${names.join(' and ')}`)
    }
  }
  return problems
}
