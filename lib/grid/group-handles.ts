/**
 * What aggregators hold, as types: pieces collected under a key until the group is closed (complete, due, or by hand),
 * then taken out once, whole. See structures/group-operations.ts for the rules.
 */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Completion } from '../structures/group-operations.ts'
import type { Duration } from './duration.ts'
import type { OperationOptions, WriteOptions } from './handles.ts'

export interface GroupSettings {
  /** All that is given must hold. With neither, only the deadline or `close` closes a group. */
  readonly complete?: Completion | undefined
  /** Sources that may send several pieces; each other one counts once. */
  readonly lists?: readonly string[] | undefined
  /** From the first piece. Default: none. */
  readonly timeout?: Duration | undefined
  /** How long a released key is remembered, so that late pieces are dropped. Default '10m'. */
  readonly remember?: Duration | undefined
  /** Late and duplicate pieces: dropped and counted, or refused with ConflictError. Default 'drop'. */
  readonly surplus?: 'drop' | 'refuse' | undefined
  /** Keys in one partition, open, closed and remembered. Default 100,000. */
  readonly keysMax?: number | undefined
  /** Pieces of one group. Default 10,000. */
  readonly piecesMax?: number | undefined
}

/** Bodies are bytes: whoever aggregates encodes its own messages. */
export interface NewPiece {
  readonly source: string
  readonly id: string
  readonly body: Uint8Array
  readonly headers?: Plain | undefined
}

export interface AddedPiece {
  /** 'closed': by this piece. */
  readonly state: 'open' | 'closed' | 'late' | 'duplicate'
  /** Names the group for `closed` and `release`; 0 if late. */
  readonly generation: number
  /** Held now. */
  readonly pieces: number
}

export interface ClosedGroupRef {
  readonly partition: PartitionId
  readonly generation: number
}

export interface ReadyGroup extends ClosedGroupRef {
  readonly key: string
  readonly reason: 'complete' | 'timeout' | 'forced'
  readonly closedAtMs: number
}

export interface CollectedGroup extends ReadyGroup {
  /** In order of arrival. */
  readonly pieces: readonly Required<NewPiece>[]
}

export interface GroupCounts {
  readonly open: number
  readonly closed: number
  readonly remembered: number
  readonly late: number
  readonly duplicates: number
}

export interface Group {
  readonly name: string
  add(key: string, piece: NewPiece, options?: WriteOptions): Promise<AddedPiece>
  /** Closed ones that wait in the given partition, oldest first. */
  ready(
    partition: PartitionId,
    options?: OperationOptions & { readonly max?: number | undefined },
  ): Promise<readonly ReadyGroup[]>
  /** Undefined: it was released. */
  closed(group: ClosedGroupRef, options?: OperationOptions): Promise<CollectedGroup | undefined>
  /** Takes it out; ConflictError if somebody did. To hand it on in the same step, use a transaction. */
  release(group: ClosedGroupRef, options?: OperationOptions): Promise<void>
  /** By hand, with reason 'forced'. Undefined: none is open. */
  close(key: string, options?: OperationOptions): Promise<ClosedGroupRef | undefined>
  counts(options?: OperationOptions): Promise<GroupCounts>
}

export interface TransactionGroup {
  /** Its answer is not seen: read `ready` or `closed` after the commit. */
  add(key: string, piece: NewPiece, settings?: GroupSettings): void
  /** The commit fails with ConflictError if somebody released it. */
  release(group: ClosedGroupRef): void
}
