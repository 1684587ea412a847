/** An Env on virtual time: nothing happens but what a test lets happen, and promises settle before time moves. */
import { setImmediate } from 'node:timers/promises'
import type { Env } from '../../../lib/base/env.ts'
import type { Instant } from '../../../lib/base/instant.ts'
import type { Emit } from '../../../lib/base/machine.ts'
import { Prng } from '../../../lib/base/prng.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class VirtualEnv implements Env {
  readonly random: Prng = new Prng('grid tests')
  readonly events: Emit[] = []
  monotonicMs = 1_000
  /** What the wall clock was set to beside its course. */
  wallLeapMs = 0
  #timers = new Set<Timer>()
  #turns: (() => void)[] = []

  now(): Instant {
    return { monotonicMs: this.monotonicMs, wallMs: 1_700_000_000_000 + this.monotonicMs + this.wallLeapMs }
  }

  at(monotonicMs: number, callback: () => void): () => void {
    const timer = { atMs: monotonicMs, callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  turn(callback: () => void): void {
    this.#turns.push(callback)
  }

  emit(event: Emit): void {
    this.events.push(event)
  }

  get timerCount(): number {
    return this.#timers.size
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    do {
      for (const turn of this.#turns.splice(0)) turn()
      await setImmediate()
    } while (this.#turns.length > 0)
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.monotonicMs + ms
    await this.settle()
    for (let next = this.#next(); next !== undefined && next.atMs <= untilMs; next = this.#next())
      await this.#fire(next)
    this.monotonicMs = untilMs
  }

  /** Nothing happens for so long after the next timer was due; then it fires, and only then is read what came in meanwhile. */
  stall(ms: number, read: () => void): void {
    const timer = this.#next()
    if (timer === undefined) throw new Error('nothing is due')
    this.#timers.delete(timer)
    this.monotonicMs = timer.atMs + ms
    timer.callback()
    read()
  }

  /** Lets time pass until the promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = (): void => void (isSettled = true)
    promise.then(settled, settled)
    await this.settle()
    while (!isSettled) {
      const next = this.#next()
      if (next === undefined) throw new Error('nothing will ever happen, and the promise has not settled')
      await this.#fire(next)
    }
    return await promise
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers.delete(timer)
    this.monotonicMs = Math.max(this.monotonicMs, timer.atMs)
    timer.callback()
    await this.settle()
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer
    return next
  }
}
