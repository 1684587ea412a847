/**
 * What a queue's shard (queue, partition) and a list of dead letters can be told and asked. The options of a queue live
 * in its definition (consensus) and come along with `put` and `take`, so that the log alone decides. The newest stay until
 * the shard is empty; so a caller that has options sends them with every put.
 */
import {
  boolean,
  bytes,
  list,
  oneOf,
  optional,
  plain,
  record,
  recurring,
  string,
  uint,
  type Plain,
  type Shape,
} from '../base/shape.ts'
import { cases, type Cases, type Holder } from './cases.ts'

export interface QueueOptions {
  /** Messages of this shard, leased and delayed ones included; `put` refuses FULL above it. Default 100,000. */
  readonly capacity?: number | undefined
  /** Deliveries before a message is dead. Default 10. */
  readonly maxAttempts?: number | undefined
  /** Back-off after the first failed delivery; doubles with each further one. Default 1,000 ms. */
  readonly backoffMinMs?: number | undefined
  /** Where doubling ends. Default 60,000 ms. */
  readonly backoffMaxMs?: number | undefined
  /** The list that dead messages go to. Default `${queue}.dead`. */
  readonly deadLetter?: string | undefined
  /** Dead letters of that list in this partition; above it messages stay in their queue at the longest back-off. Default 10,000. */
  readonly deadMax?: number | undefined
}

export type QueueOperation =
  /** -> position (number). FULL at capacity. `group`: FIFO within it, one delivery at a time. `expiresMs` from now: then it is dead. */
  | {
      readonly kind: 'queue.put'
      readonly queue: string
      readonly id: string
      readonly body: Uint8Array
      readonly headers?: Plain | undefined
      readonly group?: string | undefined
      readonly delayMs?: number | undefined
      readonly expiresMs?: number | undefined
      readonly options?: QueueOptions | undefined
      /** Deliveries that it has had, elsewhere. Default 0. */
      readonly attempt?: number | undefined
    }
  /** -> Taken[], oldest first, [] if none is ready. `max` 1..1,000. Without `leaseMs` a session's lease lasts as long as the session, nobody's 30 s. */
  | {
      readonly kind: 'queue.take'
      readonly queue: string
      readonly max: number
      readonly leaseMs?: number | undefined
      readonly holder?: Holder | undefined
      readonly options?: QueueOptions | undefined
    }
  /** -> true; STALE_TOKEN. The message is gone. */
  | { readonly kind: 'queue.ack'; readonly queue: string; readonly token: number }
  /** -> isDead; STALE_TOKEN. Back after `delayMs` (default: the back-off), or dead: at the last attempt, or at once with `isDead`. */
  | {
      readonly kind: 'queue.nack'
      readonly queue: string
      readonly token: number
      readonly delayMs?: number | undefined
      readonly error?: string | undefined
      readonly isDead?: boolean | undefined
    }
  /** -> true; STALE_TOKEN. The lease lasts `leaseMs` (default: as taken) from now. */
  | {
      readonly kind: 'queue.extend'
      readonly queue: string
      readonly token: number
      readonly leaseMs?: number | undefined
    }
  /** Check only -> true; STALE_TOKEN unless the lease is held. */
  | { readonly kind: 'queue.verify'; readonly queue: string; readonly token: number }
  /** Housekeeping -> whether it ended. No-op if the token is no longer current. Counts as a failed delivery. */
  | { readonly kind: 'queue.expireLease'; readonly queue: string; readonly token: number }
  /** Housekeeping -> whether it went. No-op unless the message is there, due and not leased. */
  | { readonly kind: 'queue.expire'; readonly queue: string; readonly position: number }

export type DeadOperation =
  /** -> position (number). For a step that gives up on a message itself. FULL at `deadMax` (default 10,000). */
  | {
      readonly kind: 'dead.put'
      readonly dead: string
      readonly queue: string
      readonly id: string
      readonly body: Uint8Array
      readonly reason: string
      readonly headers?: Plain | undefined
      readonly group?: string | undefined
      readonly attempt?: number | undefined
      readonly deadMax?: number | undefined
    }
  /** -> how many went back to the queues they came from, in this partition, with attempt 0. Positions unknown are skipped; at most 1,000. */
  | { readonly kind: 'dead.replay'; readonly dead: string; readonly positions: readonly number[] }
  /** -> how many were dropped for good. At most 1,000. */
  | { readonly kind: 'dead.drop'; readonly dead: string; readonly positions: readonly number[] }

export type QueueQuery =
  /** -> QueueStats. */
  | { readonly kind: 'queue.stats'; readonly queue: string }
  /** -> [Listed[], next `after` | null], in order of position, whatever their state. `max` 1..1,000. */
  | { readonly kind: 'queue.list'; readonly queue: string; readonly after?: number | undefined; readonly max: number }
  /** -> [DeadLetter[], next `after` | null], in order of death. `max` 1..1,000. */
  | { readonly kind: 'dead.list'; readonly dead: string; readonly after?: number | undefined; readonly max: number }
  /** -> number. */
  | { readonly kind: 'dead.count'; readonly dead: string }

/** `attempt` is 1 at the first delivery; `token` a fence, larger than any granted before in this partition. */
export type Taken = readonly [
  id: string,
  token: number,
  attempt: number,
  body: Uint8Array,
  headers: Plain,
  group: string | null,
  enqueuedAtMs: number,
  lastError: string | null,
]
/** `blocked` wait for an earlier message of their group. total = ready + delayed + leased + blocked. */
export type QueueStats = readonly [ready: number, delayed: number, leased: number, blocked: number, total: number]
/** `state`: ready | delayed | leased | blocked. */
export type Listed = readonly [
  position: number,
  id: string,
  state: string,
  attempt: number,
  enqueuedAtMs: number,
  group: string | null,
  lastError: string | null,
  body: Uint8Array,
]
export type DeadLetter = readonly [
  position: number,
  id: string,
  queue: string,
  body: Uint8Array,
  headers: Plain,
  group: string | null,
  attempt: number,
  reason: string,
  diedAtMs: number,
]

const holder: Shape<Holder | undefined> = optional(oneOf('session', 'time'))
const options: Shape<QueueOptions | undefined> = optional(
  record<QueueOptions>({
    capacity: optional(uint),
    maxAttempts: optional(uint),
    backoffMinMs: optional(uint),
    backoffMaxMs: optional(uint),
    deadLetter: optional(string),
    deadMax: optional(uint),
  }),
)
/** What one step may move: ten thousand would take longer than a loop may be held. */
const positions = list(uint, 1_000)

const queue: Shape<string> = recurring()

export const queueOperations: Cases<QueueOperation> = cases<QueueOperation>({
  'queue.put': [
    20,
    {
      queue,
      id: string,
      body: bytes,
      headers: optional(plain),
      group: optional(string),
      delayMs: optional(uint),
      expiresMs: optional(uint),
      options,
      attempt: optional(uint),
    },
  ],
  'queue.take': [21, { queue, max: uint, leaseMs: optional(uint), holder, options }],
  'queue.ack': [22, { queue, token: uint }],
  'queue.nack': [
    23,
    { queue, token: uint, delayMs: optional(uint), error: optional(string), isDead: optional(boolean) },
  ],
  'queue.extend': [24, { queue, token: uint, leaseMs: optional(uint) }],
  'queue.verify': [25, { queue, token: uint }],
  'queue.expireLease': [26, { queue, token: uint }],
  'queue.expire': [27, { queue, position: uint }],
})

export const deadOperations: Cases<DeadOperation> = cases<DeadOperation>({
  'dead.put': [
    30,
    {
      dead: string,
      queue,
      id: string,
      body: bytes,
      reason: string,
      headers: optional(plain),
      group: optional(string),
      attempt: optional(uint),
      deadMax: optional(uint),
    },
  ],
  'dead.replay': [31, { dead: string, positions }],
  'dead.drop': [32, { dead: string, positions }],
})

export const queueQueries: Cases<QueueQuery> = cases<QueueQuery>({
  'queue.stats': [20, { queue }],
  'queue.list': [21, { queue, after: optional(uint), max: uint }],
  'dead.list': [30, { dead: string, after: optional(uint), max: uint }],
  'dead.count': [31, { dead: string }],
})
