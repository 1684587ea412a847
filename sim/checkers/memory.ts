/** What a member holds stays in proportion to what the clients put in: logs are cut, results dropped, transfers end. */
import type { Cluster } from '../cluster.ts'
import type { World } from '../world.ts'

/** The workloads write a few hundred KiB at most; each partition may keep its log. */
const bytesPerPartitionMax = 4 * 1024 * 1024
const lookIntervalMs = 1_000

export function watchMemory(world: World, cluster: Cluster): void {
  const look = (): void => {
    for (const machine of cluster.machines) {
      const { name, running } = machine
      if (running === undefined) continue
      cluster.observer.inspect(machine, cluster.partitionCount)
      const { bytes } = running.peer.driver.replication
      if (bytes < 0) cluster.observer.violate('memory', `${name} accounts for ${bytes} bytes`)
      if (bytes > bytesPerPartitionMax * cluster.partitionCount) {
        cluster.observer.violate('memory', `${name} holds ${bytes} bytes`)
      }
    }
    world.after(lookIntervalMs, look)
  }
  look()
}
