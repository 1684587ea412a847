/** What a lock and a counter can be told and asked. */
import { int, oneOf, optional, string, uint, type Shape } from '../base/shape.ts'
import { cases, type Cases, type Holder } from './cases.ts'

export type LockOperation =
  /**
   * -> Grant. Held: CONFLICT (detail: the holder's fence), or with a `ticket` (the caller's own unique text) [0, place]:
   * it waits in order of arrival for at most `waitMs` and asks by `lock.poll`. FULL when 1,000 wait. Without `leaseMs` a
   * session's lock lasts as long as the session, nobody's 30 s. Not re-entrant.
   */
  | {
      readonly kind: 'lock.acquire'
      readonly lock: string
      readonly leaseMs?: number | undefined
      readonly holder?: Holder | undefined
      readonly ticket?: string | undefined
      readonly waitMs?: number | undefined
    }
  /** -> true; STALE_TOKEN. The lease lasts `leaseMs` (default: as granted) from now. */
  | {
      readonly kind: 'lock.extend'
      readonly lock: string
      readonly token: number
      readonly leaseMs?: number | undefined
    }
  /** -> true; STALE_TOKEN. The next in line holds it at once. */
  | { readonly kind: 'lock.release'; readonly lock: string; readonly token: number }
  /** -> true; STALE_TOKEN. Changes nothing: the fence check of a unit of work. */
  | { readonly kind: 'lock.verify'; readonly lock: string; readonly token: number }
  /** -> whether it was waiting or holding. A waiter that gives up must say so. */
  | { readonly kind: 'lock.cancel'; readonly lock: string; readonly ticket: string }
  /** Housekeeping -> whether it ended. No-op if the token is no longer current. */
  | { readonly kind: 'lock.expire'; readonly lock: string; readonly token: number }

export type LockQuery =
  /** -> null | [token, session ('' = by time alone), leaseMs (0 = as long as the session), grantedAtMs, waiters]. */
  | { readonly kind: 'lock.get'; readonly lock: string }
  /** -> Grant; place -1: neither waiting nor holding (gave up, ran out, or its lease ended). */
  | { readonly kind: 'lock.poll'; readonly lock: string; readonly ticket: string }

/** `token` is the fence, one growing number; 0 while waiting. `place`: 0 holds it, 1 is next. */
export type Grant = readonly [token: number, place: number]

export type CounterOperation =
  /** -> the new value. INVALID if it would leave the safe integers. */
  | { readonly kind: 'counter.add'; readonly counter: string; readonly by: number }
  /** -> the value set. CONFLICT (detail: current value) unless it was `ifValue`. */
  | {
      readonly kind: 'counter.set'
      readonly counter: string
      readonly value: number
      readonly ifValue?: number | undefined
    }

export type CounterQuery =
  /** -> number; 0 if never set. */
  { readonly kind: 'counter.get'; readonly counter: string }

const holder: Shape<Holder | undefined> = optional(oneOf('session', 'time'))

export const lockOperations: Cases<LockOperation> = cases<LockOperation>({
  'lock.acquire': [
    40,
    { lock: string, leaseMs: optional(uint), holder, ticket: optional(string), waitMs: optional(uint) },
  ],
  'lock.extend': [41, { lock: string, token: uint, leaseMs: optional(uint) }],
  'lock.release': [42, { lock: string, token: uint }],
  'lock.verify': [43, { lock: string, token: uint }],
  'lock.cancel': [44, { lock: string, ticket: string }],
  'lock.expire': [45, { lock: string, token: uint }],
})

export const lockQueries: Cases<LockQuery> = cases<LockQuery>({
  'lock.get': [40, { lock: string }],
  'lock.poll': [41, { lock: string, ticket: string }],
})

export const counterOperations: Cases<CounterOperation> = cases<CounterOperation>({
  'counter.add': [50, { counter: string, by: int }],
  'counter.set': [51, { counter: string, value: int, ifValue: optional(int) }],
})

export const counterQueries: Cases<CounterQuery> = cases<CounterQuery>({
  'counter.get': [50, { counter: string }],
})
