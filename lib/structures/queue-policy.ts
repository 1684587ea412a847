/** A shard's options as the log last carried them: in space 'queues' by queue, as long as it holds messages. */
import { deadMaxDefault } from './dead-letters.ts'
import type { QueueOptions } from './queue-operations.ts'
import type { Store } from './store.ts'

const space = 'queues'

export type QueuePolicy = readonly [
  capacity: number,
  maxAttempts: number,
  backoffMinMs: number,
  backoffMaxMs: number,
  deadLetter: string,
  deadMax: number,
]

export function policyOf(store: Store, queue: string): QueuePolicy {
  const kept = store.get(space, queue) as QueuePolicy | undefined
  return kept ?? [100_000, 10, 1_000, 60_000, `${queue}.dead`, deadMaxDefault]
}

/** What the options say, the defaults elsewhere. */
export function policyWith(store: Store, queue: string, options: QueueOptions | undefined): QueuePolicy {
  if (options === undefined) return policyOf(store, queue)
  const {
    capacity = 100_000,
    maxAttempts = 10,
    backoffMinMs = 1_000,
    backoffMaxMs = 60_000,
    deadLetter = `${queue}.dead`,
    deadMax = deadMaxDefault,
  } = options
  return [capacity, maxAttempts, backoffMinMs, backoffMaxMs, deadLetter, deadMax]
}

export function keepPolicy(store: Store, queue: string, options: QueueOptions | undefined): void {
  if (options === undefined) return
  const policy = policyWith(store, queue, options)
  const kept = store.get(space, queue) as QueuePolicy | undefined
  if (kept === undefined || policy.some((value, at) => value !== kept[at])) store.put(space, queue, policy)
}

/** The shard is empty: nothing is left that they apply to, so names alone take no room. */
export function dropPolicy(store: Store, queue: string): void {
  store.delete(space, queue)
}

/** After so many failed deliveries; no jitter, since every copy must agree. */
export function backoffMs([, , backoffMinMs, backoffMaxMs]: QueuePolicy, attempt: number): number {
  return Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(attempt - 1, 40))
}
