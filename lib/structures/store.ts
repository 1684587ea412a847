/**
 * Where records lie: spaces ('map:carts') of immutable records by key, in memory, with exact byte accounting. A record is
 * never changed, only replaced, so a snapshot is a list of references. The port is what a store on disk or in slabs must
 * offer as well.
 *
 * Accounting, a formula that every copy computes alike and that errs upwards for V8 on 64 bits:
 *   record   = 96 + text(key) + value     (map entry, and its share of derived indices)
 *   text     = 16 + 2 * length
 *   bytes    = 96 + byteLength
 *   array    = 16 + sum(8 + item)
 *   object   = 16 + sum(8 + text(name) + item)
 *   number, boolean, null = 8
 */
import type { Plain } from '../base/shape.ts'
import type { SnapshotRecord } from '../replication/state-machine.ts'
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
  /** Every record, as references. */
  snapshot(): SnapshotRecord[]
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

  snapshot(): SnapshotRecord[] {
    const out: SnapshotRecord[] = []
    for (const [space, records] of this.#spaces) records.forEach((key, record) => out.push([space, key, record]))
    return out
  }
}

/** What one record counts. */
export function recordBytes(key: string, record: Plain): number {
  return 96 + textBytes(key) + plainBytes(record)
}

export function plainBytes(value: Plain): number {
  if (typeof value === 'string') return textBytes(value)
  if (typeof value !== 'object' || value === null) return 8
  if (value instanceof Uint8Array) return 96 + value.byteLength
  let sum = 16
  if (isList(value)) for (let i = 0; i < value.length; i++) sum += 8 + plainBytes(value[i] as Plain)
  else for (const name of Object.keys(value)) sum += 8 + textBytes(name) + plainBytes(value[name] ?? null)
  return sum
}

function textBytes(text: string): number {
  return 16 + 2 * text.length
}

/** `Array.isArray` that narrows a readonly array too. */
export function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value)
}
