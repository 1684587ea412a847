/**
 * Text keys in UTF-16 order, as hash maps over adjoining ranges: a bucket that fills is split at its middle key. Get, set
 * and delete cost one binary search over the buckets; a page sorts only the buckets that it reads. Not a B-tree, because
 * nothing here needs order but pages, and hash maps are what V8 is quick at.
 *
 * A view shows one moment for as long as it is read: taking it copies references to the buckets, and the first change to
 * a bucket after that goes to a copy of it. So a million entries cost no more in one go than a thousand.
 */
const bucketLengthMax = 512

interface Bucket<V> {
  /** Smallest key that belongs here. Buckets ascend by it; the first is ''. */
  readonly start: string
  /** What older views hold is never changed. */
  entries: Map<string, V>
  /** Views taken when `entries` became this bucket's own. */
  viewCount: number
}

export class OrderedMap<V> {
  readonly #buckets: Bucket<V>[] = [{ start: '', entries: new Map(), viewCount: 0 }]
  #size = 0
  #viewCount = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    return this.#bucketOf(key).get(key)
  }

  /** Returns what was there before. */
  set(key: string, value: V): V | undefined {
    const at = this.#locate(key)
    const entries = this.#own(this.#buckets[at] as Bucket<V>)
    const before = entries.get(key)
    entries.set(key, value)
    if (before === undefined) {
      this.#size++
      if (entries.size > bucketLengthMax) this.#split(at)
    }
    return before
  }

  /** Returns what was there. */
  delete(key: string): V | undefined {
    const at = this.#locate(key)
    const bucket = this.#buckets[at] as Bucket<V>
    const before = bucket.entries.get(key)
    if (before === undefined) return undefined
    const entries = this.#own(bucket)
    entries.delete(key)
    this.#size--
    if (entries.size === 0 && at > 0) this.#buckets.splice(at, 1)
    return before
  }

  /** The first entries, by key, that lie after a key; undefined: from the start. */
  page(after: string | undefined, countMax: number): [key: string, value: V][] {
    const page: [string, V][] = []
    let at = after === undefined ? 0 : this.#locate(after)
    for (; at < this.#buckets.length && page.length < countMax; at++) {
      const { entries } = this.#buckets[at] as Bucket<V>
      const keys = [...entries.keys()].filter(key => after === undefined || key > after).sort(byText)
      for (const key of keys.slice(0, countMax - page.length)) page.push([key, entries.get(key) as V])
    }
    return page
  }

  /** All entries as they are now, in order of buckets; within one in order of arrival. */
  view(): readonly ReadonlyMap<string, V>[] {
    this.#viewCount++
    return this.#buckets.map(({ entries }) => entries)
  }

  /** To change: no view shows them. */
  #own(bucket: Bucket<V>): Map<string, V> {
    if (bucket.viewCount !== this.#viewCount) {
      bucket.entries = new Map(bucket.entries)
      bucket.viewCount = this.#viewCount
    }
    return bucket.entries
  }

  #bucketOf(key: string): Map<string, V> {
    return (this.#buckets[this.#locate(key)] as Bucket<V>).entries
  }

  #locate(key: string): number {
    let low = 0
    let high = this.#buckets.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#buckets[middle] as Bucket<V>).start <= key) low = middle
      else high = middle - 1
    }
    return low
  }

  #split(at: number): void {
    const { entries } = this.#buckets[at] as Bucket<V>
    const keys = [...entries.keys()].sort(byText)
    const start = keys[keys.length >> 1] as string
    const upper = new Map<string, V>()
    for (const key of keys.slice(keys.length >> 1)) {
      upper.set(key, entries.get(key) as V)
      entries.delete(key)
    }
    this.#buckets.splice(at + 1, 0, { start, entries: upper, viewCount: this.#viewCount })
  }
}

/** UTF-16 order: the same everywhere, unlike a locale's. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
