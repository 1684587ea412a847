/**
 * At most one member at a time serves a partition: is open for it and believes in its lease, by its own clock. Judged
 * from outside, over all members that are awake; one that sleeps serves nobody until it wakes and looks at its clock.
 */
import { isHeld } from '../../lib/base/lease.ts'
import type { Cluster } from '../cluster.ts'
import type { Running } from '../machine.ts'

/** Partitions that two or more serve now, with their names. */
export function doublyServed(cluster: Cluster): string[] {
  const servers: Running[] = []
  for (const { isAwake, running } of cluster.machines) if (isAwake && running !== undefined) servers.push(running)
  const problems: string[] = []
  for (let partition = 0; partition < cluster.partitionCount; partition++) {
    let first: Running | undefined
    for (const server of servers) {
      if (!isServing(server, partition)) continue
      if (first === undefined) first = server
      else
        problems.push(
          `partition ${partition} is served by ${inWords(first, partition)} and by ${inWords(server, partition)}`,
        )
    }
  }
  return problems
}

function isServing({ peer, process }: Running, partition: number): boolean {
  const replica = peer.driver.replication.partition(partition)
  return replica?.tenure?.isOpen === true && isHeld(replica.turn.lease, process.now())
}

function inWords({ member, peer }: Running, partition: number): string {
  return `${member} (epoch ${peer.driver.replication.partition(partition)?.tenure?.epoch})`
}
