/**
 * Many small operations of one turn on one partition as one command: one log entry, one append. Each still has its own
 * answer: if one is refused the command did nothing, so that one is answered and the rest are sent again without it.
 */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Settled } from '../replication/caller.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { Calls } from './calls.ts'
import { resultsOf } from './outcomes.ts'
import { checkOperations } from './validity.ts'

/** More begin another command: they keep entries, and what waits behind them, short. */
const operationsMax = 256
const bytesMax = 256 * 1024
/** Puts are checked before the first of them is executed: so a command may overrun a shard by this part of its capacity. */
const overrunPart = 8

interface Waiting {
  readonly operation: StructureOperation
  readonly deadlineMs: number
  readonly resolve: (result: Plain) => void
  readonly reject: (error: unknown) => void
}

interface Batch {
  readonly items: Waiting[]
  bytes: number
  puts: number
  /** Of map entries: one command changes each once. */
  readonly keys: Set<string>
}

export class Batches {
  readonly #calls: Calls
  #open = new Map<PartitionId, Batch>()
  #isTurnAsked = false

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** The operation's result; rejects with its typed error. */
  run(partition: PartitionId, operation: StructureOperation, deadlineMs: number): Promise<Plain> {
    return new Promise((resolve, reject) => {
      // Here, so that a wrong one does not take down those it would travel with.
      checkOperations(partition, this.#calls.partitionCount, [operation])
      this.#add(partition, { operation, deadlineMs, resolve, reject })
    })
  }

  #add(partition: PartitionId, item: Waiting): void {
    const bytes = bytesOf(item.operation)
    const key = keyOf(item.operation)
    let batch = this.#open.get(partition)
    const isFull =
      batch !== undefined &&
      (batch.items.length >= operationsMax ||
        batch.bytes + bytes > bytesMax ||
        batch.puts >= putsMax(item.operation) ||
        (key !== undefined && batch.keys.has(key)))
    if (batch !== undefined && isFull) {
      this.#send(partition, batch.items)
      batch = undefined
    }
    if (batch === undefined) this.#open.set(partition, (batch = { items: [], bytes: 0, puts: 0, keys: new Set() }))
    batch.items.push(item)
    batch.bytes += bytes
    if (key !== undefined) batch.keys.add(key)
    if (item.operation.kind === 'queue.put') batch.puts++
    if (this.#isTurnAsked) return
    this.#isTurnAsked = true
    this.#calls.env.turn(() => this.#flush())
  }

  /** Sends what waits for this partition, so that what is sent otherwise comes after it. */
  send(partition: PartitionId): void {
    const batch = this.#open.get(partition)
    if (batch === undefined) return
    this.#open.delete(partition)
    this.#send(partition, batch.items)
  }

  #flush(): void {
    this.#isTurnAsked = false
    const open = this.#open
    this.#open = new Map()
    for (const [partition, { items }] of open) this.#send(partition, items)
  }

  #send(partition: PartitionId, items: readonly Waiting[]): void {
    const deadlineMs = items.reduce((least, item) => Math.min(least, item.deadlineMs), Infinity)
    const operations = items.map(item => item.operation)
    this.#calls.settleChecked(partition, operations, { deadlineMs, signal: undefined }).then(
      settled => this.#answer(partition, items, settled),
      (error: unknown) => items.forEach(item => item.reject(error)),
    )
  }

  #answer(partition: PartitionId, items: readonly Waiting[], settled: Settled): void {
    if (settled.kind === 'refused' && items.length > 1) {
      const refused = items[settled.operation] as Waiting
      // Refused for what it is next to, not for what it is (one token twice): then it goes alone.
      if (settled.code === 'INVALID') this.#send(partition, [refused])
      else reject(refused, settled)
      const rest = items.filter(item => item !== refused)
      return this.#send(partition, rest)
    }
    if (settled.kind === 'done') items.forEach((item, at) => item.resolve(settled.results[at] as Plain))
    else for (const item of items) reject(item, settled)
  }
}

function bytesOf(operation: StructureOperation): number {
  if ('body' in operation) return operation.body.length
  return operation.kind === 'map.put' ? operation.value.length : 64
}

function keyOf(operation: StructureOperation): string | undefined {
  return operation.kind === 'map.put' ? `${operation.map.length}:${operation.map}/${operation.key}` : undefined
}

function putsMax(operation: StructureOperation): number {
  if (operation.kind !== 'queue.put') return Infinity
  return Math.max(1, Math.floor((operation.options?.capacity ?? Infinity) / overrunPart))
}

function reject(item: Waiting, settled: Settled): void {
  try {
    resultsOf(settled)
  } catch (error) {
    item.reject(error)
  }
}
