/**
 * What each structure offers to `Structures`: the state machine port cut down to its own operations. State lies in the
 * store alone; what a structure keeps beside it is derived from records and rebuilt by `index`.
 */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import type { StructureOperation } from './operations.ts'
import type { Sequences } from './sequences.ts'
import type { Store } from './store.ts'

/** What structures of one partition share. */
export interface Partition {
  readonly store: Store
  readonly sequences: Sequences
  readonly changes: Changes
}

/** Names of what got something for somebody to do since the owner last drained them. Hints: never part of the state. */
export interface Changes {
  /** Queues with more ready messages. */
  readonly ready: Set<string>
  /** Locks that passed to a waiter. */
  readonly granted: Set<string>
  /** Aggregators with more closed groups. */
  readonly closed: Set<string>
}

export type IsLocked = (key: string) => boolean

export interface Structure<O, Q> {
  locks(subject: O | Q): readonly string[]
  grows(operation: O): boolean
  check(operation: O, context: ApplyContext): Refusal | undefined
  execute(operation: O, context: ApplyContext): Plain
  query(query: Q, atMs: number): QueryResult
  /** Derives what is kept beside the store from one restored record of the structure's own spaces. */
  index?(space: string, key: string, record: Plain): void
  endSession?(session: SessionId, context: ApplyContext, isLocked: IsLocked): void
  /** Next end of a lease, in this copy's monotonic ms. */
  nextEndMs?(): number | undefined
  /** Next deadline in hybrid ms. */
  nextAtMs?(): number | undefined
  due?(nowMonotonicMs: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[]
  restartLeases?(nowMonotonicMs: number): void
}

export const pageMax = 1_000

/** Names of spaces, e.g. 'map:carts'. Remembers the last: made anew for each look it would be hashed anew as well. */
export class Spaces {
  readonly #prefix: string
  #name = ''
  #space: string

  constructor(prefix: string) {
    this.#prefix = prefix
    this.#space = prefix
  }

  of(name: string): string {
    if (name !== this.#name) {
      this.#name = name
      this.#space = this.#prefix + name
    }
    return this.#space
  }
}

export function refusal(code: Refusal['code'], message: string, detail: Plain = null): Refusal {
  return { code, message, detail }
}

export function found(result: Plain): QueryResult {
  return { kind: 'found', result }
}

export function due(...operations: StructureOperation[]): QueryResult {
  return { kind: 'due', operations }
}

export function refused(refusal: Refusal): QueryResult {
  return { kind: 'refused', refusal }
}

/** Undefined if 1 <= max <= pageMax. */
export function pageRefusal(max: number): Refusal | undefined {
  return max >= 1 && max <= pageMax ? undefined : refusal('INVALID', `max must be 1..${pageMax}, not ${max}`)
}

/** When something `inMs` from now is due; 0 stands for never. Stays a safe integer. */
export function dueAtMs(atMs: number, inMs: number | undefined): number {
  return inMs === undefined ? 0 : Math.max(1, Math.min(Math.ceil(atMs) + inMs, Number.MAX_SAFE_INTEGER))
}

/** Whether a due time has come; 0 never does. */
export function isDue(dueMs: number, atMs: number): boolean {
  return dueMs !== 0 && dueMs <= atMs
}
