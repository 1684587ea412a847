/**
 * Maps: values by key, with versions and a time to live. A version names the write, so delete and re-create never repeats
 * one. An entry past its time is absent to operations at once (they are judged by the entry's own time) and to reads once
 * its expiry is committed; a read that meets it asks for that first.
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import type { Version } from './cases.ts'
import { Deadlines } from './deadlines.ts'
import { againMs } from './leases.ts'
import type { MapOperation, MapQuery } from './map-operations.ts'
import type { StructureOperation } from './operations.ts'
import { Spaces, due, dueAtMs, found, isDue, pageRefusal, refusal, refused } from './structure.ts'
import type { IsLocked, Partition, Structure } from './structure.ts'

/** In space `map:${map}` by key. `expiresAtMs` 0: never. */
type Entry = readonly [value: Uint8Array, version: Version, expiresAtMs: number]

interface Address {
  readonly map: string
  readonly key: string
}

export class MapStructure implements Structure<MapOperation, MapQuery> {
  readonly #partition: Partition
  readonly #spaces = new Spaces('map:')
  readonly #expiries = new Deadlines<string, Address>()

  constructor(partition: Partition) {
    this.#partition = partition
  }

  locks(subject: MapOperation | MapQuery): readonly string[] {
    return 'key' in subject ? [lockOf(subject)] : []
  }

  grows(operation: MapOperation): boolean {
    return operation.kind === 'map.put'
  }

  check(operation: MapOperation, { atMs }: ApplyContext): Refusal | undefined {
    // Most puts ask for nothing: then there is nothing to look up.
    if (operation.kind === 'map.put' && !isConditional(operation)) return undefined
    const version = this.#live(operation, atMs)?.[1]
    switch (operation.kind) {
      case 'map.put':
        if (operation.ifAbsent === true && version !== undefined) return conflict('is there already', version)
        if (operation.ifPresent === true && version === undefined) return conflict('is absent', version)
        return versionRefusal(operation.ifVersion, version)
      case 'map.delete':
        return versionRefusal(operation.ifVersion, version)
      case 'map.check':
        if (operation.version !== undefined) return versionRefusal(operation.version, version)
        return version === undefined ? undefined : conflict('is there', version)
      default:
        return undefined
    }
  }

  execute(operation: MapOperation, context: ApplyContext): Plain {
    const { epoch, index, ordinal, atMs } = context
    const isBlind = operation.kind === 'map.put' && operation.returnPrevious !== true
    const before = isBlind ? undefined : this.#live(operation, atMs)
    switch (operation.kind) {
      case 'map.put': {
        const version: Version = [epoch, index, ordinal]
        this.#put(operation, [operation.value, version, dueAtMs(atMs, operation.ttlMs)])
        return [version, before?.[0] ?? null]
      }
      case 'map.delete':
        this.#delete(operation)
        return [before !== undefined, operation.returnPrevious === true ? (before?.[0] ?? null) : null]
      case 'map.touch':
        if (before === undefined) return false
        this.#put(operation, [before[0], before[1], dueAtMs(atMs, operation.ttlMs)])
        return true
      case 'map.check':
        return true
      case 'map.expire': {
        const entry = this.#get(operation)
        if (entry === undefined || !isSame(entry[1], operation.version) || !isDue(entry[2], atMs)) return false
        this.#delete(operation)
        return true
      }
    }
  }

  query(query: MapQuery, atMs: number): QueryResult {
    switch (query.kind) {
      case 'map.get': {
        const entry = this.#get(query)
        if (entry === undefined) return found(null)
        if (isDue(entry[2], atMs)) return due(expire(query, entry))
        return found([entry[0], entry[1], remaining(entry, atMs)])
      }
      case 'map.entries':
        return pageRefusalOr(query.max, () => this.#page(query.map, query.after, query.max, atMs))
      case 'map.size':
        return found(this.#partition.store.count(this.#spaces.of(query.map)))
    }
  }

  index(space: string, key: string, record: Plain): void {
    this.#arm({ map: space.slice('map:'.length), key }, record as Entry)
  }

  nextAtMs(): number | undefined {
    return this.#expiries.nextMs()
  }

  due(_: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#expiries.name(atMs, countMax, againMs, (_, address) => {
      const entry = this.#get(address)
      if (entry === undefined || isLocked(lockOf(address))) return false
      out.push(expire(address, entry))
      return true
    })
    return out
  }

  #page(map: string, after: string | undefined, max: number, atMs: number): QueryResult {
    const page = this.#partition.store.page(this.#spaces.of(map), after, max) as readonly (readonly [string, Entry])[]
    const expired = page.filter(([, entry]) => isDue(entry[2], atMs))
    if (expired.length > 0) return due(...expired.map(([key, entry]) => expire({ map, key }, entry)))
    return found([
      page.map(([key, entry]) => [key, entry[0], entry[1]]),
      page.length < max ? null : (page.at(-1)?.[0] ?? null),
    ])
  }

  #get({ map, key }: Address): Entry | undefined {
    return this.#partition.store.get(this.#spaces.of(map), key) as Entry | undefined
  }

  #live(address: Address, atMs: number): Entry | undefined {
    const entry = this.#get(address)
    return entry === undefined || isDue(entry[2], atMs) ? undefined : entry
  }

  #put(address: Address, entry: Entry): void {
    this.#partition.store.put(this.#spaces.of(address.map), address.key, entry)
    this.#arm(address, entry)
  }

  #delete({ map, key }: Address): void {
    this.#partition.store.delete(this.#spaces.of(map), key)
    this.#disarm({ map, key })
  }

  /** Most maps have no lives at all: then there is no name to make. */
  #disarm(address: Address): void {
    if (this.#expiries.size > 0) this.#expiries.delete(nameOf(address))
  }

  #arm({ map, key }: Address, entry: Entry): void {
    if (entry[2] === 0) this.#disarm({ map, key })
    else this.#expiries.set(nameOf({ map, key }), entry[2], { map, key })
  }
}

function isConditional({ ifVersion, ifAbsent, ifPresent }: Extract<MapOperation, { kind: 'map.put' }>): boolean {
  return ifVersion !== undefined || ifAbsent === true || ifPresent === true
}

function pageRefusalOr(max: number, page: () => QueryResult): QueryResult {
  const wrong = pageRefusal(max)
  return wrong === undefined ? page() : refused(wrong)
}

function expire({ map, key }: Address, entry: Entry): MapOperation {
  return { kind: 'map.expire', map, key, version: entry[1] }
}

function remaining(entry: Entry, atMs: number): number {
  return entry[2] === 0 ? -1 : Math.ceil(entry[2] - atMs)
}

function versionRefusal(wanted: Version | undefined, version: Version | undefined): Refusal | undefined {
  if (wanted === undefined || (version !== undefined && isSame(wanted, version))) return undefined
  return conflict('has another version', version)
}

function conflict(what: string, version: Version | undefined): Refusal {
  return refusal('CONFLICT', `the entry ${what}`, version ?? null)
}

function isSame(a: Version, b: Version): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2]
}

function lockOf({ map, key }: Address): string {
  return `map:${map}/${key}`
}

function nameOf({ map, key }: Address): string {
  return `${map.length}:${map}/${key}`
}
