/**
 * What an aggregator's groups can be told and asked. A group collects pieces under a key until it is closed: complete, or
 * past its deadline. A closed one waits, whole, until `group.release` takes it out in the command that hands it on; then
 * and while its key is remembered, further pieces of that key are late. Merging is the caller's.
 */
import { bytes, list, oneOf, optional, plain, record, string, uint, type Plain, type Shape } from '../base/shape.ts'
import { cases, type Cases } from './cases.ts'

/** All that is given must hold. With neither, only the deadline or a `group.close` closes it. */
export interface Completion {
  /** Every one of these sources has sent. */
  readonly each?: readonly string[] | undefined
  /** So many pieces in all. */
  readonly size?: number | undefined
}

export type GroupOperation =
  /**
   * -> Added. A source not in `lists` counts once in a group: a second piece of it, or the same `id` again, is a duplicate.
   * Duplicates and late pieces are dropped and counted, or refused as CONFLICT (detail: 'late' | 'duplicate') with
   * `surplus: 'refuse'`. FULL at `keysMax` keys (open, closed and remembered) or `piecesMax` pieces.
   */
  | {
      readonly kind: 'group.add'
      readonly group: string
      readonly key: string
      readonly source: string
      readonly id: string
      readonly body: Uint8Array
      readonly headers?: Plain | undefined
      readonly complete: Completion
      readonly lists?: readonly string[] | undefined
      /** From the first piece. Undefined: no deadline. */
      readonly deadlineMs?: number | undefined
      /** From when it is closed. Default 0: the next piece of the key begins a new group. */
      readonly rememberMs?: number | undefined
      readonly surplus?: 'drop' | 'refuse' | undefined
      /** Default 100,000. */
      readonly keysMax?: number | undefined
      /** Default 10,000. */
      readonly piecesMax?: number | undefined
    }
  /** -> true. Takes a closed group out, once: CONFLICT if it is not there (any more). */
  | { readonly kind: 'group.release'; readonly group: string; readonly generation: number }
  /** -> generation | 0 if none is open. Closes by hand, with reason 'forced'. */
  | { readonly kind: 'group.close'; readonly group: string; readonly key: string }
  /** Housekeeping -> whether it closed. No-op unless this generation is open and due. Reason 'timeout'. */
  | { readonly kind: 'group.expire'; readonly group: string; readonly key: string; readonly generation: number }
  /** Housekeeping -> whether it went. Forgets a remembered key that is due. */
  | { readonly kind: 'group.forget'; readonly group: string; readonly key: string }

export type GroupQuery =
  /** -> null | OpenGroup. */
  | { readonly kind: 'group.get'; readonly group: string; readonly key: string }
  /** -> null | ClosedGroup. */
  | { readonly kind: 'group.closed'; readonly group: string; readonly generation: number }
  /** -> [[generation, key, reason, closedAtMs][], next `after` | null], in the order of closing. `max` 1..1,000. */
  | { readonly kind: 'group.ready'; readonly group: string; readonly after?: number | undefined; readonly max: number }
  /** -> GroupStats. */
  | { readonly kind: 'group.stats'; readonly group: string }

/** `state`: open | closed (by this piece) | late | duplicate. `generation` 0 if late. `pieces` held now. */
export type Added = readonly [state: string, generation: number, pieces: number]
/** In order of arrival. */
export type Piece = readonly [source: string, id: string, body: Uint8Array, headers: Plain]
/** `deadlineAtMs` 0: none. */
export type OpenGroup = readonly [generation: number, deadlineAtMs: number, pieces: readonly Piece[]]
/** `reason`: complete | timeout | forced. */
export type ClosedGroup = readonly [key: string, reason: string, closedAtMs: number, pieces: readonly Piece[]]
/** `late` and `duplicates` count what was dropped since the state began. */
export type GroupStats = readonly [open: number, closed: number, remembered: number, late: number, duplicates: number]

const names = list(string, 1_000)
const completion: Shape<Completion> = record<Completion>({ each: optional(names), size: optional(uint) })

export const groupOperations: Cases<GroupOperation> = cases<GroupOperation>({
  'group.add': [
    60,
    {
      group: string,
      key: string,
      source: string,
      id: string,
      body: bytes,
      headers: optional(plain),
      complete: completion,
      lists: optional(names),
      deadlineMs: optional(uint),
      rememberMs: optional(uint),
      surplus: optional(oneOf('drop', 'refuse')),
      keysMax: optional(uint),
      piecesMax: optional(uint),
    },
  ],
  'group.release': [61, { group: string, generation: uint }],
  'group.close': [62, { group: string, key: string }],
  'group.expire': [63, { group: string, key: string, generation: uint }],
  'group.forget': [64, { group: string, key: string }],
})

export const groupQueries: Cases<GroupQuery> = cases<GroupQuery>({
  'group.get': [60, { group: string, key: string }],
  'group.closed': [61, { group: string, generation: uint }],
  'group.ready': [62, { group: string, after: optional(uint), max: uint }],
  'group.stats': [63, { group: string }],
})
