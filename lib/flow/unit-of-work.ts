/**
 * What the steps between two queues want to happen, gathered until it can be committed as one: operations of the grid
 * with the partition each lies in, and what goes to journals. Nothing here has happened yet.
 */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { GroupAddress, AggregatorNode } from './components/aggregator.ts'
import type { Mark } from './components/idempotent-receiver.ts'
import type { Departure } from './ports.ts'

/** `partition` undefined: wherever the rest of the unit lies. */
export interface Placed {
  readonly partition: PartitionId | undefined
  readonly operation: StructureOperation
  /** Two of one command must not change the same thing; undefined: it changes nothing that another could. */
  readonly lock: string | undefined
}

/** Told what the group said to a piece. */
export interface AddedPiece {
  readonly node: AggregatorNode
  readonly address: GroupAddress
  /** Place of its operation in the unit. */
  readonly at: number
  readonly partition: PartitionId
}

export class UnitOfWork {
  readonly placed: Placed[] = []
  readonly marks: { readonly mark: Mark; readonly partition: PartitionId; readonly id: string }[] = []
  readonly added: AddedPiece[] = []
  /** By step number. */
  readonly journaled: Map<number, Departure[]> = new Map()
  /** Its one operation is a `once.run` around all that was placed. */
  isOnce = false
  /** Messages that a filter held back. */
  filteredCount = 0

  place(operation: StructureOperation, partition?: PartitionId, lock?: string): number {
    this.placed.push({ partition, operation, lock })
    return this.placed.length - 1
  }

  journal(step: number, departure: Departure): void {
    const departures = this.journaled.get(step)
    if (departures === undefined) this.journaled.set(step, [departure])
    else departures.push(departure)
  }

  /** Whether it all lies in one partition, given that the rest lies in `home`. */
  liesIn(home: PartitionId): boolean {
    return this.placed.every(({ partition = home }) => partition === home)
  }
}

/** What became of a unit. */
export type Fate =
  /** `results` in the order of `placed`; undefined if the commit spanned partitions and they are not known. */
  | { readonly kind: 'committed'; readonly results: readonly Plain[] | undefined }
  /** Its receiver has seen the key: this is the first one's id. Or its group has that piece: undefined. */
  | { readonly kind: 'duplicate'; readonly id: string | undefined }
  /** Its group is over, and what comes late is not to be dropped. */
  | { readonly kind: 'late' }
  /** Somebody else did it, or has the message now. `isStale`: the message's own lease says so. */
  | { readonly kind: 'superseded'; readonly isStale: boolean }
  | { readonly kind: 'failed'; readonly error: unknown }
