/**
 * Long lists as blocks of 64 elements, one record each, so that a push or pop at either end rewrites one block whatever the
 * length, and is accounted exactly. All blocks but the first and the last are full, so an index is found by arithmetic.
 */
import type { Store } from './store.ts'

const space = 'blocks'
const blockLengthMax = 64

export type Side = 'left' | 'right'

/** Blocks `first` .. `last` (either may be negative); the first holds `firstLength` elements. 1 <= firstLength <= length. */
export interface Extent {
  readonly length: number
  readonly first: number
  readonly last: number
  readonly firstLength: number
}

export const emptyExtent: Extent = { length: 0, first: 0, last: -1, firstLength: 0 }

export class BlockLists {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Each value in turn becomes the outermost. */
  push(key: string, extent: Extent, side: Side, values: readonly Uint8Array[]): Extent {
    let { length, first, last, firstLength } = extent
    for (let at = 0; at < values.length;) {
      const end = side === 'left' ? first : last
      const block = length === 0 ? [] : this.#block(key, end)
      const isNew = length === 0 || block.length === blockLengthMax
      const kept = isNew ? [] : block
      const part = values.slice(at, at + blockLengthMax - kept.length)
      if (isNew && side === 'left' && length > 0) first--
      else if (isNew) last++
      const joined = side === 'left' ? [...part.toReversed(), ...kept] : [...kept, ...part]
      this.#put(key, side === 'left' ? first : last, joined)
      if (side === 'left' || first === last) firstLength = joined.length
      length += part.length
      at += part.length
    }
    return { length, first, last, firstLength }
  }

  /** At most `count` values, outermost first. */
  pop(key: string, extent: Extent, side: Side, count: number): readonly [Extent, Uint8Array[]] {
    let { length, first, last, firstLength } = extent
    const popped: Uint8Array[] = []
    while (length > 0 && popped.length < count) {
      const number = side === 'left' ? first : last
      const block = this.#block(key, number)
      const wanted = Math.min(block.length, count - popped.length)
      const part = side === 'left' ? block.slice(0, wanted) : block.slice(-wanted).toReversed()
      for (const value of part) popped.push(value)
      const rest = side === 'left' ? block.slice(wanted) : block.slice(0, block.length - wanted)
      length -= wanted
      if (rest.length > 0) this.#put(key, number, rest)
      else {
        this.#store.delete(space, keyOf(key, number))
        if (side === 'left') first++
        else last--
      }
      if (side === 'left') firstLength = rest.length > 0 ? rest.length : this.#lengthAt(key, first, length)
      else if (first === last && length > 0) firstLength = length
    }
    return [length === 0 ? emptyExtent : { length, first, last, firstLength }, popped]
  }

  /** Elements `start` .. `stop`, both included, within the list. */
  range(key: string, extent: Extent, start: number, stop: number): Uint8Array[] {
    const values: Uint8Array[] = []
    for (let at = start; at <= stop;) {
      const [number, offset] = locate(extent, at)
      const part = this.#block(key, number).slice(offset, offset + stop - at + 1)
      for (const value of part) values.push(value)
      at += part.length
    }
    return values
  }

  drop(key: string, { length, first, last }: Extent): void {
    if (length > 0) for (let number = first; number <= last; number++) this.#store.delete(space, keyOf(key, number))
  }

  #lengthAt(key: string, number: number, length: number): number {
    return length === 0 ? 0 : this.#block(key, number).length
  }

  #block(key: string, number: number): readonly Uint8Array[] {
    return this.#store.get(space, keyOf(key, number)) as readonly Uint8Array[]
  }

  #put(key: string, number: number, block: readonly Uint8Array[]): void {
    this.#store.put(space, keyOf(key, number), block)
  }
}

function locate({ first, firstLength }: Extent, at: number): readonly [number: number, offset: number] {
  if (at < firstLength) return [first, at]
  const beyond = at - firstLength
  return [first + 1 + Math.floor(beyond / blockLengthMax), beyond % blockLengthMax]
}

/** The number comes first: keys are any text. */
function keyOf(key: string, number: number): string {
  return `${number}:${key}`
}
