/**
 * When things are due: a map with a heap over it. Setting, ending and taking cost O(log n) amortised. What was replaced or
 * ended stays in the heap until it surfaces or outnumbers what is alive; so a copy that never asks what is due stays small
 * as well. Derived from records, never part of the state.
 */
import { Heap } from '../base/heap.ts'

interface Deadline<K, V> {
  readonly key: K
  readonly value: V
  /** When to speak of it: its due time, or later if it was put off. */
  rankMs: number
}

export class Deadlines<K, V> {
  readonly #live = new Map<K, Deadline<K, V>>()
  #heap = new Heap<Deadline<K, V>>()

  get size(): number {
    return this.#live.size
  }

  has(key: K): boolean {
    return this.#live.has(key)
  }

  get(key: K): V | undefined {
    return this.#live.get(key)?.value
  }

  /** Replaces an earlier deadline of the key. */
  set(key: K, dueMs: number, value: V): void {
    const deadline = { key, value, rankMs: dueMs }
    this.#live.set(key, deadline)
    this.#heap.push(dueMs, deadline)
    if (this.#heap.length > 2 * this.#live.size + 64) this.#compact()
  }

  delete(key: K): boolean {
    return this.#live.delete(key)
  }

  /** The earliest; undefined if there is none. */
  nextMs(): number | undefined {
    this.#dropStale()
    return this.#heap.peekRank()
  }

  /** Takes out all that are due. */
  take(nowMs: number, visit: (key: K, value: V) => void): void {
    for (;;) {
      const deadline = this.#popDue(nowMs)
      if (deadline === undefined) return
      this.#live.delete(deadline.key)
      visit(deadline.key, deadline.value)
    }
  }

  /** Names those that are due, at most `countMax`, and puts them off by `againMs`: they go when what the caller does about it is committed. */
  name(nowMs: number, countMax: number, againMs: number, visit: (key: K, value: V) => boolean): void {
    const named: Deadline<K, V>[] = []
    for (let count = 0; count < countMax;) {
      const deadline = this.#popDue(nowMs)
      if (deadline === undefined) break
      named.push(deadline)
      if (visit(deadline.key, deadline.value)) count++
    }
    for (const deadline of named) {
      deadline.rankMs = nowMs + againMs
      this.#heap.push(deadline.rankMs, deadline)
    }
  }

  #popDue(nowMs: number): Deadline<K, V> | undefined {
    this.#dropStale()
    const rankMs = this.#heap.peekRank()
    return rankMs !== undefined && rankMs <= nowMs ? this.#heap.pop() : undefined
  }

  #dropStale(): void {
    for (;;) {
      const head = this.#heap.peek()
      if (head === undefined || this.#live.get(head.key) === head) return
      this.#heap.pop()
    }
  }

  #compact(): void {
    this.#heap = new Heap()
    for (const deadline of this.#live.values()) this.#heap.push(deadline.rankMs, deadline)
  }
}
