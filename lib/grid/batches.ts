/**
 * Many small operations on one partition as one command: one log entry, one append. Each still has its own answer: if one
 * is refused the command did nothing, so that one is answered and the rest are sent again without it.
 *
 * Decision: while a command of the partition is under way, what comes meanwhile waits for its answer and travels together
 * (Nagle's algorithm, RFC 896; group commit), because under load a command costs more than the operations in it. A lone
 * operation leaves at the end of its turn. A command that is kept waiting itself (a key that a transaction holds) keeps
 * the others for `holdMsMax` at the most; a full one never waits.
 */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Settled } from '../replication/caller.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { Calls } from './calls.ts'
import { resultsOf } from './outcomes.ts'
import { checkOperation } from './validity.ts'

/** More begin another command: they keep entries, and what waits behind them, short. */
const operationsMax = 256
const bytesMax = 256 * 1024
/** Puts are checked before the first of them is executed: so a command may overrun a shard by this part of its capacity. */
const overrunPart = 8
/** The longest that operations wait for the answer to others of their partition. Longer than a busy round trip, and short for a key that is held. */
const holdMsMax = 50

interface Waiting {
  readonly operation: StructureOperation
  readonly deadlineMs: number
  readonly read: (result: Plain) => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Batch {
  readonly items: Waiting[]
  readonly openedMs: number
  bytes: number
  puts: number
  /** Of map entries: one command changes each once. The same key of another map counts as well: rare, and cheaper than to tell them apart. */
  readonly keys: Set<string>
}

export class Batches {
  readonly #calls: Calls
  readonly #open = new Map<PartitionId, Batch>()
  /** Commands not answered yet, by partition; absent: none. */
  readonly #underWay = new Map<PartitionId, number>()
  /** Whose open batch leaves at the end of this turn. */
  #leaving: PartitionId[] = []
  #isTurnAsked = false
  #isTimed = false

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** The operation's result, read by `read`; rejects with its typed error. One promise in all: each more on the way would cost as much as the operation. */
  run<Result = Plain>(
    partition: PartitionId,
    operation: StructureOperation,
    deadlineMs: number,
    read: (result: Plain) => Result = result => result as Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      // Here, so that a wrong one does not take down those it would travel with.
      checkOperation(partition, this.#calls.partitionCount, operation)
      const answer = resolve as (result: unknown) => void
      this.#add(partition, { operation, deadlineMs, read, resolve: answer, reject })
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
    if (batch === undefined) {
      batch = { items: [], openedMs: this.#calls.nowMs, bytes: 0, puts: 0, keys: new Set() }
      this.#open.set(partition, batch)
      if (this.#underWay.has(partition)) this.#time()
      else this.#leave(partition)
    }
    batch.items.push(item)
    batch.bytes += bytes
    if (key !== undefined) batch.keys.add(key)
    if (item.operation.kind === 'queue.put') batch.puts++
  }

  /** Sends what waits for this partition, so that what is sent otherwise comes after it. */
  send(partition: PartitionId): void {
    const batch = this.#open.get(partition)
    if (batch === undefined) return
    this.#open.delete(partition)
    this.#send(partition, batch.items)
  }

  #leave(partition: PartitionId): void {
    this.#leaving.push(partition)
    if (this.#isTurnAsked) return
    this.#isTurnAsked = true
    this.#calls.env.turn(() => this.#flush())
  }

  #flush(): void {
    this.#isTurnAsked = false
    const leaving = this.#leaving
    this.#leaving = []
    for (const partition of leaving) this.send(partition)
  }

  /** Looks after those that wait for an answer. */
  #time(): void {
    if (this.#isTimed) return
    this.#isTimed = true
    this.#calls.env.at(this.#calls.nowMs + holdMsMax, () => {
      this.#isTimed = false
      const nowMs = this.#calls.nowMs
      for (const [partition, { openedMs }] of this.#open) if (nowMs - openedMs >= holdMsMax / 2) this.send(partition)
      if (this.#open.size > 0) this.#time()
    })
  }

  #send(partition: PartitionId, items: readonly Waiting[]): void {
    let deadlineMs = Infinity
    for (const item of items) deadlineMs = Math.min(deadlineMs, item.deadlineMs)
    const operations = items.map(item => item.operation)
    this.#underWay.set(partition, (this.#underWay.get(partition) ?? 0) + 1)
    this.#calls.settleChecked(partition, operations, { deadlineMs, signal: undefined }).then(
      settled => {
        this.#answered(partition)
        this.#answer(partition, items, settled)
      },
      (error: unknown) => {
        this.#answered(partition)
        items.forEach(item => item.reject(error))
      },
    )
  }

  #answered(partition: PartitionId): void {
    const count = this.#underWay.get(partition) ?? 0
    if (count > 1) return void this.#underWay.set(partition, count - 1)
    this.#underWay.delete(partition)
    if (this.#open.has(partition)) this.#leave(partition)
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
    if (settled.kind === 'done') {
      const { results } = settled
      for (let at = 0; at < items.length; at++) {
        const { read, resolve } = items[at] as Waiting
        resolve(read(results[at] as Plain))
      }
    } else for (const item of items) reject(item, settled)
  }
}

function bytesOf(operation: StructureOperation): number {
  if ('body' in operation) return operation.body.length
  return operation.kind === 'map.put' ? operation.value.length : 64
}

function keyOf(operation: StructureOperation): string | undefined {
  return operation.kind === 'map.put' ? operation.key : undefined
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
