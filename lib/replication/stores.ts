/**
 * What the store has been given and has not answered for. Answers count in the order of the asking, so that "durable up
 * to here" never skips an entry, whatever order the store answers in.
 */
import type { Persist } from '../base/machine.ts'
import type { Driven, ReplicationRecord } from './turn.ts'

interface Batch {
  readonly token: number
  readonly ends: readonly { readonly replica: Driven; readonly epoch: number; readonly index: number }[]
  isDone: boolean
}

export class Stores {
  #token = 0
  #batches: Batch[] = []

  /** One effect for all that is new in these partitions; undefined if nothing is. */
  collect(replicas: Iterable<Driven>): Persist<readonly ReplicationRecord[]> | undefined {
    const record: ReplicationRecord[] = []
    const ends: Batch['ends'][number][] = []
    for (const replica of replicas) {
      const fresh = replica.unpersisted()
      if (fresh === undefined) continue
      record.push(fresh)
      const last = fresh.entries.at(-1) ?? fresh.snapshot
      if (last !== undefined) ends.push({ replica, epoch: last.epoch, index: last.index })
    }
    if (record.length === 0) return undefined
    this.#token += 1
    this.#batches.push({ token: this.#token, ends, isDone: false })
    return { kind: 'persist', token: this.#token, record }
  }

  /** The store has done what this token stands for. */
  persisted(token: number): void {
    const batch = this.#batches.find(waiting => waiting.token === token)
    if (batch === undefined) return
    batch.isDone = true
    while (this.#batches[0]?.isDone === true) {
      for (const { replica, epoch, index } of this.#batches.shift()?.ends ?? []) replica.persisted(epoch, index)
    }
  }
}
