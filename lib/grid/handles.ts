/**
 * What users of the grid hold, as types: the names a program sees and a test can stand in for. `Grid` is what `join`
 * resolves to; the handles of structures cost nothing to make and may be made again for each use. Durations are '5m'
 * or milliseconds everywhere. Every operation rejects within its deadline: with a FailedError if it did not happen, with
 * an IndeterminateError if it may have.
 */
import type { Env } from '../base/env.ts'
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Instant } from '../base/instant.ts'
import type { Emit } from '../base/machine.ts'
import type { Plain } from '../base/shape.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import type { Safety } from '../placement/safety.ts'
import type { Holder, Version } from '../structures/cases.ts'
import type { StructureOperation, StructureQuery } from '../structures/operations.ts'
import type { DeadLetterList, Queue, QueueSettings, TransactionQueue } from './queue-handles.ts'
import type { Group, GroupSettings, TransactionGroup } from './group-handles.ts'
import type { Duration } from './duration.ts'
import type { ValueCodec } from './values.ts'

export interface OperationOptions {
  /** Gives the operation up: AbortedError before it was sent, IndeterminateError after. */
  readonly signal?: AbortSignal | undefined
  /** From now. Longer rides out longer failovers; shorter fails sooner. Default '5s'. */
  readonly deadline?: Duration | undefined
}

export interface WriteOptions extends OperationOptions {
  /** The same key and target again within `remember`, at any member, also after a failover: the first answer, done once. */
  readonly idempotencyKey?: string | undefined
  /** How long the answer is kept. Default '1h'. */
  readonly remember?: Duration | undefined
}

export interface Entry<V> {
  readonly value: V
  /** Never repeated, also when the key is deleted and put again. */
  readonly version: Version
  /** Undefined: stays for ever. */
  readonly remainingMs: number | undefined
}

export interface MapSettings<V> {
  /** Life of an entry from its last put. Default: for ever. */
  readonly ttl?: Duration | undefined
  /** Default `values`: anything msgpack carries. */
  readonly codec?: ValueCodec<V> | undefined
}

export interface PutOptions extends WriteOptions {
  /** Instead of the map's. */
  readonly ttl?: Duration | undefined
  /** ConflictError unless the entry has this version; `detail` is the present one or null. */
  readonly ifVersion?: Version | undefined
  readonly ifAbsent?: boolean | undefined
  readonly ifPresent?: boolean | undefined
}

export interface GridMap<V> {
  readonly name: string
  /** Linearizable. */
  get(key: string, options?: OperationOptions): Promise<V | undefined>
  entry(key: string, options?: OperationOptions): Promise<Entry<V> | undefined>
  has(key: string, options?: OperationOptions): Promise<boolean>
  /** Resolves with the new version when every copy holds it. */
  put(key: string, value: V, options?: PutOptions): Promise<Version>
  /** Whether it existed. */
  delete(key: string, options?: WriteOptions & { readonly ifVersion?: Version | undefined }): Promise<boolean>
  /**
   * Compare-and-set, retried within the deadline: `change` may run several times. Returning undefined deletes the entry.
   * Resolves with what it returned last.
   */
  update<R extends V | undefined>(
    key: string,
    change: (value: V | undefined) => R | Promise<R>,
    options?: PutOptions,
  ): Promise<R>
  /** Gives the entry a new life from now: `ttl`, else the map's. Whether it existed. */
  touch(key: string, options?: WriteOptions & { readonly ttl?: Duration | undefined }): Promise<boolean>
  /** Every entry that stays during the scan, once, in no useful order. Not a snapshot. The deadline is each page's. */
  entries(options?: OperationOptions): AsyncIterable<readonly [key: string, value: V, version: Version]>
  keys(options?: OperationOptions): AsyncIterable<string>
  /** Number of entries, asked of each partition in turn: not a snapshot. */
  size(options?: OperationOptions): Promise<number>
}

export interface LockOptions extends OperationOptions {
  /** How long a grant lasts unless extended. Default '10s', extended on its own while `run` or a `HeldLock` lives. */
  readonly lease?: Duration | undefined
  /** How long to stand in line; then ConflictError. Default: until the deadline. '0s' tries once. */
  readonly wait?: Duration | undefined
  /** 'time': ends by time alone, never extended on its own, outlives this member (HTTP). Default 'session'. */
  readonly holder?: Holder | undefined
}

/** A grant. `await using held = await lock.acquire()` releases it. */
export interface HeldLock extends AsyncDisposable {
  /** One growing number over all grants of this lock: hand it to whatever can check it. */
  readonly fence: number
  /** Aborted the moment the lease is lost by this member's own clock. */
  readonly signal: AbortSignal
  extend(options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void>
  release(options?: OperationOptions): Promise<void>
}

export interface Lock {
  readonly name: string
  /** First come, first served. */
  acquire(options?: LockOptions): Promise<HeldLock>
  /** Holds it while `work` runs. Rejects as `work` does; StaleTokenError if the lease was lost before it ended. */
  run<T>(
    work: (held: { readonly fence: number; readonly signal: AbortSignal }) => T | Promise<T>,
    options?: LockOptions,
  ): Promise<T>
  /** The three below take a fence from anywhere. StaleTokenError unless it is the current grant. */
  extend(fence: number, options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void>
  release(fence: number, options?: OperationOptions): Promise<void>
  verify(fence: number, options?: OperationOptions): Promise<void>
  /** Undefined: free. */
  holder(options?: OperationOptions): Promise<LockState | undefined>
}

export interface LockState {
  readonly fence: number
  /** Undefined: held by time alone. */
  readonly session: SessionId | undefined
  readonly waiterCount: number
}

export interface Counter {
  readonly name: string
  /** 0 if never set. */
  get(options?: OperationOptions): Promise<number>
  /** The new value. Default by 1. */
  add(by?: number, options?: WriteOptions): Promise<number>
  set(value: number, options?: WriteOptions & { readonly ifValue?: number | undefined }): Promise<number>
}

/** Reads record versions, writes are kept back; everything commits at once or not at all. Valid while its function runs. */
export interface Transaction {
  map<V>(name: string, settings?: MapSettings<V>): TransactionMap<V>
  queue<T>(name: string): TransactionQueue<T>
  counter(name: string): { add(by?: number): void }
  group(name: string): TransactionGroup
  /** The commit fails with StaleTokenError unless the fence is current then. */
  lock(name: string): { verify(fence: number): void }
  /** Any operation of the structures, in the partition of `key`. Its result is not seen. */
  run(key: string, operation: StructureOperation): void
}

export interface TransactionMap<V> {
  /** What this transaction wrote, else what is stored; the commit fails if that has changed by then. */
  get(key: string): Promise<V | undefined>
  put(key: string, value: V, options?: { readonly ttl?: Duration | undefined }): void
  delete(key: string): void
}

/** Below the handles: operations and queries by partition, for doors and flows. Results are as operations.ts says. */
export interface Partitions {
  readonly count: number
  /** Partitions this member owns and serves now. */
  readonly owned: readonly PartitionId[]
  of(key: string): PartitionId
  /** One atomic command. */
  run(
    partition: PartitionId,
    operations: readonly StructureOperation[],
    options?: WriteOptions,
  ): Promise<readonly Plain[]>
  ask(partition: PartitionId, query: StructureQuery, options?: OperationOptions): Promise<Plain>
  /** All or none over several partitions. Results only if all lie in one partition, else []. */
  transact(
    parts: readonly { readonly partition: PartitionId; readonly operations: readonly StructureOperation[] }[],
    options?: OperationOptions,
  ): Promise<readonly Plain[]>
}

/** Memory: 'high' at 80 % of the budget (sources pause), 'full' at 90 % (growing writes are refused: GridFullError). */
export type Pressure = 'normal' | 'high' | 'full'

export interface MemberStatus {
  readonly name: string
  readonly member: string
  readonly addresses: readonly string[]
  /** e.g. ['leader', 'voter', 'data']. */
  readonly roles: readonly ('leader' | 'voter' | 'data')[]
  readonly state: 'live' | 'silent' | 'leaving'
  readonly zone: string | undefined
  readonly owned: number
  readonly backups: number
}

export interface GridStatus {
  /** The agreed id; '' while not in a cluster. */
  readonly cluster: string
  /** As given to `join`, e.g. 'shop'. */
  readonly clusterName: string
  readonly self: string
  readonly name: string
  /** Member that leads, as far as this one knows. */
  readonly leader: string | undefined
  /** The highest partition epoch: grows with each change of the table. */
  readonly epoch: number
  readonly safety: Safety
  readonly members: readonly MemberStatus[]
  readonly partitions: {
    readonly count: number
    readonly served: number
    readonly waiting: number
    /** Of the partition that has fewest. */
    readonly copies: number
    /** As many as are asked for, or as there are members to hold them. */
    readonly copiesWanted: number
    /** `minCopies`: below it writes are refused. */
    readonly copiesNeeded: number
  }
  readonly memory: { readonly bytes: number; readonly budgetBytes: number; readonly pressure: Pressure }
  /** Whether it may be sent work: joined, has a lease, is not leaving. */
  readonly isReady: boolean
  /** A sentence when it is not. */
  readonly reason: string
  /** How long this member has been without a lease, ms; 0: it has one, or is none of the cluster's. */
  readonly lapsedMs: number
}

export interface GridEvents {
  /** How many more peers may be lost. */
  safety: Safety
  /** Somebody came, went or changed. */
  member: { readonly member: string; readonly name: string; readonly state: 'live' | 'silent' | 'leaving' | 'gone' }
  /** Everything that is also a log line and a counter. */
  event: Emit
  pressure: Pressure
  /** The session changed; undefined: what it held may be gone. */
  session: SessionId | undefined
  /** The agreed state changed. */
  state: ClusterState
  /** This member was expelled and goes on under a fresh id. */
  restarted: { readonly member: string }
  closed: { readonly reason: string }
}

export interface LeaveResult {
  /** True: others hold everything, or nothing was left. False: this was the last peer, or the deadline passed. */
  readonly isHandedOver: boolean
  /** What this member alone still holds: queued messages and other records. */
  readonly remaining: { readonly messages: number; readonly bytes: number }
}

export interface RecoverResult {
  /** False: nothing was changed, this is what would come of it. */
  readonly isDone: boolean
  readonly cluster: string
  readonly kept: readonly { readonly name: string; readonly member: string }[]
  readonly dropped: readonly { readonly name: string; readonly member: string }[]
  readonly partitionCount: number
  /** Partitions without a copy at those kept: they begin empty. */
  readonly lost: readonly number[]
}

export interface Grid extends AsyncDisposable {
  readonly name: string
  readonly clusterName: string
  /** Changes when the member was expelled and came back. */
  readonly member: string
  /** Clock, timers, randomness and events of this member: what flows take theirs from. */
  readonly env: Env
  readonly now: () => Instant
  readonly addresses: readonly string[]
  map<V>(name: string, settings?: MapSettings<V>): GridMap<V>
  queue<T>(name: string, settings?: QueueSettings<T>): Queue<T>
  dead<T>(name: string): DeadLetterList<T>
  lock(name: string): Lock
  counter(name: string): Counter
  group(name: string, settings?: GroupSettings): Group
  readonly partitions: Partitions
  /** Optimistic: `work` runs again with jittered back-off on conflict, within the deadline (all runs together). */
  transaction<R>(work: (tx: Transaction) => R | Promise<R>, options?: OperationOptions): Promise<R>
  /** Agrees on a named definition, e.g. 'flow/deliveries/3f9c'. The first one wins: resolves with the one in force. */
  define(
    name: string,
    definition: Plain,
    options?: OperationOptions & { readonly isReplacing?: boolean | undefined },
  ): Promise<Plain>
  /** In force, whose names begin with `prefix`. */
  definitions(prefix: string): ReadonlyMap<string, Plain>
  readonly session: SessionId | undefined
  readonly pressure: Pressure
  readonly safety: Safety
  status(): GridStatus
  /** Returns how to stop listening. */
  on<E extends keyof GridEvents>(event: E, listener: (value: GridEvents[E]) => void): () => void
  /** Resolves when the grid answers: joined, session granted. Rejects with UnavailableError that says why at the deadline. */
  ready(options?: OperationOptions): Promise<void>
  /** Stops consumers, finishes what is in hand, hands everything over, leaves. Default deadline '30s'. Does not close. */
  leave(options?: OperationOptions): Promise<LeaveResult>
  /**
   * After most voters died at once, a person's word that they are gone for good: goes on with the members that this one
   * reaches. Without `isSure` only says what would come of it. Rejects with InvalidError where it must not be done.
   */
  recover(options?: OperationOptions & { readonly isSure?: boolean | undefined }): Promise<RecoverResult>
  /** Everything that this member still owns, in chunks for a spool file. Call after `leave`, before `close`. */
  spool(): AsyncIterable<Uint8Array>
  /** Takes a spool in, exactly once however often it is called with the same one. Resolves with the number of records. */
  load(spool: AsyncIterable<Uint8Array>): Promise<number>
  /** Ends at once: what is in hand is aborted, others take over as after a crash. */
  close(): Promise<void>
}
