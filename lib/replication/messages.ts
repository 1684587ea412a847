/** What replication says between members. */
import type { PartitionId } from '../base/ids.ts'
import { boolean, list, plain, record, string, uint, variants, type Plain, type Shape } from '../base/shape.ts'
import {
  commandShape,
  logEntryShape,
  outcomeShape,
  type Command,
  type LogEntry,
  type Operation,
  type Outcome,
  type Query,
  type TransactionId,
} from './command.ts'

export type ReplicationMessage =
  /** Owner -> copy. `epoch` is the configuration's; entries follow (previousEpoch, previousIndex). Empty entries carry the commit point only. */
  | {
      readonly kind: 'append'
      readonly partition: PartitionId
      readonly epoch: number
      readonly previousEpoch: number
      readonly previousIndex: number
      readonly commitIndex: number
      readonly entries: readonly LogEntry[]
      /** Index and hash of applied state, where the owner wants them compared; index 0 otherwise. */
      readonly hashIndex: number
      readonly hash: number
    }
  /** Copy -> owner: holds everything up to `matchIndex` of the owner's log; `isAccepted` false: the log differs there, go back to `matchIndex` (its own commit point at the lowest). */
  | {
      readonly kind: 'appended'
      readonly partition: PartitionId
      readonly epoch: number
      readonly isAccepted: boolean
      readonly matchIndex: number
      readonly needsSnapshot: boolean
    }
  /** Copy -> owner: your epoch is old. */
  | { readonly kind: 'stale'; readonly partition: PartitionId; readonly epoch: number }
  /** Owner -> copy, bulk lane. Chunk `ordinal` of the snapshot at (lastEpoch, lastIndex); records per PartitionState. */
  | {
      readonly kind: 'chunk'
      readonly partition: PartitionId
      readonly epoch: number
      readonly transfer: number
      readonly ordinal: number
      readonly isLast: boolean
      readonly lastEpoch: number
      readonly lastIndex: number
      readonly records: readonly Plain[]
    }
  | {
      readonly kind: 'chunked'
      readonly partition: PartitionId
      readonly epoch: number
      readonly transfer: number
      readonly ordinal: number
    }
  /** Caller -> owner. `id` is the caller's own; the reply repeats it, and has at most so many bytes (`outcomeBytes`). */
  | {
      readonly kind: 'request'
      readonly id: number
      readonly partition: PartitionId
      readonly epoch: number
      readonly replyBytesMax: number
      readonly command: Command
    }
  | {
      readonly kind: 'query'
      readonly id: number
      readonly partition: PartitionId
      readonly epoch: number
      readonly replyBytesMax: number
      readonly query: Query
    }
  | { readonly kind: 'reply'; readonly id: number; readonly outcome: Outcome }
  /** Instead of a reply that is larger: ask again with room for so many bytes. What was asked for may have happened. */
  | { readonly kind: 'oversize'; readonly id: number; readonly bytes: number }
  /** Between owners, for transactions: participant -> record. */
  | { readonly kind: 'inquire'; readonly transaction: TransactionId; readonly participant: PartitionId }
  /** Record -> participant: the decision, repeated until acknowledged. */
  | {
      readonly kind: 'decided'
      readonly transaction: TransactionId
      readonly participant: PartitionId
      readonly commit: boolean
    }
  /** Participant -> record: finished. */
  | { readonly kind: 'finished'; readonly transaction: TransactionId; readonly participant: PartitionId }

/** The codec over the operations and queries of the structures above. */
export function replicationMessageShape(operation: Shape<Operation>, query: Shape<Query>): Shape<ReplicationMessage> {
  const command = commandShape(operation)
  const entries = list(logEntryShape(command), 10_000)
  const transaction = record<TransactionId>({ session: string, sequence: uint, partition: uint })
  return variants<ReplicationMessage>({
    append: [
      1,
      record({
        partition: uint,
        epoch: uint,
        previousEpoch: uint,
        previousIndex: uint,
        commitIndex: uint,
        entries,
        hashIndex: uint,
        hash: uint,
      }),
    ],
    appended: [
      2,
      record({ partition: uint, epoch: uint, isAccepted: boolean, matchIndex: uint, needsSnapshot: boolean }),
    ],
    stale: [3, record({ partition: uint, epoch: uint })],
    chunk: [
      4,
      record({
        partition: uint,
        epoch: uint,
        transfer: uint,
        ordinal: uint,
        isLast: boolean,
        lastEpoch: uint,
        lastIndex: uint,
        records: list(plain),
      }),
    ],
    chunked: [5, record({ partition: uint, epoch: uint, transfer: uint, ordinal: uint })],
    request: [6, record({ id: uint, partition: uint, epoch: uint, replyBytesMax: uint, command })],
    query: [7, record({ id: uint, partition: uint, epoch: uint, replyBytesMax: uint, query })],
    reply: [8, record({ id: uint, outcome: outcomeShape })],
    inquire: [9, record({ transaction, participant: uint })],
    decided: [10, record({ transaction, participant: uint, commit: boolean })],
    finished: [11, record({ transaction, participant: uint })],
    oversize: [12, record({ id: uint, bytes: uint })],
  })
}
