/**
 * SCAN over partitions that may move between members meanwhile. A cursor is a partition and a place in it; places are
 * hashes of keys, so they mean the same at each member and whatever comes and goes. Keys are read a partition at a time,
 * ordered by hash and kept a while for the next call: what is there during a whole scan was there when they were read,
 * so it is returned; what came or went meanwhile may be or not, as with Redis.
 */
import { hashText } from '../../base/hash.ts'
import type { PartitionId } from '../../base/ids.ts'
import type { Grid } from '../../grid/handles.ts'

/** Keys kept of one partition; of a larger one the lowest places are kept, and it is read again when they are used up. */
const keysMax = 20_000
/** Partitions kept. */
const windowsMax = 16
const pageLength = 1_000
/** Partitions asked at once while few keys come. */
const partitionsAtOnceMax = 32
/** Places of a partition are 0 (its beginning) .. 2^32. */
const placesPerPartition = 2 ** 33
const seed = 0x5ca1ab1e

type Found = readonly [key: string, type: string]

/** Keys with `from` <= place < `until`, by place. */
interface Window {
  readonly from: number
  readonly until: number
  readonly places: readonly number[]
  readonly keys: readonly Found[]
}

export class Scanner {
  readonly #grid: Grid
  readonly #windows = new Map<PartitionId, Window>()

  constructor(grid: Grid) {
    this.#grid = grid
  }

  /** At least `count` keys, unless it is over: then the next cursor is 0. */
  async scan(cursor: number, count: number): Promise<{ readonly next: number; readonly keys: readonly Found[] }> {
    const partitionCount = this.#grid.partitions.count
    let partition = Math.floor(cursor / placesPerPartition)
    let place = cursor % placesPerPartition
    const keys: Found[] = []
    for (let atOnce = 1; partition < partitionCount; atOnce = Math.min(2 * atOnce, partitionsAtOnceMax)) {
      const ahead = Math.min(atOnce, partitionCount - partition)
      const first = place
      const windows = await Promise.all(
        Array.from({ length: ahead }, (_, step) => this.#window(partition + step, step === 0 ? first : 0)),
      )
      for (const window of windows) {
        const end = take(window, place, count - keys.length, keys)
        if (end < placesPerPartition) return { next: partition * placesPerPartition + end, keys }
        this.#windows.delete(partition)
        partition++
        place = 0
        if (keys.length >= count) return { next: partition < partitionCount ? partition * placesPerPartition : 0, keys }
      }
    }
    return { next: 0, keys }
  }

  async #window(partition: PartitionId, place: number): Promise<Window> {
    const kept = this.#windows.get(partition)
    // A scan that begins here wants to see what is here now.
    if (kept !== undefined && place > 0 && kept.from <= place && place < kept.until) return kept
    const window = await this.#read(partition, place)
    this.#windows.delete(partition)
    if (window.keys.length > 0) this.#windows.set(partition, window)
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= windowsMax) break
      this.#windows.delete(oldest)
    }
    return window
  }

  async #read(partition: PartitionId, from: number): Promise<Window> {
    let found: (readonly [place: number, key: Found])[] = []
    let until = placesPerPartition
    let after: string | undefined
    do {
      const page = await this.#grid.partitions.ask(partition, { kind: 'keyspace.scan', after, max: pageLength })
      const [keys, next] = page as unknown as readonly [readonly Found[], string | null]
      for (const key of keys) {
        const place = hashText(key[0], seed) + 1
        if (place >= from && place < until) found.push([place, key])
      }
      if (found.length > 2 * keysMax) [found, until] = lowest(found)
      after = next ?? undefined
    } while (after !== undefined)
    found.sort(byPlace)
    return { from, until, places: found.map(([place]) => place), keys: found.map(([, key]) => key) }
  }
}

function byPlace([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number {
  return a - b
}

/** The lowest places, those of equal hash together. */
function lowest<T>(found: (readonly [number, T])[]): [(readonly [number, T])[], number] {
  found.sort(byPlace)
  const until = (found[keysMax] as readonly [number, T])[0] + 1
  return [found.filter(([place]) => place < until), until]
}

/** Returns where to go on; `placesPerPartition`: the partition is done. Equal places go together. */
function take({ places, keys, until }: Window, from: number, count: number, into: Found[]): number {
  let at = places.findIndex(place => place >= from)
  if (at < 0) return until
  for (let taken = 0; at < places.length; at++, taken++) {
    if (taken >= count && places[at] !== places[at - 1]) return places[at] as number
    into.push(keys[at] as Found)
  }
  return until
}
