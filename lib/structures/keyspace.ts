/**
 * The keyspace: strings and lists that behave as in Redis 7.0, each key with its own expiry. What Redis decides while it
 * executes (SET NX on a key that is there) is a result here; what it answers with an error is a refusal in its words. A key
 * past its expiry is absent to operations at once, and to reads once its `keyspace.drop` is committed.
 *
 * Source: redis.io/commands and the sources of Redis 7.0 (t_string.c, t_list.c, expire.c).
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { BlockLists, emptyExtent, type Extent } from './block-list.ts'
import { Deadlines } from './deadlines.ts'
import { asciiOf, bytesOf, isInt64, parseInt64 } from './int64.ts'
import type { KeyspaceOperation, KeyspaceQuery } from './keyspace-operations.ts'
import { againMs } from './leases.ts'
import type { StructureOperation } from './operations.ts'
import { due, found, isDue, pageRefusal, refusal, refused } from './structure.ts'
import type { IsLocked, Partition, Structure } from './structure.ts'

/** Redis' proto-max-bulk-len. */
const stringBytesMax = 512 * 1024 * 1024
const space = 'keyspace'

/** In space 'keyspace' by key; `expiresAtMs` 0: never. A list's elements are in blocks. */
type StringRecord = readonly [type: 'string', expiresAtMs: number, value: Uint8Array]
type ListRecord = readonly [
  type: 'list',
  expiresAtMs: number,
  length: number,
  first: number,
  last: number,
  firstLength: number,
]
type Entry = StringRecord | ListRecord

type Of<K extends KeyspaceOperation['kind']> = Extract<KeyspaceOperation, { readonly kind: K }>

export class KeyspaceStructure implements Structure<KeyspaceOperation, KeyspaceQuery> {
  readonly #partition: Partition
  readonly #lists: BlockLists
  readonly #expiries = new Deadlines<string, null>()

  constructor(partition: Partition) {
    this.#partition = partition
    this.#lists = new BlockLists(partition.store)
  }

  locks(subject: KeyspaceOperation | KeyspaceQuery): readonly string[] {
    return 'key' in subject ? [lockOf(subject.key)] : []
  }

  grows({ kind }: KeyspaceOperation): boolean {
    return (
      kind === 'keyspace.set' || kind === 'keyspace.append' || kind === 'keyspace.push' || kind === 'keyspace.increment'
    )
  }

  check(operation: KeyspaceOperation, { atMs }: ApplyContext): Refusal | undefined {
    const entry = this.#live(operation.key, atMs)
    switch (operation.kind) {
      case 'keyspace.set':
        return (
          expiryRefusal(operation, 'set') ??
          (operation.returnPrevious === true ? typeRefusal(entry, 'string') : undefined)
        )
      case 'keyspace.getExpire':
        return expiryRefusal(operation, 'getex') ?? typeRefusal(entry, 'string')
      case 'keyspace.getDelete':
        return typeRefusal(entry, 'string')
      case 'keyspace.increment':
        return incrementRefusal(operation, entry)
      case 'keyspace.append':
        return typeRefusal(entry, 'string') ?? sizeRefusal(operation, entry)
      case 'keyspace.check': {
        const isPresent = entry !== undefined
        return isPresent === operation.isPresent
          ? undefined
          : refusal('CONFLICT', `key is ${isPresent ? 'there' : 'not there'}`)
      }
      case 'keyspace.push':
      case 'keyspace.pop':
      case 'keyspace.remove':
        return typeRefusal(entry, 'list')
      default:
        return undefined
    }
  }

  execute(operation: KeyspaceOperation, context: ApplyContext): Plain {
    if (context.ordinal !== 0 && this.check(operation, context) !== undefined) return null
    const { key } = operation
    const { atMs } = context
    if (operation.kind === 'keyspace.check') return true
    if (operation.kind === 'keyspace.drop') return this.#expire(operation, atMs)
    const entry = this.#present(key, atMs)
    switch (operation.kind) {
      case 'keyspace.set':
        return this.#set(operation, entry, atMs)
      case 'keyspace.getDelete':
        if (entry !== undefined) this.#delete(key, entry)
        return stringOf(entry)
      case 'keyspace.getExpire':
        if (entry !== undefined) this.#renew(operation, entry, atMs)
        return stringOf(entry)
      case 'keyspace.delete':
        if (entry !== undefined) this.#delete(key, entry)
        return entry === undefined ? 0 : 1
      case 'keyspace.expire':
        return entry === undefined ? 0 : this.#expireAt(operation, entry, atMs)
      case 'keyspace.persist':
        if (entry === undefined || entry[1] === 0) return 0
        this.#put(key, withExpiry(entry, 0))
        return 1
      case 'keyspace.increment':
        return this.#increment(operation, entry)
      case 'keyspace.append': {
        const value = joined(stringOf(entry), operation.value)
        this.#put(key, ['string', entry?.[1] ?? 0, value])
        return value.length
      }
      case 'keyspace.push': {
        if (entry === undefined && operation.ifPresent === true) return 0
        const extent = this.#lists.push(key, extentOf(entry), operation.side, operation.values)
        this.#putList(key, entry?.[1] ?? 0, extent)
        return extent.length
      }
      case 'keyspace.pop': {
        if (entry === undefined) return null
        const [extent, values] = this.#lists.pop(key, extentOf(entry), operation.side, operation.count ?? 1)
        this.#putList(key, entry[1], extent)
        return values
      }
      case 'keyspace.remove':
        return entry === undefined ? 0 : this.#remove(operation, entry)
    }
  }

  query(query: KeyspaceQuery, atMs: number): QueryResult {
    if (query.kind === 'keyspace.scan') return this.#scan(query.after, query.max, atMs)
    if (query.kind === 'keyspace.size') return found(this.#partition.store.count(space))
    const { key } = query
    const entry = this.#get(key)
    if (entry !== undefined && isDue(entry[1], atMs)) return due(drop(key, entry))
    switch (query.kind) {
      case 'keyspace.get':
        return typed(entry, 'string', () => stringOf(entry))
      case 'keyspace.exists':
        return found(entry === undefined ? 0 : 1)
      case 'keyspace.type':
        return found(entry?.[0] ?? 'none')
      case 'keyspace.ttl':
        return found(entry === undefined ? -2 : entry[1] === 0 ? -1 : Math.ceil(entry[1] - atMs))
      case 'keyspace.length':
        return typed(entry, 'string', () => stringOf(entry)?.length ?? 0)
      case 'keyspace.listLength':
        return typed(entry, 'list', () => extentOf(entry).length)
      case 'keyspace.range':
        return typed(entry, 'list', () => this.#range(key, extentOf(entry), query.start, query.stop))
      case 'keyspace.index': {
        const { length } = extentOf(entry)
        const at = query.at < 0 ? query.at + length : query.at
        if (at < 0 || at >= length) return typed(entry, 'list', () => null)
        return typed(entry, 'list', () => this.#lists.range(key, extentOf(entry), at, at)[0] ?? null)
      }
    }
  }

  index(space: string, key: string, record: Plain): void {
    if (space === 'keyspace') this.#arm(key, record as Entry)
  }

  nextAtMs(): number | undefined {
    return this.#expiries.nextMs()
  }

  due(_: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#expiries.name(atMs, countMax, againMs, key => {
      const entry = this.#get(key)
      if (entry === undefined || isLocked(lockOf(key))) return false
      out.push(drop(key, entry))
      return true
    })
    return out
  }

  #set(operation: Of<'keyspace.set'>, entry: Entry | undefined, atMs: number): Plain {
    const { key, value, condition, keepTtl, returnPrevious } = operation
    const previous = returnPrevious === true ? stringOf(entry) : null
    if (condition === 'absent' ? entry !== undefined : condition === 'present' && entry === undefined) {
      return [false, previous]
    }
    if (entry?.[0] === 'list') this.#delete(key, entry)
    const expiresAtMs = newExpiry(operation, atMs) ?? (keepTtl === true ? (entry?.[1] ?? 0) : 0)
    this.#put(key, ['string', expiresAtMs, value])
    if (isDue(expiresAtMs, atMs)) this.#delete(key, ['string', expiresAtMs, value])
    return [true, previous]
  }

  #renew(operation: Of<'keyspace.getExpire'>, entry: Entry, atMs: number): void {
    const expiresAtMs = operation.persist === true ? 0 : newExpiry(operation, atMs)
    if (expiresAtMs === undefined) return
    if (isDue(expiresAtMs, atMs)) this.#delete(operation.key, entry)
    else this.#put(operation.key, withExpiry(entry, expiresAtMs))
  }

  #expireAt(operation: Of<'keyspace.expire'>, entry: Entry, atMs: number): number {
    const expiresAtMs = newExpiry(operation, atMs) ?? 0
    if (!allows(operation.condition, entry[1], expiresAtMs)) return 0
    if (expiresAtMs <= atMs) this.#delete(operation.key, entry)
    else this.#put(operation.key, withExpiry(entry, expiresAtMs))
    return 1
  }

  #increment({ key, by }: Of<'keyspace.increment'>, entry: Entry | undefined): string {
    const value = String((integerOf(entry) ?? 0n) + (parseInt64(by) ?? 0n))
    this.#put(key, ['string', entry?.[1] ?? 0, bytesOf(value)])
    return value
  }

  #remove({ key, count, value }: Of<'keyspace.remove'>, entry: Entry): number {
    const extent = extentOf(entry)
    const values = this.#lists.range(key, extent, 0, extent.length - 1)
    const kept = without(values, value, count)
    if (kept.length === values.length) return 0
    this.#lists.drop(key, extent)
    this.#putList(key, entry[1], this.#lists.push(key, emptyExtent, 'right', kept))
    return values.length - kept.length
  }

  #range(key: string, extent: Extent, start: number, stop: number): Plain {
    const { length } = extent
    const from = Math.max(0, start < 0 ? start + length : start)
    const to = Math.min(length - 1, stop < 0 ? stop + length : stop)
    return this.#lists.range(key, extent, from, to)
  }

  #scan(after: string | undefined, max: number, atMs: number): QueryResult {
    const wrong = pageRefusal(max)
    if (wrong !== undefined) return refused(wrong)
    const page = this.#partition.store.page(space, after, max) as readonly (readonly [string, Entry])[]
    const expired = page.filter(([, entry]) => isDue(entry[1], atMs))
    if (expired.length > 0) return due(...expired.map(([key, entry]) => drop(key, entry)))
    return found([page.map(([key, entry]) => [key, entry[0]]), page.length < max ? null : (page.at(-1)?.[0] ?? null)])
  }

  #expire({ key, expiresAtMs }: Of<'keyspace.drop'>, atMs: number): boolean {
    const entry = this.#get(key)
    if (entry === undefined || entry[1] !== expiresAtMs || !isDue(expiresAtMs, atMs)) return false
    this.#delete(key, entry)
    return true
  }

  #get(key: string): Entry | undefined {
    return this.#partition.store.get(space, key) as Entry | undefined
  }

  #live(key: string, atMs: number): Entry | undefined {
    const entry = this.#get(key)
    return entry === undefined || isDue(entry[1], atMs) ? undefined : entry
  }

  /** As `#live`, and what is past its expiry goes now, blocks and all, before something new takes its place. */
  #present(key: string, atMs: number): Entry | undefined {
    const entry = this.#get(key)
    if (entry === undefined || !isDue(entry[1], atMs)) return entry
    this.#delete(key, entry)
    return undefined
  }

  #put(key: string, entry: Entry): void {
    this.#partition.store.put(space, key, entry)
    this.#arm(key, entry)
  }

  #putList(key: string, expiresAtMs: number, extent: Extent): void {
    const { length, first, last, firstLength } = extent
    if (length > 0) this.#put(key, ['list', expiresAtMs, length, first, last, firstLength])
    else {
      this.#partition.store.delete(space, key)
      this.#expiries.delete(key)
    }
  }

  #delete(key: string, entry: Entry): void {
    this.#lists.drop(key, extentOf(entry))
    this.#partition.store.delete(space, key)
    this.#expiries.delete(key)
  }

  #arm(key: string, [, expiresAtMs]: Entry): void {
    if (expiresAtMs === 0) this.#expiries.delete(key)
    else this.#expiries.set(key, expiresAtMs, null)
  }
}

interface Expiry {
  readonly ttlMs?: number | undefined
  readonly atMs?: number | undefined
}

/** Undefined if none is given. At least 1, since 0 means never. */
function newExpiry({ ttlMs, atMs }: Expiry, nowMs: number): number | undefined {
  const expiresAtMs = atMs ?? (ttlMs === undefined ? undefined : Math.ceil(nowMs) + ttlMs)
  return expiresAtMs === undefined ? undefined : Math.max(1, Math.min(expiresAtMs, Number.MAX_SAFE_INTEGER))
}

/** Never expiring counts as latest of all. */
function allows(condition: Of<'keyspace.expire'>['condition'], beforeMs: number, afterMs: number): boolean {
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

function expiryRefusal({ ttlMs = 1, atMs = 1 }: Expiry, command: string): Refusal | undefined {
  return ttlMs > 0 && atMs > 0 ? undefined : refusal('INVALID', `ERR invalid expire time in '${command}' command`)
}

function typeRefusal(entry: Entry | undefined, type: Entry[0]): Refusal | undefined {
  if (entry === undefined || entry[0] === type) return undefined
  return refusal('WRONG_TYPE', 'WRONGTYPE Operation against a key holding the wrong kind of value')
}

/** In Redis' order: the argument, the type, the value. */
function incrementRefusal({ by }: Of<'keyspace.increment'>, entry: Entry | undefined): Refusal | undefined {
  const step = parseInt64(by)
  const value = entry === undefined ? 0n : integerOf(entry)
  const notInteger = refusal('INVALID', 'ERR value is not an integer or out of range')
  if (step === undefined) return notInteger
  if (value === undefined) return typeRefusal(entry, 'string') ?? notInteger
  return isInt64(value + step) ? undefined : refusal('INVALID', 'ERR increment or decrement would overflow')
}

function sizeRefusal({ value }: Of<'keyspace.append'>, entry: Entry | undefined): Refusal | undefined {
  if ((stringOf(entry)?.length ?? 0) + value.length <= stringBytesMax) return undefined
  return refusal('INVALID', 'ERR string exceeds maximum allowed size (proto-max-bulk-len)')
}

function typed(entry: Entry | undefined, type: Entry[0], result: () => Plain): QueryResult {
  const wrong = typeRefusal(entry, type)
  return wrong === undefined ? found(result()) : refused(wrong)
}

function integerOf(entry: Entry | undefined): bigint | undefined {
  const text = entry?.[0] === 'string' ? asciiOf(entry[2]) : undefined
  return text === undefined ? undefined : parseInt64(text)
}

function stringOf(entry: Entry | undefined): Uint8Array | null {
  return entry?.[0] === 'string' ? entry[2] : null
}

function extentOf(entry: Entry | undefined): Extent {
  if (entry?.[0] !== 'list') return emptyExtent
  const [, , length, first, last, firstLength] = entry
  return { length, first, last, firstLength }
}

function withExpiry(entry: Entry, expiresAtMs: number): Entry {
  if (entry[0] === 'string') return ['string', expiresAtMs, entry[2]]
  const [, , length, first, last, firstLength] = entry
  return ['list', expiresAtMs, length, first, last, firstLength]
}

function joined(head: Uint8Array | null, tail: Uint8Array): Uint8Array {
  const out = new Uint8Array((head?.length ?? 0) + tail.length)
  if (head !== null) out.set(head)
  out.set(tail, head?.length ?? 0)
  return out
}

/** LREM: up to |count| equal values gone, from the left, or from the right if negative; all if 0. */
function without(values: readonly Uint8Array[], value: Uint8Array, count: number): readonly Uint8Array[] {
  const ordered = count < 0 ? values.toReversed() : values
  let left = count === 0 ? values.length : Math.abs(count)
  const kept = ordered.filter(item => left === 0 || !isEqual(item, value) || left-- === 0)
  return count < 0 ? kept.reverse() : kept
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}

function drop(key: string, [, expiresAtMs]: Entry): KeyspaceOperation {
  return { kind: 'keyspace.drop', key, expiresAtMs }
}

function lockOf(key: string): string {
  return `keyspace:${key}`
}
