/**
 * What the partitions of one member share: the moment, the table, the lease, the effects of this step, and which
 * partitions have something to flush. Partitions never see the machine itself, only this.
 */
import type { Instant } from '../base/instant.ts'
import { isHeld, noLease, type Lease } from '../base/lease.ts'
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { Emit, Lane, Persist, Send } from '../base/machine.ts'
import { emptyClusterState, type ClusterState } from '../consensus/cluster-state.ts'
import type { PlacementRequest } from '../placement/requests.ts'
import type { LogEntry, Outcome, TransactionId } from './command.ts'
import { InFlights } from './in-flight.ts'
import type { ReplicationMessage } from './messages.ts'
import type { ReplicationOptions } from './options.ts'
import type { OpenDecision, PartitionState } from './partition-state.ts'
import { outcomeBytes } from './size.ts'

/** What replication asks of the state its log is applied to. */
export type LogState = Pick<PartitionState, keyof PartitionState>

/** Makes states; the machine's own, or a test's. */
export interface StateSource {
  empty(partition: PartitionId): LogState
  restore(partition: PartitionId): {
    readonly bytes: number
    add(records: Parameters<ReturnType<(typeof PartitionState)['restore']>['add']>[0]): void
    finish(nowMonotonicMs: number): LogState
  }
}

export interface Budget {
  /** True: commands that grow the state are refused. */
  isFull(): boolean
}

/** Entries of one partition to make durable. What lies after `afterIndex` in the store is replaced. */
export interface ReplicationRecord {
  readonly partition: PartitionId
  readonly epoch: number
  readonly afterIndex: number
  readonly entries: readonly LogEntry[]
  /** The state now begins with a snapshot taken at this entry; undefined: it goes on. */
  readonly snapshot: { readonly epoch: number; readonly index: number } | undefined
}

export type ReplicationEffect =
  | Send<ReplicationMessage>
  | Persist<readonly ReplicationRecord[]>
  | Emit
  | { readonly kind: 'ask'; readonly request: PlacementRequest }
  /** This member serves the partition now. */
  | { readonly kind: 'opened'; readonly partition: PartitionId; readonly epoch: number }

/** One partition, as far as the machine drives it. */
export interface Driven {
  readonly partition: PartitionId
  readonly bytes: number
  /** What the store has not been given yet. */
  unpersisted(): ReplicationRecord | undefined
  /** The store holds everything up to the entry of this name. */
  persisted(epoch: number, index: number): void
  /** Sends what this turn made ready. */
  flush(): void
  /** Tells copies the commit point. */
  announce(): void
  /** Looks at timers; false if there is nothing to look at until it is touched again. */
  sweep(): boolean
  /** Logs what is due. */
  tend(): void
}

/** Where transactions' words between owners go, whoever the owner is. */
export interface Settlement {
  inquire(transaction: TransactionId, participant: PartitionId): void
  decide(decision: Pick<OpenDecision, 'transaction' | 'commit'>, participant: PartitionId): void
  finished(transaction: TransactionId, participant: PartitionId): void
}

export class Turn {
  now: Instant = { monotonicMs: 0, wallMs: 0 }
  table: ClusterState = emptyClusterState
  effects: ReplicationEffect[] = []
  lease: Lease = noLease
  /** Since when the lease was held without a gap; silence of copies is counted from here at the earliest. */
  awakeSinceMs = 0
  /** Partitions to flush at the end of the turn. */
  touched: Set<Driven> = new Set<Driven>()
  /** Partitions whose timers the sweep looks at. */
  readonly watched: Set<Driven> = new Set<Driven>()
  /** Partitions whose commit point waits for company. */
  announcing: Set<Driven> = new Set<Driven>()
  announceAtMs: number | undefined
  readonly inFlights: InFlights = new InFlights(replica => this.touch(replica))
  /** Of snapshots, on the bulk lane. */
  readonly bulkInFlights: InFlights = new InFlights(replica => this.touch(replica))
  transfers = 0
  #transferCount = 0
  #isFull: boolean | undefined

  readonly member: MemberId
  readonly options: ReplicationOptions
  readonly states: StateSource
  readonly budget: Budget
  readonly settlement: Settlement
  /** Calls `replica.tend()` at the given monotonic ms or later. */
  readonly tendAt: (replica: Driven, atMs: number) => void

  constructor(parts: Pick<Turn, 'member' | 'options' | 'states' | 'budget' | 'settlement' | 'tendAt'>) {
    this.member = parts.member
    this.options = parts.options
    this.states = parts.states
    this.budget = parts.budget
    this.settlement = parts.settlement
    this.tendAt = parts.tendAt
  }

  get hasLease(): boolean {
    return isHeld(this.lease, this.now)
  }

  /** Whether memory is short; looked at once a turn, which takes in little against the part that is held back. */
  get isFull(): boolean {
    return (this.#isFull ??= this.budget.isFull())
  }

  /** A turn is over. */
  end(): void {
    this.#isFull = undefined
  }

  touch(replica: Driven): void {
    this.touched.add(replica)
    this.watched.add(replica)
  }

  announce(replica: Driven): void {
    this.announcing.add(replica)
    this.announceAtMs ??= this.now.monotonicMs + this.options.announceMs
  }

  send(to: MemberId, lane: Lane, message: ReplicationMessage): void {
    this.effects.push({ kind: 'send', to, lane, message })
  }

  reply(to: MemberId, id: number, outcome: Outcome): void {
    this.send(to, 'data', { kind: 'reply', id, outcome })
  }

  /** Replies, unless the caller has no room for so much: then it hears how much room that takes. */
  replyWithin(bytesMax: number, to: MemberId, id: number, outcome: Outcome): void {
    const bytes = to === this.member ? 0 : outcomeBytes(outcome)
    if (bytes <= bytesMax) this.reply(to, id, outcome)
    else this.send(to, 'data', { kind: 'oversize', id, bytes })
  }

  ask(request: PlacementRequest): void {
    this.effects.push({ kind: 'ask', request })
  }

  emit(level: Emit['level'], event: string, fields: Emit['fields']): void {
    this.effects.push({ kind: 'emit', level, event, fields })
  }

  nextTransfer(): number {
    this.#transferCount += 1
    return this.#transferCount
  }
}
