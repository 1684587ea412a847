/** P7: some seconds after the heal every partition answers every machine that is awake. */
import type { Client, Settled } from '../client.ts'
import type { Cluster } from '../cluster.ts'

const probeDeadlineMs = 2_000

export interface Probe {
  readonly isOver: boolean
  /** Who got no answer from what. */
  problems(): string[]
}

/** Adds to a counter in each partition, from each awake machine. */
export function probeLiveness(cluster: Cluster, client: Client): Probe {
  const unanswered = new Map<string, string>()
  let openCount = 0
  cluster.machines.forEach((machine, node) => {
    if (!machine.isAwake) return
    for (let partition = 0; partition < cluster.partitionCount; partition++) {
      openCount++
      const name = `${machine.name} and partition ${partition}`
      unanswered.set(name, 'no answer')
      const settle = (outcome: Settled): void => {
        openCount--
        if (outcome.kind === 'done') unanswered.delete(name)
        else unanswered.set(name, JSON.stringify(outcome))
      }
      const operation = { kind: 'counter.add', counter: 'probe', by: 1 } as const
      client.call(node, partition, [operation], probeDeadlineMs, settle)
    }
  })
  return {
    get isOver() {
      return openCount === 0
    },
    problems: () => {
      const all = [...unanswered]
      const shown = all.slice(0, 3).map(([name, reason]) => `${name}: ${reason}`)
      return all.length === 0 ? [] : [`${all.length} probes failed after the heal, e.g. ${shown.join('; ')}`]
    },
  }
}
