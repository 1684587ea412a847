/**
 * What this member knows of queue shards without asking: which partitions it owns, and how many messages are ready in
 * them. Read from the state machines in place; only a hint, since taking decides.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import type { SpooledState } from './spool-records.ts'

/** The part of `Structures` that routers look at. */
export interface ShardState extends SpooledState {
  readonly changes: { readonly ready: Set<string> }
  readonly bytes: number
  readonly messageCount: number
  ready(queue: string, atMs: number): number
  readyCounts(atMs: number): ReadonlyMap<string, number>
}

export class Shards {
  /** The newest state of each partition at this member, live or being transferred. */
  readonly #states = new Map<PartitionId, ShardState>()
  #owned: readonly PartitionId[] = []
  readonly #ownedSet = new Set<PartitionId>()
  #table: ClusterState['partitions'] | undefined
  #member: MemberId | undefined
  #others: readonly MemberId[] = []
  #members: ClusterState['members'] | undefined

  created(partition: PartitionId, state: ShardState): void {
    this.#states.set(partition, state)
  }

  /** Nothing is held any more: the member starts over. */
  clear(): void {
    this.#states.clear()
    this.#owned = []
    this.#ownedSet.clear()
    this.#others = []
    this.#table = undefined
    this.#members = undefined
  }

  applied(member: MemberId, state: ClusterState): void {
    if (state.partitions !== this.#table || member !== this.#member) {
      this.#owned = state.partitions.flatMap((entry, partition) => (entry.owner === member ? [partition] : []))
      this.#ownedSet.clear()
      for (const partition of this.#owned) this.#ownedSet.add(partition)
      this.#table = state.partitions
    }
    if (state.members !== this.#members || member !== this.#member)
      this.#others = [...state.members.values()]
        .filter(entry => entry.member !== member && entry.holdsData && entry.state === 'live')
        .map(entry => entry.member)
    this.#members = state.members
    this.#member = member
  }

  /** By the table; it serves them unless it has just become their owner. Ascending. */
  get owned(): readonly PartitionId[] {
    return this.#owned
  }

  owns(partition: PartitionId): boolean {
    return this.#ownedSet.has(partition)
  }

  /** Other live members that own or may own. */
  get others(): readonly MemberId[] {
    return this.#others
  }

  ready(partition: PartitionId, queue: string, atMs: number): number {
    return this.#states.get(partition)?.ready(queue, atMs) ?? 0
  }

  /** States of the owned partitions. */
  *states(): Iterable<readonly [PartitionId, ShardState]> {
    for (const partition of this.#owned) {
      const state = this.#states.get(partition)
      if (state !== undefined) yield [partition, state]
    }
  }

  /** Visits each owned shard that got more ready messages since the last time. Cost: one look per owned partition. */
  drain(visit: (queue: string, partition: PartitionId) => void): void {
    for (const partition of this.#owned) {
      const ready = this.#states.get(partition)?.changes.ready
      if (ready === undefined || ready.size === 0) continue
      for (const queue of ready) visit(queue, partition)
      ready.clear()
    }
  }
}
