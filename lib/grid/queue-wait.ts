/** Waiting for something to take: woken by the router, by a pause's end, by the signal. */
import type { Calls } from './calls.ts'
import { idleMs, lookMs, type ConsumerRouter } from './consumer-router.ts'

export interface Waiting {
  readonly calls: Calls
  readonly router: ConsumerRouter
  readonly queue: string
  /** Monotonic: from then on it gives up. */
  readonly untilMs: number
  readonly signal: AbortSignal | undefined
}

/** Attempts until one brings something; undefined when the time is over, the signal aborted or the member closed. */
export async function waitFor<R>(waiting: Waiting, attempt: () => Promise<R | undefined>): Promise<R | undefined> {
  const { calls, router, queue, untilMs, signal } = waiting
  let pauseMs: number = lookMs.min
  let tellMs: number = idleMs.first
  router.scan(queue)
  for (;;) {
    const found = await attempt()
    if (found !== undefined) return found
    if (signal?.aborted === true || !calls.isOpen) return undefined
    router.scan(queue)
    if (router.hasChoice(queue) && calls.nowMs < untilMs) {
      // There is something, got ready meanwhile or taken by others: yield, so that it cannot spin.
      await calls.sleep(1, signal)
      continue
    }
    const nowMs = calls.nowMs
    if (nowMs >= untilMs) return undefined
    router.idle(queue, tellMs)
    const isWoken = await pause(waiting, Math.min(pauseMs, untilMs - nowMs))
    pauseMs = isWoken ? lookMs.min : Math.min(2 * pauseMs, lookMs.max)
    tellMs = isWoken ? idleMs.min : Math.min(Math.max(2 * tellMs, idleMs.min), idleMs.max)
  }
}

/** True if the router called. */
function pause({ calls, router, queue, signal }: Waiting, ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const end = (isWoken: boolean): void => {
      cancelWait()
      cancelTimer()
      signal?.removeEventListener('abort', aborted)
      resolve(isWoken)
    }
    const aborted = (): void => end(false)
    const cancelWait = router.wait(queue, () => end(true))
    const cancelTimer = calls.env.at(calls.nowMs + ms, () => end(false))
    if (signal?.aborted === true) aborted()
    else signal?.addEventListener('abort', aborted)
  })
}
