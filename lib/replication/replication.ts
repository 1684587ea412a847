/**
 * All partitions of one member: hands messages to them, drives their timers, batches what a turn made ready, and says
 * when it wants to be stepped next. One flush per turn: first everything new is handed to the store, then appends and
 * acknowledgements go out; a copy acknowledges, and an owner counts itself, only when the store has answered.
 *
 * Timers have three grains: commit points wait a few ms for company, the copies of busy partitions are looked at every
 * `sweepMs`, and housekeeping lies in a heap by due time. Nothing else walks over partitions but a change of the table.
 *
 * Replies to this very member are `send` effects too; the driver loops them back.
 */
import type { Instant } from '../base/instant.ts'
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { Machine, Tick } from '../base/machine.ts'
import { Heap } from '../base/heap.ts'
import type { Lease } from '../base/lease.ts'
import type { Shape } from '../base/shape.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { Arrivals } from './arrivals.ts'
import type { Operation, TransactionId } from './command.ts'
import type { ReplicationMessage } from './messages.ts'
import { replicationDefaults, type ReplicationOptions } from './options.ts'
import { PartitionState } from './partition-state.ts'
import { Replica } from './replica.ts'
import type { StateMachine } from './state-machine.ts'
import { Stores } from './stores.ts'
import { Turn, type Budget, type Driven, type ReplicationEffect, type Settlement, type StateSource } from './turn.ts'

export type { Budget, ReplicationEffect, ReplicationRecord } from './turn.ts'

export type ReplicationInput =
  | Tick
  | { readonly kind: 'received'; readonly from: MemberId; readonly message: ReplicationMessage }
  /** Newly applied consensus state. */
  | { readonly kind: 'table'; readonly state: ClusterState }
  /** The node lease is good until then, or was dropped: a moment not after now. */
  | ({ readonly kind: 'lease' } & Lease)
  /** The link came (back) up, or a lane of it was reset: what was in flight is lost. */
  | { readonly kind: 'linkUp' | 'linkDown'; readonly member: MemberId }
  | { readonly kind: 'persisted'; readonly token: number }

export interface ReplicationParts {
  readonly member: MemberId
  readonly seed: number
  /** An empty state machine of the structures, for one partition. */
  readonly createState: (partition: PartitionId) => StateMachine
  /** Prepared operations travel in snapshots. */
  readonly operationShape: Shape<Operation>
  readonly options?: Partial<ReplicationOptions>
  readonly budget: Budget
  /** Instead of `createState`, for tests. */
  readonly states?: StateSource
}

export class Replication implements Machine<ReplicationInput, ReplicationEffect> {
  readonly #turn: Turn
  readonly #replicas = new Map<PartitionId, Replica>()
  readonly #stores = new Stores()
  readonly #arrivals = new Arrivals()
  // Words between owners that are both this member: taken up before the step ends.
  #toSelf: ReplicationMessage[] = []
  readonly #chores = new Heap<Driven>()
  // When each partition is to be tended next; what the heap says otherwise is out of date.
  readonly #tendAtMs = new Map<Driven, number>()
  #sweepAtMs: number | undefined
  readonly #accounted = new Map<Driven, number>()
  #bytes = 0

  constructor(parts: ReplicationParts) {
    const { member, createState, operationShape } = parts
    const states: StateSource = parts.states ?? {
      empty: partition => new PartitionState({ machine: createState(partition), operationShape }),
      restore: partition => PartitionState.restore({ machine: createState(partition), operationShape }),
    }
    this.#turn = new Turn({
      member,
      states,
      options: { ...replicationDefaults, ...parts.options },
      budget: parts.budget,
      settlement: this.#settlement(),
      tendAt: (replica, atMs) => this.#tend(replica, atMs),
    })
  }

  step(now: Instant, input: ReplicationInput): readonly ReplicationEffect[] {
    const turn = this.#turn
    turn.now = now
    turn.effects = []
    switch (input.kind) {
      case 'received':
        this.#receive(input.from, input.message)
        break
      case 'tick':
        this.#tick()
        break
      case 'table':
        this.#configure(input.state)
        break
      case 'lease':
        this.#lease(input)
        break
      case 'linkUp':
        for (const replica of this.#replicas.values()) replica.tenure?.linked(input.member)
        break
      case 'linkDown':
        break
      case 'persisted':
        this.#stores.persisted(input.token)
        break
    }
    for (let message = this.#toSelf.shift(); message !== undefined; message = this.#toSelf.shift())
      this.#receive(turn.member, message)
    return turn.effects
  }

  deadline(): number | undefined {
    const turn = this.#turn
    if (turn.touched.size > 0) return turn.now.monotonicMs
    if (turn.watched.size > 0) this.#sweepAtMs ??= turn.now.monotonicMs + turn.options.sweepMs
    return earliest(earliest(turn.announceAtMs, this.#sweepAtMs), this.#chores.peekRank())
  }

  /** Logs, states and transfers of all partitions here: exact by the formulas of the parts. */
  get bytes(): number {
    for (const replica of this.#turn.touched) this.#account(replica)
    return this.#bytes
  }

  /** For status and tests: what a partition is doing here; undefined if it is not here. */
  partition(partition: PartitionId): Replica | undefined {
    return this.#replicas.get(partition)
  }

  #receive(from: MemberId, message: ReplicationMessage): void {
    switch (message.kind) {
      case 'append':
        return this.#replica(message.partition)?.follower.append(from, message)
      case 'chunk':
        return this.#replica(message.partition)?.follower.chunk(from, message)
      case 'appended':
        return this.#replicas.get(message.partition)?.tenure?.appended(from, message)
      case 'stale':
        return this.#replicas.get(message.partition)?.tenure?.refused(from, message.epoch)
      case 'chunked':
        return this.#replicas.get(message.partition)?.tenure?.chunked(from, message)
      case 'request':
      case 'query':
        if (!this.#arrivals.isFirst(from, message.id)) return
        return this.#replica(message.partition)?.receive(from, message)
      case 'inquire':
        return this.#replicas
          .get(message.transaction.partition)
          ?.tenure?.chores.inquired(message.transaction, message.participant)
      case 'decided':
        return this.#replicas.get(message.participant)?.tenure?.chores.decided(message.transaction, message.commit)
      case 'finished':
        return this.#replicas
          .get(message.transaction.partition)
          ?.tenure?.chores.finished(message.transaction, message.participant)
      case 'reply':
      case 'oversize':
        return
    }
  }

  #tick(): void {
    const turn = this.#turn
    const nowMs = turn.now.monotonicMs
    this.#tendDue(nowMs)
    if (this.#sweepAtMs !== undefined && this.#sweepAtMs <= nowMs) this.#sweep(nowMs)
    this.#flush()
    if (turn.announceAtMs === undefined || turn.announceAtMs > nowMs) return
    turn.announceAtMs = undefined
    const announcing = turn.announcing
    turn.announcing = new Set()
    for (const replica of announcing) replica.announce()
  }

  #flush(): void {
    const turn = this.#turn
    const touched = turn.touched
    turn.end()
    if (touched.size === 0) return
    turn.touched = new Set()
    const persist = this.#stores.collect(touched)
    if (persist !== undefined) turn.effects.push(persist)
    for (const replica of touched) {
      replica.flush()
      this.#account(replica)
    }
  }

  #sweep(nowMs: number): void {
    const turn = this.#turn
    // A sweep that comes late says that this member slept, not that its copies were silent.
    if (nowMs - (this.#sweepAtMs ?? nowMs) > 2 * turn.options.sweepMs) turn.awakeSinceMs = nowMs
    this.#sweepAtMs = undefined
    for (const replica of turn.watched) if (!replica.sweep()) turn.watched.delete(replica)
  }

  #tendDue(nowMs: number): void {
    while ((this.#chores.peekRank() ?? Infinity) <= nowMs) {
      const atMs = this.#chores.peekRank()
      const replica = this.#chores.pop()
      if (replica === undefined || this.#tendAtMs.get(replica) !== atMs) continue
      this.#tendAtMs.delete(replica)
      replica.tend()
    }
  }

  #tend(replica: Driven, atMs: number): void {
    if (atMs >= (this.#tendAtMs.get(replica) ?? Infinity)) return
    this.#tendAtMs.set(replica, atMs)
    this.#chores.push(atMs, replica)
  }

  #configure(state: ClusterState): void {
    const turn = this.#turn
    const before = turn.table
    turn.table = state
    if (state.partitions !== before.partitions) {
      state.partitions.forEach((entry, partition) => {
        if (entry === before.partitions[partition]) return
        const isHere =
          entry.owner === turn.member || entry.backups.includes(turn.member) || entry.learners.includes(turn.member)
        if (isHere || this.#replicas.has(partition)) this.#replica(partition)?.configure(entry)
      })
    }
    if (state.endedSessions === before.endedSessions && state.members === before.members) return
    this.#arrivals.keep(state.members)
    turn.inFlights.keep(state.members)
    turn.bulkInFlights.keep(state.members)
    for (const replica of this.#replicas.values()) replica.tenure?.membersChanged()
  }

  #lease(lease: Lease): void {
    const turn = this.#turn
    if (!turn.hasLease) turn.awakeSinceMs = turn.now.monotonicMs
    turn.lease = lease
  }

  /** The partition's replica, made when first needed; undefined for a number outside of the table. */
  #replica(partition: PartitionId): Replica | undefined {
    const known = this.#replicas.get(partition)
    if (known !== undefined) return known
    const { partitions } = this.#turn.table
    // Before the first table nothing is known about how many there are; no more than the largest count are kept.
    if (partition >= (partitions.length || partitionsMax)) return undefined
    const replica = new Replica(partition, this.#turn)
    this.#replicas.set(partition, replica)
    const entry = partitions[partition]
    if (entry !== undefined) replica.configure(entry)
    return replica
  }

  /** The words go to whoever owns the partition now; lost ones are repeated from where they came. */
  #settlement(): Settlement {
    return {
      inquire: (transaction, participant) =>
        this.#tell(transaction.partition, { kind: 'inquire', transaction, participant }),
      decide: ({ transaction, commit }, participant) =>
        this.#tell(participant, { kind: 'decided', transaction, participant, commit }),
      finished: (transaction: TransactionId, participant) =>
        this.#tell(transaction.partition, { kind: 'finished', transaction, participant }),
    }
  }

  #tell(partition: PartitionId, message: ReplicationMessage): void {
    const owner = this.#turn.table.partitions[partition]?.owner
    if (owner === this.#turn.member) this.#toSelf.push(message)
    else if (owner !== undefined) this.#turn.send(owner, 'data', message)
  }

  #account(replica: Driven): void {
    const bytes = replica.bytes
    this.#bytes += bytes - (this.#accounted.get(replica) ?? 0)
    this.#accounted.set(replica, bytes)
  }
}

/** More partitions than this are never founded. */
const partitionsMax = 65_536

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}
