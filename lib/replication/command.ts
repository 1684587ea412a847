/**
 * What a partition's log says and what its callers hear. Commands are deterministic: each copy applies the same entries
 * in the same order, with the time that the owner wrote into the entry, and reaches the same state and outcome.
 * User code never runs here; what it computed travels as a value with the version it was computed from.
 */
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import {
  boolean,
  list,
  number,
  oneOf,
  optional,
  plain,
  record,
  recurring,
  string,
  uint,
  variants,
  type Plain,
  type Shape,
} from '../base/shape.ts'

/** One operation of a structure, e.g. `{ kind: 'map.put', map: 'carts', key: 'c42', value: bytes }`. Opaque to replication. */
export interface Operation {
  readonly kind: string
}

/** A read of one structure, e.g. `{ kind: 'map.get', map: 'carts', key: 'c42' }`. Never logged. */
export interface Query {
  readonly kind: string
}

/** Identity of one call: a retry carries the same one (RIFL, Lee et al. 2015, section 4). */
export interface CallId {
  readonly session: SessionId
  /** 1, 2, 3 ... per (session, partition). */
  readonly sequence: number
  /** The lowest sequence still unanswered at the caller: results below it are dropped. mark <= sequence. */
  readonly mark: number
}

export interface TransactionId {
  /** The session and sequence of the deciding call at the record's partition. */
  readonly session: SessionId
  readonly sequence: number
  /** Where the record lies. */
  readonly partition: PartitionId
}

export type Command =
  /** First entry of an owner's tenure: once committed, it serves. */
  | { readonly kind: 'barrier' }
  /** One operation, or several as one atomic step. */
  | { readonly kind: 'execute'; readonly call: CallId; readonly operations: readonly Operation[] }
  /** Phase one at a participant: check, lock the keys, keep the operations. */
  | {
      readonly kind: 'prepare'
      readonly call: CallId
      readonly transaction: TransactionId
      readonly operations: readonly Operation[]
    }
  /** The decision, at the record's partition, under the transaction's own session and sequence. */
  | {
      readonly kind: 'decide'
      readonly call: CallId
      readonly participants: readonly PartitionId[]
      readonly commit: boolean
    }
  /** A participant waited too long: writes ABORT if there is no decision, else does nothing. */
  | { readonly kind: 'resolve'; readonly transaction: TransactionId }
  /** Phase two at a participant; idempotent. */
  | { readonly kind: 'finish'; readonly transaction: TransactionId; readonly commit: boolean }
  /** All participants acknowledged: the record goes. */
  | { readonly kind: 'forget'; readonly transaction: TransactionId }
  /** The session is over (committed in consensus): its results, marks, locks and message leases go. */
  | { readonly kind: 'end-session'; readonly session: SessionId }
  /** The owner's housekeeping: due entries, ended leases. */
  | { readonly kind: 'maintain'; readonly operations: readonly Operation[] }

export interface LogEntry {
  /** The epoch in which it was first proposed; with `index` its name for ever. */
  readonly epoch: number
  /** 1, 2, 3 ... without gaps. */
  readonly index: number
  /** The owner's hybrid logical time in ms; never decreases along the log. */
  readonly atMs: number
  readonly command: Command
}

export const refusalCodes = [
  'CONFLICT',
  'STALE_TOKEN',
  'FULL',
  'WRONG_TYPE',
  'INVALID',
  'NOT_FOUND',
  'GRID_FULL',
  'NOT_ENOUGH_COPIES',
  'TOO_MANY_OPEN',
  'SESSION_ENDED',
  'CLOSED',
] as const
export type RefusalCode = (typeof refusalCodes)[number]

/** What a caller hears. */
export type Outcome =
  /** It happened; one result per operation. */
  | { readonly kind: 'done'; readonly results: readonly Plain[] }
  /** It did not happen and the same call never will. `operation` is the position of the one that refused. */
  | {
      readonly kind: 'refused'
      readonly code: RefusalCode
      readonly message: string
      readonly operation: number
      readonly detail: Plain
    }
  /** It did not happen; the same call may. `owner` is a hint. */
  | {
      readonly kind: 'retry'
      readonly reason: 'not-owner' | 'not-open' | 'locked' | 'busy' | 'no-lease' | 'few-copies'
      readonly owner: MemberId | undefined
      readonly epoch: number
    }
  /** It may have happened, and nobody can tell any more: its record is below the mark, or its session ended. */
  | { readonly kind: 'indeterminate'; readonly message: string }

const callIdShape: Shape<CallId> = record<CallId>({ session: recurring(), sequence: uint, mark: uint })
const transactionIdShape: Shape<TransactionId> = record<TransactionId>({
  session: string,
  sequence: uint,
  partition: uint,
})

export const outcomeShape: Shape<Outcome> = variants<Outcome>({
  done: [1, record({ results: list(plain) })],
  refused: [2, record({ code: oneOf(...refusalCodes), message: string, operation: uint, detail: plain })],
  retry: [
    3,
    record({
      reason: oneOf('not-owner', 'not-open', 'locked', 'busy', 'no-lease', 'few-copies'),
      owner: optional(string),
      epoch: uint,
    }),
  ],
  indeterminate: [4, record({ message: string })],
})

/** The shape of commands over the operations of the structures above. */
export function commandShape(operation: Shape<Operation>): Shape<Command> {
  const operations = list(operation, 10_000)
  return variants<Command>({
    barrier: [1, record({})],
    execute: [2, record({ call: callIdShape, operations })],
    prepare: [3, record({ call: callIdShape, transaction: transactionIdShape, operations })],
    decide: [4, record({ call: callIdShape, participants: list(uint, 4096), commit: boolean })],
    resolve: [5, record({ transaction: transactionIdShape })],
    finish: [6, record({ transaction: transactionIdShape, commit: boolean })],
    forget: [7, record({ transaction: transactionIdShape })],
    'end-session': [8, record({ session: string })],
    maintain: [9, record({ operations })],
  })
}

export function logEntryShape(command: Shape<Command>): Shape<LogEntry> {
  return record<LogEntry>({ epoch: uint, index: uint, atMs: number, command })
}
