/** The Storage port on virtual time: at once, or as slow as a fault makes the disk; always in the order of the calls. */
import type { Storage } from '../lib/peer/storage.ts'
import type { SimProcess } from './env.ts'

export class SimStorage implements Storage {
  readonly #process: SimProcess
  #delayMaxMs = 0
  #lastMs = 0

  constructor(process: SimProcess) {
    this.#process = process
  }

  /** 0: at once. */
  delay(delayMaxMs: number): void {
    this.#delayMaxMs = delayMaxMs
  }

  persist(_layer: 'consensus' | 'replication', _record: unknown, done: () => void): void {
    const nowMs = this.#process.now().monotonicMs
    if (this.#delayMaxMs === 0 && this.#lastMs <= nowMs) return done()
    this.#lastMs = Math.max(this.#lastMs, nowMs + this.#process.random.float() * this.#delayMaxMs)
    this.#process.at(this.#lastMs, done)
  }
}
