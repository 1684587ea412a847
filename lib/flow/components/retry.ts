/**
 * Retry with back-off: how often the stage it stands in delivers a message before it is dead, and how long it waits in
 * between. The first pause is the lower bound; each further one doubles, up to the upper bound, drawn from its upper
 * half so that what failed together does not come back together.
 */
import { InvalidError } from '../../base/errors.ts'

export interface RetryNode {
  readonly kind: 'retry'
  readonly name: string
  readonly policy: RetryPolicy
}

export interface RetryPolicy {
  /** Deliveries in all. */
  readonly attempts: number
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export const retryDefault: RetryPolicy = { attempts: 10, backoffMinMs: 1_000, backoffMaxMs: 60_000 }

/** Throws InvalidError. */
export function checkedPolicy(policy: RetryPolicy): RetryPolicy {
  const { attempts, backoffMinMs, backoffMaxMs } = policy
  if (!Number.isSafeInteger(attempts) || attempts < 1)
    throw new InvalidError(`retry: attempts is ${attempts}; give a whole number from 1`)
  if (backoffMinMs > backoffMaxMs) throw new InvalidError('retry: the first back-off is longer than the last')
  return policy
}

/** `attempt` is 1 for the delivery that failed first; `ratio` 0 <= x < 1 is drawn. */
export function pauseMs({ backoffMinMs, backoffMaxMs }: RetryPolicy, attempt: number, ratio: number): number {
  const fullMs = Math.min(backoffMinMs * 2 ** Math.min(attempt - 1, 30), backoffMaxMs)
  return Math.ceil(fullMs * (0.5 + ratio / 2))
}
