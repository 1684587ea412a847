/**
 * The port between replication and the structures above it: one value of this holds all structures' data of one
 * partition. Everything but `nextDueMs`, `due` and `restartLeases` is deterministic over the log.
 */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Operation, Query, RefusalCode } from './command.ts'

export interface ApplyContext {
  /** Name of the entry: versions and tokens derive from (epoch, index). */
  readonly epoch: number
  readonly index: number
  /** Position of the operation within its entry: several operations of one entry differ by it. */
  readonly ordinal: number
  /** The owner's hybrid logical time of the entry: TTLs and delays are judged by it. */
  readonly atMs: number
  /** Empty for the owner's own housekeeping. */
  readonly session: SessionId
  /** This copy's own monotonic clock, only to arm volatile lease ends (never compared, hashed, or in a snapshot). */
  readonly monotonicMs: number
}

export interface Refusal {
  readonly code: RefusalCode
  readonly message: string
  readonly detail: Plain
}

/** One immutable record of a snapshot, e.g. ['map:carts', 'c42', [value, epoch, index, expiresAtMs]]. */
export type SnapshotRecord = readonly [space: string, key: string, record: Plain]

/** Those of one moment, for as long as they are read. */
export interface SnapshotRecords extends Iterable<SnapshotRecord> {
  readonly length: number
}

export type QueryResult =
  | { readonly kind: 'found'; readonly result: Plain }
  /** A due entry was met: commit this first, then ask again. */
  | { readonly kind: 'due'; readonly operations: readonly Operation[] }
  /** A lease or other thing forbids: goes to the caller as it is. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }

export interface StateMachine {
  /** Exact bytes of all records, by the accounting of `structures/store.ts`. */
  readonly bytes: number
  /** Which keys a transaction must hold for this operation or query, e.g. ['map:carts/c42']; empty for operations that commute. Deterministic. */
  locks(operation: Operation | Query): readonly string[]
  /** True only if no two of these operations lock the same key: what it can tell at a glance. */
  areApart?(operations: readonly Operation[]): boolean
  /** True if it may make the state larger: refused at the owner when memory is short. */
  grows(operation: Operation): boolean
  /** Why the operation may not be logged at all, whatever the state: copies could not read it from the wire. */
  validate?(operation: Operation): Refusal | undefined
  /** Whether `execute` would refuse, in the state as it is. Changes nothing. */
  check(operation: Operation, context: ApplyContext): Refusal | undefined
  /** Applies an operation that `check` allows; must not refuse then. Returns the result for the caller. */
  execute(operation: Operation, context: ApplyContext): Plain
  /** Reads; `atMs` is the owner's current hybrid logical time. */
  query(query: Query, atMs: number): QueryResult
  /**
   * Releases what the session holds: locks, message leases. What `isLocked` says is held by a transaction (a later session
   * of the member may commit with it) stays for now and ends by time.
   */
  endSession(session: SessionId, context: ApplyContext, isLocked: (key: string) => boolean): void
  /** All records, as references to immutable values: the state at this moment, however long it takes to send them. Must not walk them. */
  snapshot(): SnapshotRecords
  /** Takes one record of a snapshot into an otherwise empty state. */
  restore(record: SnapshotRecord): void
  /** Owner only: when `due` would return something next, as whichever of the two clocks applies, in monotonic ms from `nowMonotonicMs`; undefined if never. */
  nextDueMs(nowMonotonicMs: number, atMs: number): number | undefined
  /** Owner only: the housekeeping operations now due (TTL by `atMs`, leases by `nowMonotonicMs`), at most `countMax`. Skips what `isLocked` says is held by a transaction. */
  due(nowMonotonicMs: number, atMs: number, countMax: number, isLocked: (key: string) => boolean): readonly Operation[]
  /** A new owner gives each lease its full duration again. */
  restartLeases(nowMonotonicMs: number): void
}
