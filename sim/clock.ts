/**
 * The two clocks of one simulated machine. The monotonic one drifts at a fixed rate and stands still while the machine
 * is suspended (as Linux's does in a VM suspend); the wall clock drifts with it, goes on in a suspend, and jumps.
 */
import type { Instant } from '../lib/base/instant.ts'
import type { World } from './world.ts'

export interface ClockOptions {
  /** Parts per million by which it runs fast (> 0) or slow; a quartz has up to 100. */
  readonly driftPpm: number
  /** What the monotonic clock shows at the start of the run: differs per machine, so that comparing two is always wrong. */
  readonly monotonicStartMs: number
  /** Distance of the wall clock from the world's time of day. */
  readonly wallOffsetMs: number
}

/** Unix time at the start of each run: 2026-01-01. */
export const epochMs = 1_767_225_600_000

export class SimClock {
  readonly #world: World
  readonly #rate: number
  #baseMs: number
  #sinceMs: number
  #wallOffsetMs: number
  #isSuspended = false
  /** What `now` said last, and for which moment: most of what happens in one moment asks several times. */
  #said: Instant | undefined
  #saidUs = -1
  /** All leaps of the wall clock so far, whatever their direction. */
  leaptMs = 0

  constructor(world: World, options: ClockOptions) {
    this.#world = world
    this.#rate = 1 + options.driftPpm / 1_000_000
    this.#baseMs = options.monotonicStartMs
    this.#sinceMs = world.nowMs
    this.#wallOffsetMs = options.wallOffsetMs
  }

  now(): Instant {
    const { nowUs } = this.#world
    if (this.#said !== undefined && this.#saidUs === nowUs) return this.#said
    const wallMs = Math.floor(epochMs + this.#world.nowMs * this.#rate + this.#wallOffsetMs)
    this.#saidUs = nowUs
    return (this.#said = { monotonicMs: this.monotonicMs(), wallMs })
  }

  monotonicMs(): number {
    if (this.#isSuspended) return this.#baseMs
    return this.#baseMs + (this.#world.nowMs - this.#sinceMs) * this.#rate
  }

  /** True time at which the monotonic clock will show `monotonicMs`, if nothing suspends it before. */
  trueMsOf(monotonicMs: number): number {
    return this.#sinceMs + (monotonicMs - this.#baseMs) / this.#rate
  }

  jumpWall(byMs: number): void {
    this.#said = undefined
    this.#wallOffsetMs += byMs
    this.leaptMs += Math.abs(byMs)
  }

  suspend(): void {
    this.#said = undefined
    this.#baseMs = this.monotonicMs()
    this.#isSuspended = true
  }

  resume(): void {
    if (!this.#isSuspended) return
    this.#said = undefined
    this.#isSuspended = false
    this.#sinceMs = this.#world.nowMs
  }
}
