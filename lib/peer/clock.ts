/**
 * The real Env: the system's clocks, timers and entropy. The one place below the doors where they are touched.
 *
 * Decision: callbacks of `turn` that ask for another `turn` run in the same round, some generations deep, because the
 * layers hand on to one another that way (call -> machines -> frames) and a round of the event loop for each would
 * double the latency of a lone call.
 */
import { getRandomValues } from 'node:crypto'
import type { Env } from '../base/env.ts'
import type { Emit } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'

/** Deeper goes to the next round, so that I/O is never starved. */
const generationsMax = 8
/** The longest that setTimeout keeps. */
const timerMsMax = 2 ** 31 - 1

/** `emit` is where logs, metrics and events come from; default: nowhere. */
export function systemEnv(emit: (event: Emit) => void = () => undefined): Env {
  let waiting: (() => void)[] = []
  let isAsked = false
  const ask = (): void => {
    if (isAsked) return
    isAsked = true
    setImmediate(run)
  }
  const run = (): void => {
    for (let generation = 0; waiting.length > 0 && generation < generationsMax; generation++) {
      const callbacks = waiting
      waiting = []
      for (const callback of callbacks) guard(callback)
    }
    isAsked = false
    if (waiting.length > 0) ask()
  }
  return {
    now: () => ({ monotonicMs: performance.now(), wallMs: Date.now() }),
    at: (monotonicMs, callback) => {
      const timer = setTimeout(callback, Math.min(Math.max(Math.ceil(monotonicMs - performance.now()), 0), timerMsMax))
      return () => clearTimeout(timer)
    },
    turn: callback => {
      waiting.push(callback)
      ask()
    },
    random: new Prng(`${entropy(16).join()}`),
    emit,
  }
}

/** Fresh random bytes. */
export function entropy(byteCount: number): Uint8Array {
  return getRandomValues(new Uint8Array(byteCount))
}

/** One that throws is a bug and ends the process as such, but not before the others of the round had their turn. */
function guard(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
