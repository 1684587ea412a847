/**
 * When to look at which item again, to the millisecond. Most items are cancelled long before their time, so an item
 * leaves at once and with it what it holds, instead of lying in a heap until its time has come.
 */
import { Heap } from '../base/heap.ts'

/** An item keeps its own time here, so that there is nothing to look up. */
export interface Waking {
  /** In whole ms; undefined: it is not to be woken. Of `Wakes` alone. */
  wakeAtMs: number | undefined
}

export class Wakes<T extends Waking> {
  readonly #times = new Heap<number>()
  /** By time, in whole ms, rounded up; an empty one leaves when its time is the next. */
  readonly #buckets = new Map<number, Set<T>>()

  /** The next time at which an item is due; undefined if none is. */
  get nextMs(): number | undefined {
    for (;;) {
      const timeMs = this.#times.peek()
      if (timeMs === undefined) return undefined
      if ((this.#buckets.get(timeMs)?.size ?? 0) > 0) return timeMs
      this.#times.pop()
      this.#buckets.delete(timeMs)
    }
  }

  /** In place of any earlier time of the item. */
  wakeAt(item: T, atMs: number): void {
    this.cancel(item)
    const timeMs = Math.ceil(atMs)
    let bucket = this.#buckets.get(timeMs)
    if (bucket === undefined) {
      bucket = new Set()
      this.#buckets.set(timeMs, bucket)
      this.#times.push(timeMs, timeMs)
    }
    bucket.add(item)
    item.wakeAtMs = timeMs
  }

  cancel(item: T): void {
    const timeMs = item.wakeAtMs
    if (timeMs === undefined) return
    item.wakeAtMs = undefined
    this.#buckets.get(timeMs)?.delete(item)
  }

  /** Takes the items whose time has come, earliest first. */
  takeDue(nowMs: number): readonly T[] {
    const due: T[] = []
    for (let timeMs = this.nextMs; timeMs !== undefined && timeMs <= nowMs; timeMs = this.nextMs) {
      const bucket = this.#buckets.get(timeMs) as Set<T>
      for (const item of bucket) {
        item.wakeAtMs = undefined
        due.push(item)
      }
      bucket.clear()
    }
    return due
  }
}
