/** An Env whose time moves only when told. `advance` runs what is due in order, and what microtasks that leads to. */
import type { Env } from '../../../lib/base/env.ts'
import { Heap } from '../../../lib/base/heap.ts'
import type { Instant } from '../../../lib/base/instant.ts'
import type { Emit } from '../../../lib/base/machine.ts'
import { Prng } from '../../../lib/base/prng.ts'

export class VirtualEnv implements Env {
  readonly random: Prng = new Prng(7)
  readonly emitted: Emit[] = []
  readonly #timers = new Heap<{ callback: (() => void) | undefined }>()
  #nowMs = 1_000

  now(): Instant {
    return { monotonicMs: this.#nowMs, wallMs: this.#nowMs }
  }

  at(monotonicMs: number, callback: () => void): () => void {
    const timer: { callback: (() => void) | undefined } = { callback }
    this.#timers.push(Math.max(monotonicMs, this.#nowMs), timer)
    return () => {
      timer.callback = undefined
    }
  }

  turn(callback: () => void): void {
    setImmediate(callback)
  }

  emit(event: Emit): void {
    this.emitted.push(event)
  }

  /** Lets everything under way come to rest without time passing. */
  async rest(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise<void>(resolve => setImmediate(resolve))
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await this.rest()
    for (
      let dueMs = this.#timers.peekRank();
      dueMs !== undefined && dueMs <= untilMs;
      dueMs = this.#timers.peekRank()
    ) {
      this.#nowMs = Math.max(this.#nowMs, dueMs)
      this.#timers.pop()?.callback?.()
      await this.rest()
    }
    this.#nowMs = untilMs
  }

  /** Time passes and nothing runs: as when the process is stopped. */
  sleep(ms: number): void {
    this.#nowMs += ms
  }
}
