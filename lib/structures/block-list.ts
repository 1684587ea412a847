/**
 * Long lists as blocks of 64 elements, one record each, so that a push or pop at either end rewrites one block whatever the
 * length, and is accounted exactly. All blocks but the first and the last are full, so an index is found by arithmetic.
 *
 * Each list has a number of its own, under which its blocks lie: what is dropped leaves at once whatever its length, and
 * its blocks go a few at a time (`free`), while a new list of the same key may grow. Until then they count.
 */
import { positionKey, type Sequences } from './sequences.ts'
import type { Store } from './store.ts'

const space = 'blocks'
/** By number of the list: [first, last] of the blocks still to go. */
const droppedSpace = 'dropped'
const blockLengthMax = 64
/** Blocks that go in one step. */
const freeMax = 256

export type Side = 'left' | 'right'

/** Blocks `first` .. `last` (either may be negative); the first holds `firstLength` elements. 1 <= firstLength <= length. */
export interface Extent {
  /** Number of the list; 0 while it is empty. */
  readonly id: number
  readonly length: number
  readonly first: number
  readonly last: number
  readonly firstLength: number
}

export const emptyExtent: Extent = { id: 0, length: 0, first: 0, last: -1, firstLength: 0 }

export class BlockLists {
  readonly #store: Store
  readonly #sequences: Sequences

  constructor(store: Store, sequences: Sequences) {
    this.#store = store
    this.#sequences = sequences
  }

  /** Each value in turn becomes the outermost. */
  push(extent: Extent, side: Side, values: readonly Uint8Array[]): Extent {
    let { length, first, last, firstLength } = extent
    if (values.length === 0) return extent
    const id = length === 0 ? this.#sequences.nextPosition() : extent.id
    for (let at = 0; at < values.length;) {
      const end = side === 'left' ? first : last
      const block = length === 0 ? [] : this.#block(id, end)
      const isNew = length === 0 || block.length === blockLengthMax
      const kept = isNew ? [] : block
      const part = values.slice(at, at + blockLengthMax - kept.length)
      if (isNew && side === 'left' && length > 0) first--
      else if (isNew) last++
      const joined = side === 'left' ? [...part.toReversed(), ...kept] : [...kept, ...part]
      this.#put(id, side === 'left' ? first : last, joined)
      if (side === 'left' || first === last) firstLength = joined.length
      length += part.length
      at += part.length
    }
    return { id, length, first, last, firstLength }
  }

  /** At most `count` values, outermost first. */
  pop(extent: Extent, side: Side, count: number): readonly [Extent, Uint8Array[]] {
    let { length, first, last, firstLength } = extent
    const { id } = extent
    const popped: Uint8Array[] = []
    while (length > 0 && popped.length < count) {
      const number = side === 'left' ? first : last
      const block = this.#block(id, number)
      const wanted = Math.min(block.length, count - popped.length)
      const part = side === 'left' ? block.slice(0, wanted) : block.slice(-wanted).toReversed()
      for (const value of part) popped.push(value)
      const rest = side === 'left' ? block.slice(wanted) : block.slice(0, block.length - wanted)
      length -= wanted
      if (rest.length > 0) this.#put(id, number, rest)
      else {
        this.#store.delete(space, keyOf(id, number))
        if (side === 'left') first++
        else last--
      }
      if (side === 'left') firstLength = rest.length > 0 ? rest.length : this.#lengthAt(id, first, length)
      else if (first === last && length > 0) firstLength = length
    }
    return [length === 0 ? emptyExtent : { id, length, first, last, firstLength }, popped]
  }

  /** Elements `start` .. `stop`, both included, within the list. */
  range(extent: Extent, start: number, stop: number): Uint8Array[] {
    const values: Uint8Array[] = []
    for (let at = start; at <= stop;) {
      const [number, offset] = locate(extent, at)
      const part = this.#block(extent.id, number).slice(offset, offset + stop - at + 1)
      for (const value of part) values.push(value)
      at += part.length
    }
    return values
  }

  /**
   * Takes out up to `countMax` elements equal to a value, from one side. Reads until it has them; then moves what lies
   * between the outermost of them and the nearer end of the list.
   */
  remove(extent: Extent, side: Side, countMax: number, value: Uint8Array): readonly [Extent, removed: number] {
    const found = this.#find(extent, side, countMax, value)
    const [one, other] = [found[0], found.at(-1)]
    if (one === undefined || other === undefined) return [extent, 0]
    const [lowest, highest] = [Math.min(one, other), Math.max(one, other)]
    const gone = new Set(found)
    const isRight = extent.length - lowest <= highest + 1
    return [isRight ? this.#closeRight(extent, gone, lowest) : this.#closeLeft(extent, gone, highest), found.length]
  }

  /** The list leaves; returns its number if blocks of it are to be freed. */
  drop({ id, length, first, last }: Extent): number | undefined {
    if (length === 0) return undefined
    if (last - first < freeMax) {
      this.#free(id, first, last)
      return undefined
    }
    this.#store.put(droppedSpace, positionKey(id), [first, last])
    return id
  }

  /** Some blocks of a dropped list go; returns whether there are more. */
  free(id: number): boolean {
    const [first, last] = (this.#store.get(droppedSpace, positionKey(id)) ?? [0, -1]) as readonly [number, number]
    const next = Math.min(first + freeMax, last + 1)
    this.#free(id, first, next - 1)
    if (next <= last) this.#store.put(droppedSpace, positionKey(id), [next, last])
    else this.#store.delete(droppedSpace, positionKey(id))
    return next <= last
  }

  /** Indices of equal elements, from one side on. */
  #find({ id, length, first, last }: Extent, side: Side, countMax: number, value: Uint8Array): number[] {
    const found: number[] = []
    const [step, head] = [side === 'left' ? 1 : -1, value[0]]
    let before = side === 'left' ? 0 : length
    for (let number = side === 'left' ? first : last; number >= first && number <= last; number += step) {
      const block = this.#block(id, number)
      if (side === 'right') before -= block.length
      for (let n = 0; n < block.length; n++) {
        const at = side === 'left' ? n : block.length - 1 - n
        const item = block[at] as Uint8Array
        if (item.length !== value.length || item[0] !== head || !isEqual(item, value)) continue
        found.push(before + at)
        if (found.length === countMax) return found
      }
      if (side === 'left') before += block.length
    }
    return found
  }

  /** Leaves out what is gone, from index `lowest` on, and moves what comes after it up. */
  #closeRight(extent: Extent, gone: ReadonlySet<number>, lowest: number): Extent {
    const { id, first, last } = extent
    const [number, offset] = locate(extent, lowest)
    const kept: Uint8Array[] = []
    let write = number
    for (let read = number, at = lowest - offset; read <= last; read++) {
      for (const value of this.#block(id, read)) if (!gone.has(at++)) kept.push(value)
      if (kept.length >= blockLengthMax) this.#put(id, write++, kept.splice(0, blockLengthMax))
    }
    if (kept.length > 0) this.#put(id, write++, kept)
    this.#free(id, write, last)
    return this.#extent(id, extent.length - gone.size, first, write - 1)
  }

  /** The same towards the left, up to index `highest`. */
  #closeLeft(extent: Extent, gone: ReadonlySet<number>, highest: number): Extent {
    const { id, first, last } = extent
    const [number, offset] = locate(extent, highest)
    // Outwards: the last one comes first.
    const kept: Uint8Array[] = []
    let write = number
    let at = highest - offset + this.#block(id, number).length
    for (let read = number; read >= first; read--) {
      for (const value of this.#block(id, read).toReversed()) if (!gone.has(--at)) kept.push(value)
      if (kept.length >= blockLengthMax) this.#put(id, write--, kept.splice(0, blockLengthMax).reverse())
    }
    if (kept.length > 0) this.#put(id, write--, kept.reverse())
    this.#free(id, first, write)
    return this.#extent(id, extent.length - gone.size, write + 1, last)
  }

  #extent(id: number, length: number, first: number, last: number): Extent {
    return length === 0 ? emptyExtent : { id, length, first, last, firstLength: this.#block(id, first).length }
  }

  #free(id: number, first: number, last: number): void {
    for (let number = first; number <= last; number++) this.#store.delete(space, keyOf(id, number))
  }

  #lengthAt(id: number, number: number, length: number): number {
    return length === 0 ? 0 : this.#block(id, number).length
  }

  #block(id: number, number: number): readonly Uint8Array[] {
    return this.#store.get(space, keyOf(id, number)) as readonly Uint8Array[]
  }

  #put(id: number, number: number, block: readonly Uint8Array[]): void {
    this.#store.put(space, keyOf(id, number), block)
  }
}

function locate({ first, firstLength }: Extent, at: number): readonly [number: number, offset: number] {
  if (at < firstLength) return [first, at]
  const beyond = at - firstLength
  return [first + 1 + Math.floor(beyond / blockLengthMax), beyond % blockLengthMax]
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

function keyOf(id: number, number: number): string {
  return `${id}:${number}`
}
