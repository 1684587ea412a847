/**
 * What a partition's log is applied to: sessions with their recorded results, prepared transactions, decisions, and the
 * structures' state machine. Everything that `apply` does is a function of the entries before it; only what is named
 * "owner only" is volatile, and no copy needs it to stay equal.
 */
import { assert } from '../base/assert.ts'
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Plain, Shape } from '../base/shape.ts'
import type { Command, LogEntry, Operation, Outcome, Query, TransactionId } from './command.ts'
import type { StateMachine } from './state-machine.ts'

export interface PartitionStateOptions {
  /** Empty; the partition state owns it from here on. */
  readonly machine: StateMachine
  /** Prepared operations travel in snapshots. */
  readonly operationShape: Shape<Operation>
  /** A participant asks for the decision after waiting this long, and again at this interval. Default 1,000. */
  readonly inquireAfterMs?: number
  /** An unacknowledged decision is sent again at this interval. Default 200. */
  readonly decideIntervalMs?: number
}

/** A decision that some participants have not acknowledged yet. */
export interface OpenDecision {
  readonly transaction: TransactionId
  readonly commit: boolean
  readonly participants: readonly PartitionId[]
}

export type QueryAnswer =
  | { readonly kind: 'answer'; readonly outcome: Outcome }
  /** Commit these as a `maintain` first, then ask again. */
  | { readonly kind: 'due'; readonly operations: readonly Operation[] }

/** The state at the moment of `snapshot()`, however long it takes to read it. */
export interface SnapshotCursor {
  readonly appliedEpoch: number
  readonly appliedIndex: number
  /** The next records, about `bytesMax` together and at least one; undefined at the end. */
  next(bytesMax: number): readonly Plain[] | undefined
}

export interface PartitionRestore {
  /** Bytes taken in so far. */
  readonly bytes: number
  /** Records in the order in which the cursor gave them. Throws MalformedError. */
  add(records: readonly Plain[]): void
  /** Throws MalformedError if records are missing. */
  finish(nowMonotonicMs: number): PartitionState
}

export class PartitionState {
  constructor(options: PartitionStateOptions) {
    assert(options.machine.bytes === 0, 'a new partition is empty')
  }

  /** Takes a snapshot into an empty machine. */
  static restore(options: PartitionStateOptions): PartitionRestore {
    return missing(options)
  }

  /** Running hash of what was applied; equal on all copies at equal `appliedIndex`. */
  get hash(): number {
    return missing()
  }
  /** Structures, sessions, transactions: exact by the formulas of `size.ts` and the store. */
  get bytes(): number {
    return missing()
  }
  get appliedIndex(): number {
    return missing()
  }
  get appliedEpoch(): number {
    return missing()
  }
  /** Hybrid logical time of the last applied entry. */
  get appliedAtMs(): number {
    return missing()
  }

  /** Applies the entry after `appliedIndex`. The outcome of execute, prepare, decide and resolve (`done` with `[isCommitted]` for the last two). */
  apply(entry: LogEntry, monotonicMs: number): Outcome | undefined {
    return missing(entry, monotonicMs)
  }

  /** Reads the applied state. Keys of prepared transactions answer retry 'locked'. */
  query(query: Query, atMs: number): QueryAnswer {
    return missing(query, atMs)
  }

  /** Whether the command may make the state larger. */
  grows(command: Command): boolean {
    return missing(command)
  }

  snapshot(): SnapshotCursor {
    return missing()
  }

  /** Sessions with marks or results here: those that have ended (`sessionStanding`) are to be ended by an entry. */
  sessions(): Iterable<SessionId> {
    return missing()
  }

  /** The decision: true commit, false abort (recorded, or certain because the deciding call can never apply any more), undefined: none, log a `resolve`. Final once known. */
  decision(transaction: TransactionId): boolean | undefined {
    return missing(transaction)
  }

  /** Participant: whether a `finish` has something to do. If not, acknowledge a `decided` at once. */
  isPrepared(transaction: TransactionId): boolean {
    return missing(transaction)
  }

  /** Owner only: this copy now serves. Leases run in full again, decisions are sent again, inquiries wait anew. */
  promoted(nowMonotonicMs: number): void {
    missing(nowMonotonicMs)
  }

  /** Owner only: when `due`, `openInquiries` or `openDecisions` would return something next, in monotonic ms; undefined if never. */
  nextDueMs(nowMonotonicMs: number, atMs: number): number | undefined {
    return missing(nowMonotonicMs, atMs)
  }

  /** Owner only: what to log now. A command may be returned again while the first one is not applied yet; all are idempotent. */
  due(nowMonotonicMs: number, atMs: number, countMax: number): readonly Command[] {
    return missing(nowMonotonicMs, atMs, countMax)
  }

  /** Owner only: transactions whose decision to ask for now. Each is returned once per `inquireAfterMs`. */
  openInquiries(nowMonotonicMs: number): readonly TransactionId[] {
    return missing(nowMonotonicMs)
  }

  /** Owner only: decisions to send now. Each is returned once per `decideIntervalMs`, at once after it was applied. */
  openDecisions(nowMonotonicMs: number): readonly OpenDecision[] {
    return missing(nowMonotonicMs)
  }

  /** Owner only: a participant has finished. Returns the `forget` to log once all have. */
  acknowledge(transaction: TransactionId, participant: PartitionId, nowMonotonicMs: number): Command | undefined {
    return missing(transaction, participant, nowMonotonicMs)
  }
}

function missing(..._unused: readonly unknown[]): never {
  throw new Error('not there yet')
}
