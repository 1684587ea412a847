/** One request to the owner of a partition, and what is known of it: the record that `requests.ts` keeps. */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { Answer } from './answer.ts'
import type { CallLane } from './call-lane.ts'
import type { Operation, Query, TransactionId } from './command.ts'
import { valueBytes, type Placed } from './send-window.ts'
import type { Waking } from './wakes.ts'

export type RequestBody =
  | { readonly kind: 'execute'; readonly operations: readonly Operation[] }
  | { readonly kind: 'prepare'; readonly transaction: TransactionId; readonly operations: readonly Operation[] }
  | { readonly kind: 'decide'; readonly participants: readonly PartitionId[]; readonly commit: boolean }
  | { readonly kind: 'query'; readonly query: Query }

export interface Request extends Waking, Placed<Request> {
  readonly partition: PartitionId
  readonly body: RequestBody
  /** On the monotonic clock. */
  readonly deadlineMs: number
  /** A transaction gives way instead of waiting for a key. */
  readonly isLockedFinal: boolean
  readonly answered: (answer: Answer, nowMs: number) => void
  /** Where its sequence comes from, once it has one; of the session at that time. */
  lane: CallLane | undefined
  sequence: number
  /** held: its owner has enough under way. */
  state: 'waiting' | 'held' | 'sent' | 'backing-off' | 'answered'
  /** What it counts as while it is under way: what it carries, and the room for its reply. */
  bytes: number
  replyBytesMax: number
  sentTo: MemberId | undefined
  hint: MemberId | undefined
  hopCount: number
  sentCount: number
  /** Sendings not answered by a retry: 0 means certainly not applied. */
  unansweredCount: number
  /** Newest last. */
  readonly sendings: number[]
  retransmitMs: number
}

export type NewRequest = Pick<Request, 'partition' | 'body' | 'deadlineMs' | 'isLockedFinal' | 'answered'>

/** A sequence of a lane that is kept for a request to come. */
export interface Reserved {
  readonly lane: CallLane
  readonly sequence: number
}

/** Bytes that it carries. */
export function bytesOf(body: RequestBody): number {
  return body.kind === 'execute' || body.kind === 'prepare' ? valueBytes(body.operations) : 0
}

/** Results that its answer brings, at least 1. */
export function resultCount(body: RequestBody): number {
  return body.kind === 'execute' ? Math.max(1, body.operations.length) : 1
}
