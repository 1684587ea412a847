/**
 * What the keyspace can be told and asked: strings and lists as Redis 7.0 knows them, one key an operation. Refusals:
 * WRONG_TYPE and INVALID carry Redis' own words as message, the error prefix included ('ERR value is not an integer or
 * out of range'). Integers are 64 bits wide and travel as decimal text.
 */
import { boolean, bytes, int, list, oneOf, optional, string, uint, type Shape } from '../base/shape.ts'
import { cases, type Cases } from './cases.ts'

/** Expiry in ms: `ttlMs` from now, `atMs` since the Unix epoch; at most one. Not positive or past: the key goes at once. */
interface Expiry {
  readonly ttlMs?: number | undefined
  readonly atMs?: number | undefined
}
type Side = 'left' | 'right'

export type KeyspaceOperation =
  /** SET, SETNX, SETEX, GETSET -> [whether it was set, previous value | null (only with `returnPrevious`)]. */
  | (Expiry & {
      readonly kind: 'keyspace.set'
      readonly key: string
      readonly value: Uint8Array
      readonly condition?: 'absent' | 'present' | undefined
      readonly keepTtl?: boolean | undefined
      readonly returnPrevious?: boolean | undefined
    })
  /** GETDEL -> value | null. */
  | { readonly kind: 'keyspace.getDelete'; readonly key: string }
  /** GETEX -> value | null. */
  | (Expiry & { readonly kind: 'keyspace.getExpire'; readonly key: string; readonly persist?: boolean | undefined })
  /** DEL of one key -> 1 | 0. */
  | { readonly kind: 'keyspace.delete'; readonly key: string }
  /** EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT -> 1 | 0. */
  | (Expiry & {
      readonly kind: 'keyspace.expire'
      readonly key: string
      /** XXLT: XX and LT, which LT alone is not: that also passes a key without expiry. */
      readonly condition?: 'NX' | 'XX' | 'GT' | 'LT' | 'XXLT' | undefined
    })
  /** PERSIST -> 1 | 0. */
  | { readonly kind: 'keyspace.persist'; readonly key: string }
  /** INCR, DECR, INCRBY, DECRBY -> the new value as decimal text. `by` is decimal text, e.g. '-1'. */
  | { readonly kind: 'keyspace.increment'; readonly key: string; readonly by: string }
  /** APPEND -> the new length in bytes. */
  | { readonly kind: 'keyspace.append'; readonly key: string; readonly value: Uint8Array }
  /** LPUSH, RPUSH, LPUSHX, RPUSHX (`ifPresent`) -> the new length. */
  | {
      readonly kind: 'keyspace.push'
      readonly key: string
      readonly side: Side
      readonly values: readonly Uint8Array[]
      readonly ifPresent?: boolean | undefined
    }
  /** LPOP, RPOP -> null if there is no list, else values in the order popped; `count` default 1. INVALID above 100,000. */
  | { readonly kind: 'keyspace.pop'; readonly key: string; readonly side: Side; readonly count?: number | undefined }
  /** LREM -> how many went. `count` > 0 from the left, < 0 from the right, 0 all. */
  | { readonly kind: 'keyspace.remove'; readonly key: string; readonly count: number; readonly value: Uint8Array }
  /** Check only -> true; CONFLICT unless the key is there (`isPresent`) or is not. For commands on several keys. */
  | { readonly kind: 'keyspace.check'; readonly key: string; readonly isPresent: boolean }
  /** Housekeeping -> whether it went. No-op unless the key still has this expiry and it is due. */
  | { readonly kind: 'keyspace.drop'; readonly key: string; readonly expiresAtMs: number }

/** Housekeeping -> whether it did anything. Frees a part of a list that was deleted. */
export interface FreeOperation {
  readonly kind: 'keyspace.free'
  readonly list: number
}

export type KeyspaceQuery =
  /** GET -> value | null. */
  | { readonly kind: 'keyspace.get'; readonly key: string }
  /** EXISTS of one key -> 1 | 0. */
  | { readonly kind: 'keyspace.exists'; readonly key: string }
  /** TYPE -> 'none' | 'string' | 'list'. */
  | { readonly kind: 'keyspace.type'; readonly key: string }
  /** PTTL -> ms | -1 (no expiry) | -2 (no key). TTL is that + 500, divided by 1,000, rounded down. */
  | { readonly kind: 'keyspace.ttl'; readonly key: string }
  /** STRLEN -> bytes. */
  | { readonly kind: 'keyspace.length'; readonly key: string }
  /** LLEN -> elements. */
  | { readonly kind: 'keyspace.listLength'; readonly key: string }
  /** LRANGE -> values; indices as in Redis, both included. INVALID above 100,000. */
  | { readonly kind: 'keyspace.range'; readonly key: string; readonly start: number; readonly stop: number }
  /** LINDEX -> value | null. */
  | { readonly kind: 'keyspace.index'; readonly key: string; readonly at: number }
  /** SCAN -> [[key, type][], next `after` | null], this partition's keys in UTF-16 order; `max` 1..1,000. */
  | { readonly kind: 'keyspace.scan'; readonly after?: string | undefined; readonly max: number }
  /** DBSIZE -> number of keys in this partition; a due one counts until its expiry is committed. */
  | { readonly kind: 'keyspace.size' }

const side: Shape<Side> = oneOf('left', 'right')
const expiry = { ttlMs: optional(int), atMs: optional(int) }

export const keyspaceOperations: Cases<KeyspaceOperation | FreeOperation> = cases<KeyspaceOperation | FreeOperation>({
  'keyspace.set': [
    80,
    {
      key: string,
      value: bytes,
      condition: optional(oneOf('absent', 'present')),
      keepTtl: optional(boolean),
      returnPrevious: optional(boolean),
      ...expiry,
    },
  ],
  'keyspace.getDelete': [81, { key: string }],
  'keyspace.getExpire': [82, { key: string, persist: optional(boolean), ...expiry }],
  'keyspace.delete': [83, { key: string }],
  'keyspace.expire': [84, { key: string, condition: optional(oneOf('NX', 'XX', 'GT', 'LT', 'XXLT')), ...expiry }],
  'keyspace.persist': [85, { key: string }],
  'keyspace.increment': [86, { key: string, by: string }],
  'keyspace.append': [87, { key: string, value: bytes }],
  'keyspace.push': [88, { key: string, side, values: list(bytes), ifPresent: optional(boolean) }],
  'keyspace.pop': [89, { key: string, side, count: optional(uint) }],
  'keyspace.remove': [90, { key: string, count: int, value: bytes }],
  'keyspace.drop': [91, { key: string, expiresAtMs: uint }],
  'keyspace.free': [93, { list: uint }],
  'keyspace.check': [92, { key: string, isPresent: boolean }],
})

export const keyspaceQueries: Cases<KeyspaceQuery> = cases<KeyspaceQuery>({
  'keyspace.get': [80, { key: string }],
  'keyspace.exists': [81, { key: string }],
  'keyspace.type': [82, { key: string }],
  'keyspace.ttl': [83, { key: string }],
  'keyspace.length': [84, { key: string }],
  'keyspace.listLength': [85, { key: string }],
  'keyspace.range': [86, { key: string, start: int, stop: int }],
  'keyspace.index': [87, { key: string, at: int }],
  'keyspace.scan': [88, { after: optional(string), max: uint }],
  'keyspace.size': [89, {}],
})
