/**
 * Virtual time. Everything that happens in a simulated cluster is an event of one agenda; between two events no time
 * passes, so a minute of a cluster's life takes as long as its work does.
 *
 * A run is a function of its seed alone: no clock, no entropy, no I/O. Promise-based code may run inside (grid handles,
 * the flow runner): after each event the world waits a number of promise hops, so that chains of promises settle at the
 * instant that caused them. Hops cost; a run without promises asks for none and stays synchronous. (A chain longer than
 * the hops goes on during the next event: still the same in each replay, since microtasks are ordered.)
 * Node's other queues (nextTick from another context, setImmediate, the thread pool) do not replay: nothing here uses them.
 */
import { Prng } from '../lib/base/prng.ts'
import { Agenda, type Planned } from './agenda.ts'
import { Trace } from './trace.ts'

export interface WorldOptions {
  readonly seed: number
  /** Promise hops after each event; 0 (default) while no promise-based code runs. More settles longer chains at the cost of speed. */
  readonly hopCount?: number
  /** Events of one instant before the run is called a livelock; default 1,000,000. */
  readonly eventsPerInstantMax?: number
}

/** Hops that `settle` waits: longer than any chain of promises between the start of a peer and its first timer. */
const settleHopCount = 64

/** A run that never lets time pass. */
export class LivelockError extends Error {
  readonly code = 'SIM_LIVELOCK'
}

export class World {
  readonly seed: number
  readonly random: Prng
  readonly trace: Trace = new Trace()
  #nowUs = 0
  #eventCount = 0
  #instantCount = 0
  #settleCount = 0
  readonly #agenda = new Agenda()
  readonly #hopCount: number
  readonly #eventsPerInstantMax: number

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.random = new Prng(options.seed)
    this.#hopCount = options.hopCount ?? 0
    this.#eventsPerInstantMax = options.eventsPerInstantMax ?? 1_000_000
  }

  /** True time since the start of the run. No node sees it: each has a clock of its own. */
  get nowMs(): number {
    return this.#nowUs / 1000
  }

  get nowUs(): number {
    return this.#nowUs
  }

  /** Events run so far. */
  get eventCount(): number {
    return this.#eventCount
  }

  /** Runs `run` at `atMs` (now, if that has passed), after everything planned for the same microsecond before. */
  at(atMs: number, run: () => void): Planned {
    return this.#agenda.plan(Math.max(this.#nowUs, Math.ceil(atMs * 1000)), run)
  }

  after(delayMs: number, run: () => void): Planned {
    return this.#agenda.plan(this.#nowUs + Math.max(0, Math.ceil(delayMs * 1000)), run)
  }

  cancel(planned: Planned): void {
    this.#agenda.cancel(planned)
  }

  /** Asks for promise hops after the current event, for a call that answers with a promise in a run that has none else. */
  settle(): void {
    this.#settleCount = settleHopCount
  }

  /** Folds an event into the run's hash. */
  note(kind: string, where: string, about?: unknown): void {
    this.trace.add(this.#nowUs, kind, where, about)
  }

  /** Runs all events up to and including `untilMs`. Only for runs without promises. */
  run(untilMs: number): void {
    const untilUs = Math.floor(untilMs * 1000)
    while (this.#next(untilUs));
    this.#nowUs = Math.max(this.#nowUs, untilUs)
  }

  /** The same with promise hops after each event. */
  async play(untilMs: number): Promise<void> {
    const untilUs = Math.floor(untilMs * 1000)
    for (;;) {
      const hopCount = Math.max(this.#hopCount, this.#settleCount)
      this.#settleCount = 0
      for (let hop = 0; hop < hopCount; hop++) await undefined
      if (!this.#next(untilUs)) break
      if (this.#hopCount > 0) continue
      // No promise runs: on without asking the event loop until something asks for hops.
      while (this.#settleCount === 0 && this.#next(untilUs));
    }
    this.#nowUs = Math.max(this.#nowUs, untilUs)
  }

  #next(untilUs: number): boolean {
    const nextUs = this.#agenda.nextUs()
    if (nextUs === undefined || nextUs > untilUs) return false
    if (nextUs > this.#nowUs) this.#instantCount = 0
    this.#nowUs = nextUs
    this.#eventCount++
    if (++this.#instantCount > this.#eventsPerInstantMax) {
      throw new LivelockError(`${this.#instantCount} events at ${this.nowMs} ms and still no time passes`)
    }
    const planned = this.#agenda.take() as Planned
    const run = planned.run as () => void
    planned.run = undefined
    run()
    return true
  }
}
