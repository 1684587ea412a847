/** So many at once: a counting semaphore, first come, first served. */
export class Room {
  readonly #max: number
  #used = 0
  readonly #waiting: (() => void)[] = []

  constructor(max: number) {
    this.#max = max
  }

  get used(): number {
    return this.#used
  }

  get free(): number {
    return Math.max(this.#max - this.#used, 0)
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#used >= this.#max) await new Promise<void>(resolve => this.#waiting.push(resolve))
    else this.#used++
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      // The place is handed on, so that nobody slips in between.
      if (next === undefined) this.#used--
      else next()
    }
  }
}
