/** The record of one key, and what can be said of it alone: refusals in Redis' words, expiry, conversions. */
import type { Plain } from '../base/shape.ts'
import type { QueryResult, Refusal } from '../replication/state-machine.ts'
import { emptyExtent, type Extent } from './block-list.ts'
import { asciiOf, isInt64, parseInt64 } from './int64.ts'
import type { KeyspaceOperation } from './keyspace-operations.ts'
import { found, refusal, refused } from './structure.ts'

/** Redis' proto-max-bulk-len, 4 MiB as at the doors: a record travels in one piece. */
const stringBytesMax = 4 * 1024 * 1024
/** Elements that one answer gives: a million would hold up its owner and not fit into a message. */
const answerLengthMax = 100_000

/** In space 'keyspace' by key; `expiresAtMs` 0: never. A list's elements are in blocks. */
type StringRecord = readonly [type: 'string', expiresAtMs: number, value: Uint8Array]
type ListRecord = readonly [
  type: 'list',
  expiresAtMs: number,
  length: number,
  first: number,
  last: number,
  firstLength: number,
  id: number,
]
export type Entry = StringRecord | ListRecord

export type Of<K extends KeyspaceOperation['kind']> = Extract<KeyspaceOperation, { readonly kind: K }>

interface Expiry {
  readonly ttlMs?: number | undefined
  readonly atMs?: number | undefined
}

/** Undefined if none is given. At least 1, since 0 means never. */
export function newExpiry({ ttlMs, atMs }: Expiry, nowMs: number): number | undefined {
  const expiresAtMs = atMs ?? (ttlMs === undefined ? undefined : Math.ceil(nowMs) + ttlMs)
  return expiresAtMs === undefined ? undefined : Math.max(1, Math.min(expiresAtMs, Number.MAX_SAFE_INTEGER))
}

/** Never expiring counts as latest of all. */
export function allows(condition: Of<'keyspace.expire'>['condition'], beforeMs: number, afterMs: number): boolean {
  switch (condition) {
    case 'NX':
      return beforeMs === 0
    case 'XX':
      return beforeMs !== 0
    case 'GT':
      return beforeMs !== 0 && afterMs > beforeMs
    case 'LT':
      return beforeMs === 0 || afterMs < beforeMs
    case 'XXLT':
      return beforeMs !== 0 && afterMs < beforeMs
    default:
      return true
  }
}

export function expiryRefusal({ ttlMs = 1, atMs = 1 }: Expiry, command: string): Refusal | undefined {
  return ttlMs > 0 && atMs > 0 ? undefined : refusal('INVALID', `ERR invalid expire time in '${command}' command`)
}

export function typeRefusal(entry: Entry | undefined, type: Entry[0]): Refusal | undefined {
  if (entry === undefined || entry[0] === type) return undefined
  return refusal('WRONG_TYPE', 'WRONGTYPE Operation against a key holding the wrong kind of value')
}

/** In Redis' order: the argument, the type, the value. */
export function incrementRefusal({ by }: Of<'keyspace.increment'>, entry: Entry | undefined): Refusal | undefined {
  const step = parseInt64(by)
  const value = entry === undefined ? 0n : integerOf(entry)
  const notInteger = refusal('INVALID', 'ERR value is not an integer or out of range')
  if (step === undefined) return notInteger
  if (value === undefined) return typeRefusal(entry, 'string') ?? notInteger
  return isInt64(value + step) ? undefined : refusal('INVALID', 'ERR increment or decrement would overflow')
}

export function sizeRefusal({ value }: Of<'keyspace.append'>, entry: Entry | undefined): Refusal | undefined {
  if ((stringOf(entry)?.length ?? 0) + value.length <= stringBytesMax) return undefined
  return refusal('INVALID', 'ERR string exceeds maximum allowed size (proto-max-bulk-len)')
}

export function lengthRefusal(length: number): Refusal | undefined {
  if (length <= answerLengthMax) return undefined
  return refusal(
    'INVALID',
    `ERR an answer has at most ${answerLengthMax} elements, not ${length}: ask for them in parts`,
  )
}

export function typed(entry: Entry | undefined, type: Entry[0], result: () => Plain): QueryResult {
  const wrong = typeRefusal(entry, type)
  return wrong === undefined ? found(result()) : refused(wrong)
}

export function integerOf(entry: Entry | undefined): bigint | undefined {
  const text = entry?.[0] === 'string' ? asciiOf(entry[2]) : undefined
  return text === undefined ? undefined : parseInt64(text)
}

export function stringOf(entry: Entry | undefined): Uint8Array | null {
  return entry?.[0] === 'string' ? entry[2] : null
}

export function extentOf(entry: Entry | undefined): Extent {
  if (entry?.[0] !== 'list') return emptyExtent
  const [, , length, first, last, firstLength, id] = entry
  return { id, length, first, last, firstLength }
}

export function withExpiry(entry: Entry, expiresAtMs: number): Entry {
  if (entry[0] === 'string') return ['string', expiresAtMs, entry[2]]
  const [, , length, first, last, firstLength, id] = entry
  return ['list', expiresAtMs, length, first, last, firstLength, id]
}

export function joined(head: Uint8Array | null, tail: Uint8Array): Uint8Array {
  const out = new Uint8Array((head?.length ?? 0) + tail.length)
  if (head !== null) out.set(head)
  out.set(tail, head?.length ?? 0)
  return out
}
