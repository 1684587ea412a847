/**
 * When things are due: a map, and a binary heap in which each deadline knows its place, so that setting, ending and taking
 * cost O(log n) and nothing stale is left to be swept out. Derived from
 * records, never part of the state.
 */
interface Deadline<K, V> {
  readonly key: K
  readonly value: V
  /** When to speak of it: its due time, or later if it was put off. */
  rankMs: number
  order: number
  /** Place in the heap; -1 while it is out. */
  at: number
}

/** What is skipped counts against what may be named, this many to one: else a list of what can not go would be walked whole. */
const skipsPerName = 4

export class Deadlines<K, V> {
  readonly #live = new Map<K, Deadline<K, V>>()
  readonly #heap: Deadline<K, V>[] = []
  #order = 0

  get size(): number {
    return this.#live.size
  }

  has(key: K): boolean {
    return this.#live.has(key)
  }

  get(key: K): V | undefined {
    return this.#live.get(key)?.value
  }

  /** When to speak of it. */
  rankMs(key: K): number | undefined {
    return this.#live.get(key)?.rankMs
  }

  /** Replaces an earlier deadline of the key. `order` decides between equal ones: the time of setting, unless it is given. */
  set(key: K, dueMs: number, value: V, order: number = this.#order++): void {
    this.delete(key)
    const deadline: Deadline<K, V> = { key, value, rankMs: dueMs, order, at: -1 }
    this.#live.set(key, deadline)
    this.#insert(deadline)
  }

  delete(key: K): boolean {
    const deadline = this.#live.get(key)
    if (deadline === undefined) return false
    this.#live.delete(key)
    if (deadline.at >= 0) this.#remove(deadline)
    return true
  }

  /** The earliest; undefined if there is none. */
  nextMs(): number | undefined {
    return this.#heap[0]?.rankMs
  }

  /** Whose deadline is the earliest. */
  nextKey(): K | undefined {
    return this.#heap[0]?.key
  }

  /** How many are due, counted up to a limit. */
  countDue(nowMs: number, countMax: number, at = 0): number {
    const deadline = this.#heap[at]
    if (deadline === undefined || deadline.rankMs > nowMs || countMax <= 0) return 0
    const left = 1 + this.countDue(nowMs, countMax - 1, 2 * at + 1)
    return left + this.countDue(nowMs, countMax - left, 2 * at + 2)
  }

  /**
   * Names those that are due, and puts them off by `againMs`: they go when what the caller does about it is committed. At
   * most `countMax` of which `visit` says that they count, and at most four times as many in all.
   */
  name(nowMs: number, countMax: number, againMs: number, visit: (key: K, value: V) => boolean): void {
    const named: Deadline<K, V>[] = []
    for (let count = 0; count < countMax && named.length < skipsPerName * countMax;) {
      const deadline = this.#heap[0]
      if (deadline === undefined || deadline.rankMs > nowMs) break
      this.#remove(deadline)
      named.push(deadline)
      if (visit(deadline.key, deadline.value)) count++
    }
    for (const deadline of named) {
      if (this.#live.get(deadline.key) !== deadline) continue
      deadline.rankMs = nowMs + againMs
      deadline.order = this.#order++
      this.#insert(deadline)
    }
  }

  #insert(deadline: Deadline<K, V>): void {
    deadline.at = this.#heap.length
    this.#heap.push(deadline)
    this.#rise(deadline)
  }

  #remove(deadline: Deadline<K, V>): void {
    const last = this.#heap.pop() as Deadline<K, V>
    if (last !== deadline) {
      this.#place(last, deadline.at)
      this.#rise(last)
      this.#sink(last)
    }
    deadline.at = -1
  }

  #rise(deadline: Deadline<K, V>): void {
    while (deadline.at > 0) {
      const above = this.#heap[(deadline.at - 1) >> 1] as Deadline<K, V>
      if (!isBefore(deadline, above)) return
      const { at } = above
      this.#place(above, deadline.at)
      this.#place(deadline, at)
    }
  }

  #sink(deadline: Deadline<K, V>): void {
    for (;;) {
      const left = this.#heap[2 * deadline.at + 1]
      const right = this.#heap[2 * deadline.at + 2]
      const below = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      if (below === undefined || !isBefore(below, deadline)) return
      const { at } = below
      this.#place(below, deadline.at)
      this.#place(deadline, at)
    }
  }

  #place(deadline: Deadline<K, V>, at: number): void {
    this.#heap[at] = deadline
    deadline.at = at
  }
}

function isBefore<K, V>(a: Deadline<K, V>, b: Deadline<K, V>): boolean {
  return a.rankMs < b.rankMs || (a.rankMs === b.rankMs && a.order < b.order)
}
