/**
 * Where records lie: spaces ('map:carts') of immutable records by key, in memory, with exact byte accounting. A record is
 * never changed, only replaced, so a snapshot holds references. The port is what a store on disk or in slabs must
 * offer as well.
 *
 * Accounting, by the formulas of `base/bytes.ts`: record = 192 + text(key) + value. The 192 are its entry in a hash
 * map, and its share of what structures derive from records: places in line, leases, deadlines.
 */
import { plainBytes, textBytes } from '../base/bytes.ts'
import type { Plain } from '../base/shape.ts'
import type { SnapshotRecord, SnapshotRecords } from '../replication/state-machine.ts'
import { OrderedMap } from './ordered-map.ts'

export interface Store {
  /** Sum of `recordBytes` of all records. */
  readonly bytes: number
  get(space: string, key: string): Plain | undefined
  put(space: string, key: string, record: Plain): void
  /** Returns whether it was there. */
  delete(space: string, key: string): boolean
  count(space: string): number
  /** At most `countMax` records after a key, by key in UTF-16 order. */
  page(space: string, after: string | undefined, countMax: number): readonly (readonly [key: string, record: Plain])[]
  /** Every record as it is now, as references; cheap to take, however many there are. */
  snapshot(): SnapshotRecords
}

export class MemoryStore implements Store {
  readonly #spaces = new Map<string, OrderedMap<Plain>>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  get(space: string, key: string): Plain | undefined {
    return this.#spaces.get(space)?.get(key)
  }

  put(space: string, key: string, record: Plain): void {
    let records = this.#spaces.get(space)
    if (records === undefined) this.#spaces.set(space, (records = new OrderedMap()))
    const before = records.set(key, record)
    this.#bytes += before === undefined ? recordBytes(key, record) : plainBytes(record) - plainBytes(before)
  }

  delete(space: string, key: string): boolean {
    const records = this.#spaces.get(space)
    const before = records?.delete(key)
    if (records === undefined || before === undefined) return false
    this.#bytes -= recordBytes(key, before)
    if (records.size === 0) this.#spaces.delete(space)
    return true
  }

  count(space: string): number {
    return this.#spaces.get(space)?.size ?? 0
  }

  page(space: string, after: string | undefined, countMax: number): readonly (readonly [key: string, record: Plain])[] {
    return this.#spaces.get(space)?.page(after, countMax) ?? []
  }

  snapshot(): SnapshotRecords {
    const views: (readonly [string, readonly ReadonlyMap<string, Plain>[]])[] = []
    let length = 0
    for (const [space, records] of this.#spaces) {
      views.push([space, records.view()])
      length += records.size
    }
    return {
      length,
      *[Symbol.iterator](): Iterator<SnapshotRecord> {
        for (const [space, buckets] of views)
          for (const entries of buckets) for (const [key, record] of entries) yield [space, key, record]
      },
    }
  }
}

/** What one record counts. */
export function recordBytes(key: string, record: Plain): number {
  return 192 + textBytes(key) + plainBytes(record)
}

/** `Array.isArray` that narrows a readonly array too. */
export function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value)
}
