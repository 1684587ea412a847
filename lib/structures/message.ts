/** The record of one queued message, and its steps from one state to the next; each returns a new record. */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { ApplyContext } from '../replication/state-machine.ts'
import type { Version } from './cases.ts'
import type { QueueOperation, Taken } from './queue-operations.ts'
import { dueAtMs } from './structure.ts'

/**
 * In space `queue:${queue}` by position. `notBeforeMs` and `expiresAtMs` 0: none. `attempt` counts deliveries. `token` 0:
 * not leased, then `session` and `leaseMs` mean nothing. `version` is that of the put, for merging sides some day.
 */
export type Message = readonly [
  id: string,
  body: Uint8Array,
  headers: Plain,
  group: string | null,
  enqueuedAtMs: number,
  notBeforeMs: number,
  expiresAtMs: number,
  attempt: number,
  token: number,
  session: SessionId,
  leaseMs: number,
  lastError: string | null,
  version: Version,
]

export type Put = Extract<QueueOperation, { readonly kind: 'queue.put' }>

export function messageOf(put: Put, { epoch, index, ordinal, atMs }: ApplyContext): Message {
  const { id, body, headers = null, group = null, delayMs, expiresMs, attempt = 0 } = put
  const notBeforeMs = delayMs === undefined || delayMs === 0 ? 0 : dueAtMs(atMs, delayMs)
  const version: Version = [epoch, index, ordinal]
  return [id, body, headers, group, atMs, notBeforeMs, dueAtMs(atMs, expiresMs), attempt, 0, '', 0, null, version]
}

/** One more delivery begins. */
export function leased(message: Message, token: number, session: SessionId, leaseMs: number): Message {
  const [id, body, headers, group, enqueuedAtMs, notBeforeMs, expiresAtMs, attempt, , , , lastError, version] = message
  return [
    id,
    body,
    headers,
    group,
    enqueuedAtMs,
    notBeforeMs,
    expiresAtMs,
    attempt + 1,
    token,
    session,
    leaseMs,
    lastError,
    version,
  ]
}

/** The same delivery under other terms. */
export function released(message: Message, session: SessionId, leaseMs: number): Message {
  const [id, body, headers, group, enqueuedAtMs, notBeforeMs, expiresAtMs, attempt, token, , , lastError, version] =
    message
  return [
    id,
    body,
    headers,
    group,
    enqueuedAtMs,
    notBeforeMs,
    expiresAtMs,
    attempt,
    token,
    session,
    leaseMs,
    lastError,
    version,
  ]
}

/** A delivery failed: back in the queue, not before a time. */
export function returned(message: Message, notBeforeMs: number, lastError: string | null): Message {
  const [id, body, headers, group, enqueuedAtMs, , expiresAtMs, attempt, , , , , version] = message
  return [id, body, headers, group, enqueuedAtMs, notBeforeMs, expiresAtMs, attempt, 0, '', 0, lastError, version]
}

export function takenOf(message: Message): Taken {
  const [id, body, headers, group, enqueuedAtMs, , , attempt, token, , , lastError] = message
  return [id, token, attempt, body, headers, group, enqueuedAtMs, lastError]
}

/** Named views of the fields that decisions read. */
export const groupOf = (message: Message): string | null => message[3]
export const notBeforeOf = (message: Message): number => message[5]
export const expiryOf = (message: Message): number => message[6]
export const attemptOf = (message: Message): number => message[7]
export const tokenOf = (message: Message): number => message[8]
export const leaseMsOf = (message: Message): number => message[10]
