/**
 * The two growing numbers of a partition. A fence names a grant of a lock or a message lease and is larger than all before
 * it; should all copies be lost, the epoch in its upper bits keeps it growing. A position names a message, a dead letter
 * or a group, in order of arrival.
 *
 * Decision: one number instead of (epoch, index, ordinal), because what checks a fence is often outside (a table's column,
 * a file's name) and compares numbers. 2^32 grants an epoch fit into 53 bits for two million epochs; more of either and the
 * number still grows by one.
 */
import { isList, type Store } from './store.ts'

const space = 'meta'
const key = 'sequences'
const epochMax = 2 ** 21 - 1

export class Sequences {
  readonly #store: Store
  #fence = 0
  #position = 0

  constructor(store: Store) {
    this.#store = store
  }

  nextFence(epoch: number): number {
    this.#fence = Math.max(this.#fence + 1, Math.min(epoch, epochMax) * 2 ** 32 + 1)
    this.#keep()
    return this.#fence
  }

  nextPosition(): number {
    this.#position++
    this.#keep()
    return this.#position
  }

  /** After a restore. */
  reload(): void {
    const record = this.#store.get(space, key)
    if (record === undefined || !isList(record)) return
    this.#fence = record[0] as number
    this.#position = record[1] as number
  }

  #keep(): void {
    this.#store.put(space, key, [this.#fence, this.#position])
  }
}

/** A position as a key: keys order as positions do. */
export function positionKey(position: number): string {
  return String(position).padStart(16, '0')
}
