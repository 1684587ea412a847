/**
 * Optimistic transactions: reads go out as they are made and record versions, writes are kept back; the commit carries
 * both, as one command where everything lies in one partition and in two phases otherwise. On conflict the function runs
 * again from the start, after a jittered pause, until the deadline.
 *
 * One commit changes a key at most once: writing it again replaces what was kept back. Results of operations are not
 * seen, because over partitions they run after the decision.
 */
import { ClosedError, ConflictError, InvalidError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import { partitionOf } from '../placement/hashing.ts'
import type { TransactionPart } from '../replication/caller.ts'
import type { Version } from '../structures/cases.ts'
import type { MapGetResult } from '../structures/map-operations.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { Calls, Timed } from './calls.ts'
import { durationMs } from './duration.ts'
import { addOperation } from './group.ts'
import type { MapSettings, Transaction, TransactionMap } from './handles.ts'
import type { GroupSettings, TransactionGroup } from './group-handles.ts'
import { parseToken } from './message.ts'
import { errorOf } from './outcomes.ts'
import { StoredQueue, type QueueParts } from './queue.ts'
import type { TransactionQueue } from './queue-handles.ts'
import { values } from './values.ts'

const backOff = { minMs: 1, maxMs: 20, triesMax: 8 }

interface MapKey {
  readonly map: string
  readonly key: string
  /** Undefined: not read. `version` undefined: was absent. */
  read?: { readonly value: Uint8Array | undefined; readonly version: Version | undefined }
  write?: { readonly value: Uint8Array | undefined; readonly ttlMs: number | undefined }
}

interface Planned {
  readonly partition: PartitionId
  readonly operation: StructureOperation
  /** Failed only because what was read has changed: run again. */
  readonly isRead: boolean
}

export async function runTransaction<R>(
  parts: QueueParts,
  work: (tx: Transaction) => R | Promise<R>,
  timed: Timed,
): Promise<R> {
  const { calls } = parts
  await calls.count(timed)
  for (let tries = 1; ; tries++) {
    const attempt = new Attempt(parts, timed)
    let result: R
    try {
      result = await work(attempt)
    } finally {
      attempt.isOver = true
    }
    const planned = attempt.plan()
    if (planned.length === 0) return result
    const settled = await calls.transact(partsOf(planned), timed)
    if (settled.kind === 'done') return result
    const isConflict =
      settled.kind === 'refused' && settled.code === 'CONFLICT' && planned[settled.operation]?.isRead === true
    if (!isConflict) throw errorOf(settled, timed.signal)
    const pauseMs = calls.env.random.between(backOff.minMs, backOff.maxMs) * Math.min(tries, backOff.triesMax)
    if (calls.nowMs + pauseMs >= timed.deadlineMs)
      throw new ConflictError(`the transaction met others ${tries} times within its deadline`, {
        detail: settled.detail,
      })
    await calls.sleep(pauseMs, timed.signal)
  }
}

function partsOf(planned: readonly Planned[]): readonly TransactionPart[] {
  return planned.map(({ partition, operation }) => ({ partition, operations: [operation] }))
}

class Attempt implements Transaction {
  isOver = false
  readonly #parts: QueueParts
  readonly #calls: Calls
  readonly #timed: Timed
  readonly #keys = new Map<string, MapKey>()
  readonly #adds = new Map<string, number>()
  readonly #operations: (Omit<Planned, 'partition'> & { readonly partition: PartitionId | undefined })[] = []

  constructor(parts: QueueParts, timed: Timed) {
    this.#parts = parts
    this.#calls = parts.calls
    this.#timed = timed
  }

  map<V>(name: string, settings: MapSettings<V> = {}): TransactionMap<V> {
    const codec = settings.codec ?? values<V>()
    const ttl = (own: MapSettings<V>['ttl']): number | undefined => {
      const chosen = own ?? settings.ttl
      return chosen === undefined ? undefined : durationMs(chosen, `ttl of map ${name}`)
    }
    return {
      get: async key => {
        const bytes = await this.#read(this.#key(name, key))
        return bytes === undefined ? undefined : codec.decode(bytes)
      },
      put: (key, value, options) => {
        this.#key(name, key).write = { value: codec.encode(value), ttlMs: ttl(options?.ttl) }
      },
      delete: key => {
        this.#key(name, key).write = { value: undefined, ttlMs: undefined }
      },
    }
  }

  queue<T>(name: string): TransactionQueue<T> {
    const queue = new StoredQueue<T>(this.#parts, name)
    const settle = (message: { readonly token: string }, operation: (token: number) => StructureOperation): void => {
      const [partition, token] = parseToken(message.token)
      this.#add(partition, operation(token))
    }
    return {
      put: (body, options = {}) => {
        const operation = queue.putOperation(body, options, this.#parts.agreements.current(name))
        const key = options.group ?? options.key
        // An unkeyed one goes where the rest of the commit goes, see `plan`.
        this.#add(key === undefined ? undefined : this.#partitionOf(key), operation)
        return operation.id
      },
      ack: message => settle(message, token => ({ kind: 'queue.ack', queue: name, token })),
      nack: (message, options = {}) => {
        const { delay, error, isDead } = options
        const delayMs = delay === undefined ? undefined : durationMs(delay, 'delay')
        settle(message, token => ({ kind: 'queue.nack', queue: name, token, delayMs, error, isDead }))
      },
    }
  }

  counter(name: string): { add(by?: number): void } {
    // One command changes a thing once: what is added to a counter is summed up.
    return { add: (by = 1) => void this.#adds.set(name, (this.#adds.get(name) ?? 0) + by) }
  }

  group(name: string): TransactionGroup {
    return {
      add: (key, piece, settings: GroupSettings = {}) => this.run(key, addOperation(name, key, piece, settings)),
      release: ({ partition, generation }) => this.#add(partition, { kind: 'group.release', group: name, generation }),
    }
  }

  lock(name: string): { verify(fence: number): void } {
    return { verify: fence => this.run(name, { kind: 'lock.verify', lock: name, token: fence }) }
  }

  run(key: string, operation: StructureOperation): void {
    this.#add(this.#partitionOf(key), operation)
  }

  /** Everything to commit, each with its partition. */
  plan(): readonly Planned[] {
    const planned: (Omit<Planned, 'partition'> & { readonly partition: PartitionId | undefined })[] = []
    for (const key of this.#keys.values()) {
      const partition = this.#partitionOf(key.key)
      for (const operation of mapOperations(key)) planned.push({ partition, operation, isRead: key.read !== undefined })
    }
    for (const [counter, by] of this.#adds)
      planned.push({
        partition: this.#partitionOf(counter),
        operation: { kind: 'counter.add', counter, by },
        isRead: false,
      })
    planned.push(...this.#operations)
    const home =
      planned.find(({ partition }) => partition !== undefined)?.partition ??
      this.#parts.putShard.next(this.#calls.partitionCount)
    return planned.map(({ partition = home, ...rest }) => ({ ...rest, partition }))
  }

  #key(map: string, key: string): MapKey {
    this.#check()
    const name = `${map.length}:${map}/${key}`
    const found = this.#keys.get(name)
    if (found !== undefined) return found
    const made: MapKey = { map, key }
    this.#keys.set(name, made)
    return made
  }

  async #read(key: MapKey): Promise<Uint8Array | undefined> {
    if (key.write !== undefined) return key.write.value
    if (key.read === undefined) {
      const query = { kind: 'map.get', map: key.map, key: key.key } as const
      const found = (await this.#calls.askAt(key.key, query, this.#timed)) as MapGetResult
      key.read ??= { value: found?.[0], version: found?.[1] }
    }
    return key.read.value
  }

  #add(partition: PartitionId | undefined, operation: StructureOperation): void {
    this.#check()
    this.#operations.push({ partition, operation, isRead: false })
  }

  #partitionOf(key: string): PartitionId {
    return partitionOf(key, this.#calls.partitionCount)
  }

  #check(): void {
    if (this.isOver) throw new ClosedError('the transaction is over: it lasts as long as its function runs')
    if (this.#operations.length + this.#keys.size >= operationsMax)
      throw new InvalidError(`a transaction has at most ${operationsMax} operations`)
  }
}

const operationsMax = 5_000

function mapOperations({ map, key, read, write }: MapKey): readonly StructureOperation[] {
  const check: StructureOperation = { kind: 'map.check', map, key, version: read?.version }
  if (write === undefined) return read === undefined ? [] : [check]
  if (write.value === undefined) {
    if (read === undefined) return [{ kind: 'map.delete', map, key }]
    return read.version === undefined ? [check] : [{ kind: 'map.delete', map, key, ifVersion: read.version }]
  }
  const put = { kind: 'map.put', map, key, value: write.value, ttlMs: write.ttlMs } as const
  if (read === undefined) return [put]
  return [read.version === undefined ? { ...put, ifAbsent: true } : { ...put, ifVersion: read.version }]
}
