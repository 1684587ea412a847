/** Waiting on the peer's clock. */
import type { Env } from '../base/env.ts'

/** Resolves at or after that time, or at once when the signal aborts. */
export function sleep(env: Env, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = (): void => {
      cancel()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const cancel = env.at(env.now().monotonicMs + ms, end)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end)
  })
}
