/**
 * Peers that share real structures on virtual time (grid/lone-peer.ts), and what flows need beside: the owners' housekeeping,
 * replication's rule that a command changes a thing once, and the death of a peer.
 */
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import type { Operation } from '../../../lib/replication/command.ts'
import type { Settled } from '../../../lib/replication/caller.ts'
import type { Structures } from '../../../lib/structures/structures.ts'
import type { Arrival, Accepted, OpenSource, Source, SourceHost } from '../../../lib/flow/ports.ts'
import { LoneCluster, type LonePeer } from '../grid/lone-peer.ts'
import type { VirtualEnv } from '../grid/virtual-env.ts'

const tendMs = 20

export class FlowCluster {
  readonly cluster: LoneCluster
  readonly grids: readonly MemberGrid[]
  readonly #dead = new Set<string>()
  #index = 1_000_000

  constructor(...names: readonly string[]) {
    const [cluster, ...grids] = LoneCluster.of(...names)
    this.cluster = cluster
    this.grids = grids
    const execute = cluster.execute.bind(cluster)
    cluster.execute = (partition, session, operations): Settled =>
      this.#conflict(partition, operations) ?? execute(partition, session, operations)
    this.#tend()
  }

  get env(): VirtualEnv {
    return this.cluster.env
  }

  /** Its calls are never answered again; what it held comes back, and the others own what it owned. */
  kill(name: string): void {
    const { cluster } = this
    this.#dead.add(name)
    const peer = cluster.peers.get(name) as LonePeer
    peer.call = peer.ask = peer.transact = (): number => 0
    cluster.peers.delete(name)
    const members = new Map(cluster.state.members)
    members.delete(name)
    const heirs = [...cluster.peers.keys()]
    const partitions = cluster.state.partitions.map((entry, at) =>
      entry.owner === name ? { ...entry, owner: heirs[at % heirs.length] as string, epoch: entry.epoch + 1 } : entry,
    )
    for (const machine of cluster.states) {
      const { monotonicMs, wallMs } = this.env.now()
      const context = { epoch: 1, index: ++this.#index, ordinal: 0, atMs: wallMs, session: `${name}#1`, monotonicMs }
      machine.endSession(`${name}#1`, context)
    }
    for (const [at, entry] of partitions.entries()) {
      const machine = cluster.states[at] as Structures
      const heir = cluster.peers.get(entry.owner ?? '')?.grid
      if (cluster.state.partitions[at]?.owner !== name || heir === undefined) continue
      const copy = heir.createState(at)
      for (const record of machine.snapshot()) copy.restore(record)
      copy.restartLeases(this.env.now().monotonicMs)
      cluster.states[at] = copy
    }
    cluster.apply({ ...cluster.state, members, partitions })
    cluster.turned()
  }

  #conflict(partition: number, operations: readonly Operation[]): Settled | undefined {
    const machine = this.cluster.states[partition] as Structures
    const changed = new Set<string>()
    for (const [at, operation] of operations.entries()) {
      if (/\.(?:check|verify)$|^queue\.put$/.test(operation.kind)) continue
      for (const key of new Set(machine.locks(operation))) {
        if (changed.has(key))
          return { kind: 'refused', code: 'INVALID', message: `twice: ${key}`, operation: at, detail: key }
        changed.add(key)
      }
    }
    return undefined
  }

  #tend(): void {
    const { env, cluster } = this
    const now = env.now()
    for (const [partition, machine] of cluster.states.entries())
      for (const operation of machine.due(now.monotonicMs, now.wallMs, 1_000, () => false))
        cluster.execute(partition, '', [operation])
    cluster.turned()
    env.at(now.monotonicMs + tendMs, () => this.#tend())
  }
}

/** A source that a test puts messages into, at whichever peer has opened it. */
export class HandSource<Body = unknown, Params extends object = { readonly id: string }> {
  readonly hosts: SourceHost[] = []

  get source(): Source<Body, Params> {
    return {
      edge: 'source',
      kind: 'hand',
      settings: null,
      open: (host): Promise<OpenSource> => {
        this.hosts.push(host)
        return Promise.resolve({ close: () => Promise.resolve() })
      },
    }
  }

  async put(params: Params, body: Body, more: Partial<Arrival> = {}, peer = 0): Promise<Accepted> {
    const arrival: Arrival = { params: params as Readonly<Record<string, string>>, body, ...more }
    return await (this.hosts[peer] as SourceHost).accept(arrival)
  }
}
