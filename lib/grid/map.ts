/** A map of text keys to values: each key linearizable, versions for compare-and-set, lives in ms. */
import { ConflictError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import { partitionOf } from '../placement/hashing.ts'
import type { Version } from '../structures/cases.ts'
import type { MapGetResult, MapOperation, MapPutResult } from '../structures/map-operations.ts'
import type { Batches } from './batches.ts'
import type { Calls, Timed } from './calls.ts'
import { durationMs, type Duration } from './duration.ts'
import type { Entry, GridMap, MapSettings, OperationOptions, PutOptions, WriteOptions } from './handles.ts'
import { values, type ValueCodec } from './values.ts'

const pageLength = 500
/** Jitter after a conflict, times the number of tries up to `triesMax`. */
const backOff = { minMs: 1, maxMs: 10, triesMax: 8 }

export class StoredMap<V> implements GridMap<V> {
  readonly name: string
  readonly #calls: Calls
  readonly #batches: Batches
  readonly #ttlMs: number | undefined
  readonly #codec: ValueCodec<V>

  constructor(calls: Calls, batches: Batches, name: string, settings: MapSettings<V> = {}) {
    this.#calls = calls
    this.#batches = batches
    this.name = name
    this.#ttlMs = optionalMs(settings.ttl, `ttl of map ${name}`)
    this.#codec = settings.codec ?? values()
  }

  async get(key: string, options?: OperationOptions): Promise<V | undefined> {
    return (await this.entry(key, options))?.value
  }

  async has(key: string, options?: OperationOptions): Promise<boolean> {
    return (await this.#find(key, this.#calls.timed(options))) !== null
  }

  async entry(key: string, options?: OperationOptions): Promise<Entry<V> | undefined> {
    return this.#entryOf(await this.#find(key, this.#calls.timed(options)))
  }

  // Not async, for a promise more would be made for each entry.
  put(key: string, value: V, options: PutOptions = {}): Promise<Version> {
    try {
      const timed = this.#calls.timed(options)
      return this.#write(key, this.#putOperation(key, value, options), timed, options, versionOf)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  async delete(key: string, options?: WriteOptions & { readonly ifVersion?: Version | undefined }): Promise<boolean> {
    return await this.#delete(key, options, this.#calls.timed(options))
  }

  async update<R extends V | undefined>(
    key: string,
    change: (value: V | undefined) => R | Promise<R>,
    options: PutOptions = {},
  ): Promise<R> {
    const timed = this.#calls.timed(options)
    for (let tries = 1; ; tries++) {
      const entry = this.#entryOf(await this.#find(key, timed))
      const next = await change(entry?.value)
      try {
        await this.#replace(key, entry, next, options, timed)
        return next
      } catch (error) {
        if (!(error instanceof ConflictError) || this.#calls.nowMs >= timed.deadlineMs) throw error
      }
      const { minMs, maxMs, triesMax } = backOff
      const pauseMs = this.#calls.env.random.between(minMs, maxMs) * Math.min(tries, triesMax)
      await this.#calls.sleep(pauseMs, timed.signal)
    }
  }

  async touch(key: string, options?: WriteOptions & { readonly ttl?: Duration | undefined }): Promise<boolean> {
    const ttlMs = optionalMs(options?.ttl, 'ttl') ?? this.#ttlMs
    const operation = { kind: 'map.touch', map: this.name, key, ttlMs } as const
    return (await this.#write(key, operation, this.#calls.timed(options), options)) === true
  }

  async *entries(options?: OperationOptions): AsyncIterable<readonly [key: string, value: V, version: Version]> {
    const count = await this.#calls.count(this.#calls.timed(options))
    for (let partition = 0; partition < count; partition++) {
      for await (const page of this.#pages(partition, options))
        for (const [key, value, version] of page) yield [key, this.#codec.decode(value), version]
    }
  }

  async *keys(options?: OperationOptions): AsyncIterable<string> {
    const count = await this.#calls.count(this.#calls.timed(options))
    for (let partition = 0; partition < count; partition++)
      for await (const page of this.#pages(partition, options)) for (const [key] of page) yield key
  }

  async size(options?: OperationOptions): Promise<number> {
    const sizes = await this.#calls.askAll({ kind: 'map.size', map: this.name }, this.#calls.timed(options))
    return sizes.reduce<number>((sum, size) => sum + (size as number), 0)
  }

  async #find(key: string, timed: Timed): Promise<MapGetResult> {
    return (await this.#calls.askAt(key, { kind: 'map.get', map: this.name, key }, timed)) as MapGetResult
  }

  #entryOf(found: MapGetResult): Entry<V> | undefined {
    if (found === null) return undefined
    const [value, version, remainingMs] = found
    return { value: this.#codec.decode(value), version, remainingMs: remainingMs < 0 ? undefined : remainingMs }
  }

  /** Puts that nothing refuses for itself travel with others of this turn and partition; whatever else comes after them. */
  #write<Result = Plain>(
    key: string,
    operation: MapOperation,
    timed: Timed,
    options: PutOptions | undefined,
    read: (result: Plain) => Result = result => result as Result,
  ): Promise<Result> {
    const count = this.#calls.partitionCount
    if (count === 0) return this.#calls.runAt(key, operation, timed, options).then(read)
    const partition = partitionOf(key, count)
    if (isPlainPut(operation, options)) return this.#batches.run(partition, operation, timed.deadlineMs, read)
    this.#batches.send(partition)
    return this.#calls.runAt(key, operation, timed, options).then(read)
  }

  #putOperation(key: string, value: V, options: PutOptions): MapOperation {
    const { ttl, ifVersion, ifAbsent, ifPresent } = options
    const ttlMs = optionalMs(ttl, 'ttl') ?? this.#ttlMs
    const bytes = this.#codec.encode(value)
    return { kind: 'map.put', map: this.name, key, value: bytes, ttlMs, ifVersion, ifAbsent, ifPresent }
  }

  async #delete(
    key: string,
    options: (WriteOptions & { readonly ifVersion?: Version | undefined }) | undefined,
    timed: Timed,
  ): Promise<boolean> {
    const operation = { kind: 'map.delete', map: this.name, key, ifVersion: options?.ifVersion } as const
    return ((await this.#write(key, operation, timed, options)) as readonly [boolean])[0]
  }

  async #replace(
    key: string,
    entry: Entry<V> | undefined,
    next: V | undefined,
    options: PutOptions,
    timed: Timed,
  ): Promise<void> {
    if (next !== undefined) {
      const condition = entry === undefined ? { ifAbsent: true } : { ifVersion: entry.version }
      const put = this.#putOperation(key, next, { ...options, ...condition })
      await this.#write(key, put, timed, options)
    } else if (entry !== undefined) await this.#delete(key, { ...options, ifVersion: entry.version }, timed)
  }

  async *#pages(
    partition: PartitionId,
    options: OperationOptions | undefined,
  ): AsyncIterable<readonly (readonly [key: string, value: Uint8Array, version: Version])[]> {
    let after: string | undefined
    do {
      const query = { kind: 'map.entries', map: this.name, after, max: pageLength } as const
      const page = (await this.#calls.ask(partition, query, this.#calls.timed(options))) as readonly [
        Plain,
        string | null,
      ]
      yield page[0] as unknown as readonly (readonly [string, Uint8Array, Version])[]
      after = page[1] ?? undefined
    } while (after !== undefined)
  }
}

function versionOf(result: Plain): Version {
  return (result as unknown as MapPutResult)[0]
}

/** Its deadline is the default one, so that it takes nothing from those it travels with. */
function isPlainPut(operation: MapOperation, options: PutOptions | undefined): boolean {
  if (operation.kind !== 'map.put') return false
  const { ifVersion, ifAbsent, ifPresent } = operation
  const isConditional = ifVersion !== undefined || ifAbsent !== undefined || ifPresent !== undefined
  return (
    !isConditional &&
    options?.deadline === undefined &&
    options?.signal === undefined &&
    options?.idempotencyKey === undefined
  )
}

function optionalMs(duration: Duration | undefined, what: string): number | undefined {
  return duration === undefined ? undefined : durationMs(duration, what)
}
