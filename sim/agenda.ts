/**
 * What is still to happen in virtual time: a binary heap of events ordered by time, then by the order in which they were
 * planned, so that a replay is exact. Times are whole microseconds: integers hash fast and compare the same everywhere.
 *
 * Cancelled events stay in the heap until their time (a flag costs less than a removal); the heap is rebuilt when most
 * of it is cancelled, so that timers re-armed at each turn do not pile up.
 */
export class Planned {
  readonly atUs: number
  readonly order: number
  run: (() => void) | undefined

  constructor(atUs: number, order: number, run: () => void) {
    this.atUs = atUs
    this.order = order
    this.run = run
  }
}

export class Agenda {
  #heap: Planned[] = []
  #order = 0
  #cancelledCount = 0

  /** Events still to come. */
  get length(): number {
    return this.#heap.length - this.#cancelledCount
  }

  plan(atUs: number, run: () => void): Planned {
    const planned = new Planned(atUs, this.#order++, run)
    this.#heap.push(planned)
    this.#up(this.#heap.length - 1)
    return planned
  }

  cancel(planned: Planned): void {
    if (planned.run === undefined) return
    planned.run = undefined
    this.#cancelledCount++
    if (this.#cancelledCount > 1024 && this.#cancelledCount * 2 > this.#heap.length) this.#rebuild()
  }

  /** Time of the next event; undefined when nothing is planned. */
  nextUs(): number | undefined {
    this.#dropCancelled()
    return this.#heap[0]?.atUs
  }

  /** Removes and returns the next event. */
  take(): Planned | undefined {
    this.#dropCancelled()
    return this.#pop()
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && (this.#heap[0] as Planned).run === undefined) {
      this.#pop()
      this.#cancelledCount--
    }
  }

  #rebuild(): void {
    this.#heap = this.#heap.filter(planned => planned.run !== undefined)
    this.#cancelledCount = 0
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#down(i)
  }

  #pop(): Planned | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    heap[0] = last
    this.#down(0)
    return top
  }

  #up(from: number): void {
    const heap = this.#heap
    let at = from
    const planned = heap[at] as Planned
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Planned
      if (!isBefore(planned, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = planned
  }

  #down(from: number): void {
    const heap = this.#heap
    let at = from
    const planned = heap[at] as Planned
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      const right = heap[child + 1]
      if (right !== undefined && isBefore(right, heap[child] as Planned)) child++
      const below = heap[child] as Planned
      if (!isBefore(below, planned)) break
      heap[at] = below
      at = child
    }
    heap[at] = planned
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
}
