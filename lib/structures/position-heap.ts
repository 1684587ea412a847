/** A set of positions whose smallest leaves first. What was deleted stays in the heap until it surfaces or outnumbers what is there. */
import { Heap } from '../base/heap.ts'

export class PositionHeap {
  readonly #present = new Set<number>()
  #heap = new Heap<number>()

  get size(): number {
    return this.#present.size
  }

  has(position: number): boolean {
    return this.#present.has(position)
  }

  /** Returns whether it is new. */
  add(position: number): boolean {
    if (this.#present.has(position)) return false
    this.#present.add(position)
    this.#heap.push(position, position)
    if (this.#heap.length > 2 * this.#present.size + 64) this.#compact()
    return true
  }

  delete(position: number): boolean {
    return this.#present.delete(position)
  }

  /** The smallest; undefined when empty. */
  first(): number | undefined {
    for (;;) {
      const position = this.#heap.peek()
      if (position === undefined || this.#present.has(position)) return position
      this.#heap.pop()
    }
  }

  #compact(): void {
    this.#heap = new Heap()
    for (const position of this.#present) this.#heap.push(position, position)
  }
}
