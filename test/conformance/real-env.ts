/** An Env on the real clock, for networks under test: timers of the process, a turn by `setImmediate`. */
import type { Env } from '../../lib/base/env.ts'
import type { Emit } from '../../lib/base/machine.ts'
import { Prng } from '../../lib/base/prng.ts'

export function realEnv(emitted: Emit[] = []): Env {
  return {
    now: () => ({ monotonicMs: performance.now(), wallMs: Date.now() }),
    at: (monotonicMs, callback) => {
      const timer = setTimeout(callback, Math.max(0, monotonicMs - performance.now()))
      return () => clearTimeout(timer)
    },
    turn: callback => void setImmediate(callback),
    random: new Prng(1),
    emit: event => void emitted.push(event),
  }
}
