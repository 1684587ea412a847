/**
 * The keyspace: strings and lists that behave as in Redis 7.0, each key with its own expiry. What Redis decides while it
 * executes (SET NX on a key that is there) is a result here; what it answers with an error is a refusal in its words. A key
 * past its expiry is absent to operations at once, and to reads once its `keyspace.drop` is committed.
 *
 * Source: redis.io/commands and the sources of Redis 7.0 (t_string.c, t_list.c, expire.c).
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { BlockLists, type Extent } from './block-list.ts'
import { Deadlines } from './deadlines.ts'
import { bytesOf, parseInt64 } from './int64.ts'
import {
  allows,
  expiryRefusal,
  extentOf,
  incrementRefusal,
  integerOf,
  joined,
  lengthRefusal,
} from './keyspace-entry.ts'
import {
  newExpiry,
  sizeRefusal,
  stringOf,
  typed,
  typeRefusal,
  withExpiry,
  type Entry,
  type Of,
} from './keyspace-entry.ts'
import type { FreeOperation, KeyspaceOperation, KeyspaceQuery } from './keyspace-operations.ts'
import { againMs } from './leases.ts'
import type { StructureOperation } from './operations.ts'
import { due, found, isDue, pageRefusal, refusal, refused } from './structure.ts'
import type { IsLocked, Partition, Structure } from './structure.ts'

const space = 'keyspace'

export class KeyspaceStructure implements Structure<KeyspaceOperation | FreeOperation, KeyspaceQuery> {
  readonly #partition: Partition
  readonly #lists: BlockLists
  readonly #expiries = new Deadlines<string, null>()
  // Dropped lists with blocks to free.
  readonly #dropped = new Deadlines<number, null>()

  constructor(partition: Partition) {
    this.#partition = partition
    this.#lists = new BlockLists(partition.store, partition.sequences)
  }

  locks(subject: KeyspaceOperation | FreeOperation | KeyspaceQuery): readonly string[] {
    return 'key' in subject ? [lockOf(subject.key)] : []
  }

  grows({ kind }: KeyspaceOperation | FreeOperation): boolean {
    return (
      kind === 'keyspace.set' || kind === 'keyspace.append' || kind === 'keyspace.push' || kind === 'keyspace.increment'
    )
  }

  check(operation: KeyspaceOperation | FreeOperation, { atMs }: ApplyContext): Refusal | undefined {
    if (operation.kind === 'keyspace.free') return undefined
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
      case 'keyspace.pop':
        return typeRefusal(entry, 'list') ?? lengthRefusal(Math.min(operation.count ?? 1, extentOf(entry).length))
      case 'keyspace.push':
      case 'keyspace.remove':
        return typeRefusal(entry, 'list')
      default:
        return undefined
    }
  }

  execute(operation: KeyspaceOperation | FreeOperation, context: ApplyContext): Plain {
    if (operation.kind === 'keyspace.free') return this.#free(operation.list)
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
        const extent = this.#lists.push(extentOf(entry), operation.side, operation.values)
        this.#putList(key, entry?.[1] ?? 0, extent)
        return extent.length
      }
      case 'keyspace.pop': {
        if (entry === undefined) return null
        const [extent, values] = this.#lists.pop(extentOf(entry), operation.side, operation.count ?? 1)
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
        return this.#range(entry, query.start, query.stop)
      case 'keyspace.index': {
        const { length } = extentOf(entry)
        const at = query.at < 0 ? query.at + length : query.at
        if (at < 0 || at >= length) return typed(entry, 'list', () => null)
        return typed(entry, 'list', () => this.#lists.range(extentOf(entry), at, at)[0] ?? null)
      }
    }
  }

  index(space: string, key: string, record: Plain): void {
    if (space === 'keyspace') this.#arm(key, record as Entry)
    else if (space === 'dropped') this.#dropped.set(Number(key), 0, null)
  }

  nextAtMs(): number | undefined {
    const [droppedMs, expiryMs] = [this.#dropped.nextMs(), this.#expiries.nextMs()]
    return droppedMs === undefined || (expiryMs !== undefined && expiryMs < droppedMs) ? expiryMs : droppedMs
  }

  due(_: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#expiries.name(atMs, countMax, againMs, key => {
      const entry = this.#get(key)
      if (entry === undefined || isLocked(lockOf(key))) return false
      out.push(drop(key, entry))
      return true
    })
    this.#dropped.name(atMs, Math.min(1, countMax - out.length), againMs, list => {
      out.push({ kind: 'keyspace.free', list })
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
    const countMax = count === 0 ? Infinity : Math.abs(count)
    const [extent, removed] = this.#lists.remove(extentOf(entry), count < 0 ? 'right' : 'left', countMax, value)
    if (removed > 0) this.#putList(key, entry[1], extent)
    return removed
  }

  #range(entry: Entry | undefined, start: number, stop: number): QueryResult {
    const extent = extentOf(entry)
    const { length } = extent
    const from = Math.max(0, start < 0 ? start + length : start)
    const to = Math.min(length - 1, stop < 0 ? stop + length : stop)
    const wrong = typeRefusal(entry, 'list') ?? lengthRefusal(to - from + 1)
    return wrong === undefined ? found(this.#lists.range(extent, from, to)) : refused(wrong)
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

  #free(list: number): boolean {
    if (!this.#dropped.has(list)) return false
    if (this.#lists.free(list)) this.#dropped.set(list, 0, null)
    else this.#dropped.delete(list)
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
    const { id, length, first, last, firstLength } = extent
    if (length > 0) this.#put(key, ['list', expiresAtMs, length, first, last, firstLength, id])
    else {
      this.#partition.store.delete(space, key)
      this.#expiries.delete(key)
    }
  }

  #delete(key: string, entry: Entry): void {
    const dropped = this.#lists.drop(extentOf(entry))
    if (dropped !== undefined) this.#dropped.set(dropped, 0, null)
    this.#partition.store.delete(space, key)
    this.#expiries.delete(key)
  }

  #arm(key: string, [, expiresAtMs]: Entry): void {
    if (expiresAtMs === 0) this.#expiries.delete(key)
    else this.#expiries.set(key, expiresAtMs, null)
  }
}

function drop(key: string, [, expiresAtMs]: Entry): KeyspaceOperation {
  return { kind: 'keyspace.drop', key, expiresAtMs }
}

function lockOf(key: string): string {
  return `keyspace:${key}`
}
