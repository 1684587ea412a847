/**
 * The rhythm of one member. Inputs fold as they come, each with all that follows from it; at the end of the turn of the
 * event loop every machine whose deadline is due is stepped with a tick (machines batch their sends until then), and
 * one timer is armed for the next.
 */
import type { Env } from '../base/env.ts'
import type { Machine } from '../base/machine.ts'

export interface Driven {
  readonly machine: Pick<Machine<never, unknown>, 'deadline'>
  /** Steps the machine with a tick and performs what comes of it. */
  readonly tick: () => void
}

/** A timer that fires so late comes after a stall, or after its cause: what waits at the sockets was sent before it. */
const lateMs = 5
/** Ticks of one turn before the loop yields: a machine that is always due must not starve the rest. */
const tickRoundsMax = 4

export class Turns {
  readonly #env: Env
  readonly #driven: readonly Driven[]
  readonly #turned: () => void
  readonly #queue: (() => void)[] = []
  #isDraining = false
  #isTurnDue = false
  #isRunning = false
  #cancelTimer: (() => void) | undefined
  #timerAtMs = Infinity

  /** `driven` from the lowest layer up; `turned` is called at the end of each turn. */
  constructor(env: Env, driven: readonly Driven[], turned: () => void) {
    this.#env = env
    this.#driven = driven
    this.#turned = turned
  }

  get isRunning(): boolean {
    return this.#isRunning
  }

  start(): void {
    this.#isRunning = true
  }

  /** Nothing folds any more. */
  stop(): void {
    this.#isRunning = false
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#queue.length = 0
  }

  /** Folds an input from outside; the turn will end with ticks. */
  input(fold: () => void): void {
    if (!this.#isRunning) return
    this.#queue.push(fold)
    this.#drain()
    this.#schedule()
  }

  /** Folds an input at the end of this turn, never before this returns. */
  later(fold: () => void): void {
    if (!this.#isRunning) return
    this.#queue.push(fold)
    this.#schedule()
  }

  /** From within a fold: once what is at hand is done. */
  after(fold: () => void): void {
    if (this.#isDraining) this.#queue.push(fold)
    else this.input(fold)
  }

  #drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    try {
      for (let i = 0; i < this.#queue.length; i++) this.#queue[i]?.()
    } finally {
      this.#queue.length = 0
      this.#isDraining = false
    }
  }

  #schedule(): void {
    if (this.#isTurnDue) return
    this.#isTurnDue = true
    this.#env.turn(() => this.#end())
  }

  #end(): void {
    this.#isTurnDue = false
    if (!this.#isRunning) return
    this.#drain()
    let isDue = true
    for (let round = 0; isDue && round < tickRoundsMax; round++) isDue = this.#tickAll()
    if (!this.#isRunning) return
    if (isDue) this.#schedule()
    else this.#arm()
    this.#turned()
  }

  /** Whether any machine was due. */
  #tickAll(): boolean {
    let isDue = false
    const nowMs = this.#env.now().monotonicMs
    for (const { machine, tick } of this.#driven) {
      const deadlineMs = machine.deadline()
      if (deadlineMs === undefined || deadlineMs > nowMs) continue
      isDue = true
      this.#queue.push(tick)
      this.#drain()
    }
    return isDue
  }

  #arm(): void {
    let atMs = Infinity
    for (const { machine } of this.#driven) atMs = Math.min(atMs, machine.deadline() ?? Infinity)
    if (atMs === this.#timerAtMs && this.#cancelTimer !== undefined) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#timerAtMs = atMs
    if (atMs === Infinity) return
    this.#cancelTimer = this.#env.at(atMs, () => {
      this.#cancelTimer = undefined
      // The event loop fires timers before it reads: a peer that was stalled would judge the others by its own silence.
      if (this.#env.now().monotonicMs - atMs > lateMs) this.#schedule()
      else this.#end()
    })
  }
}
