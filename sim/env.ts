/**
 * One simulated process: the `Env` that a member sees, and the gate through which everything reaches it. A stopped
 * process (SIGSTOP) collects its input and folds all of it at once when it goes on; a slow one does so after each lag of
 * its event loop; a dead one hears and does nothing ever again. Timers keep their order among the inputs.
 */
import type { Env } from '../lib/base/env.ts'
import type { Instant } from '../lib/base/instant.ts'
import type { Emit } from '../lib/base/machine.ts'
import type { Prng } from '../lib/base/prng.ts'
import type { SimClock } from './clock.ts'
import type { Planned } from './agenda.ts'
import type { World } from './world.ts'

/** Lag of one turn of the event loop, drawn evenly from [0, lagMaxMs). */
export interface Slowness {
  readonly lagMaxMs: number
}

class Timer {
  readonly #process: SimProcess
  readonly monotonicMs: number
  readonly callback: () => void
  planned: Planned | undefined
  #isCancelled = false

  constructor(process: SimProcess, monotonicMs: number, callback: () => void) {
    this.#process = process
    this.monotonicMs = monotonicMs
    this.callback = callback
  }

  readonly arrive = (): void => {
    if (!this.#isCancelled) this.#process.enter(this.#fire)
  }

  readonly cancel = (): void => {
    this.#isCancelled = true
    if (this.planned !== undefined) this.#process.unplan(this.planned)
  }

  readonly #fire = (): void => {
    if (!this.#isCancelled) this.#process.ring(this)
  }
}

export class SimProcess implements Env {
  readonly name: string
  readonly random: Prng
  readonly #world: World
  readonly #clock: SimClock
  readonly #lags: Prng
  readonly #onEmit: (process: SimProcess, event: Emit) => void
  #isDead = false
  #isStopped = false
  #isDrainPlanned = false
  #slowness: Slowness | undefined
  #backlog: (() => void)[] = []
  #turns: (() => void)[] = []

  constructor(world: World, name: string, clock: SimClock, onEmit: (process: SimProcess, event: Emit) => void) {
    this.name = name
    this.#world = world
    this.#clock = clock
    this.#onEmit = onEmit
    this.random = world.random.fork(name)
    this.#lags = world.random.fork(`${name}/lag`)
  }

  get isDead(): boolean {
    return this.#isDead
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  now(): Instant {
    return this.#clock.now()
  }

  at(monotonicMs: number, callback: () => void): () => void {
    const timer = new Timer(this, monotonicMs, callback)
    timer.planned = this.#world.at(Math.max(this.#world.nowMs, this.#clock.trueMsOf(monotonicMs)), timer.arrive)
    return timer.cancel
  }

  /** For timers: fires one whose time has come by this machine's clock, plans it again otherwise. */
  ring(timer: Timer): void {
    if (this.#isDead) return
    if (this.#clock.monotonicMs() >= timer.monotonicMs) return timer.callback()
    timer.planned = this.#world.at(this.#dueMs(timer.monotonicMs), timer.arrive)
  }

  /** For timers. */
  unplan(planned: Planned): void {
    this.#world.cancel(planned)
  }

  turn(callback: () => void): void {
    if (this.#turns.push(callback) > 1) return
    this.#world.at(this.#world.nowMs, this.#endTurn)
  }

  emit(event: Emit): void {
    if (!this.#isDead) this.#onEmit(this, event)
  }

  /** Hands over one input (a message, a timer, a call of a client): at once, or when the process gets to it. */
  enter(input: () => void): void {
    if (this.#isDead) return
    if (!this.#isStopped && this.#slowness === undefined && this.#backlog.length === 0) return input()
    this.#backlog.push(input)
    this.#planDrain()
  }

  kill(): void {
    this.#isDead = true
    this.#backlog = []
    this.#turns = []
  }

  stop(): void {
    this.#isStopped = true
  }

  continue(): void {
    this.#isStopped = false
    this.#planDrain()
  }

  /** Undefined makes it as fast as ever. */
  slow(slowness: Slowness | undefined): void {
    this.#slowness = slowness
    this.#planDrain()
  }

  #dueMs(monotonicMs: number): number {
    return Math.max(this.#world.nowMs + 0.001, this.#clock.trueMsOf(monotonicMs))
  }

  readonly #endTurn = (): void => {
    if (this.#isDead) return
    if (this.#isStopped) {
      this.#backlog.push(this.#endTurn)
      return
    }
    const turns = this.#turns
    this.#turns = []
    for (const turn of turns) turn()
  }

  #planDrain(): void {
    if (this.#isDrainPlanned || this.#isStopped || this.#backlog.length === 0) return
    this.#isDrainPlanned = true
    const lagMs = this.#slowness === undefined ? 0 : this.#lags.float() * this.#slowness.lagMaxMs
    this.#world.after(lagMs, this.#drain)
  }

  readonly #drain = (): void => {
    this.#isDrainPlanned = false
    if (this.#isStopped || this.#isDead) return
    const inputs = this.#backlog
    this.#backlog = []
    for (const input of inputs) if (!this.#isDead) input()
  }
}
