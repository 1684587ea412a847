/**
 * Takes the records of a snapshot, chunk by chunk, into a new partition state. Nothing of it serves before `finish`, and
 * what is incomplete or counts other bytes than at its source never becomes a state.
 */
import { MalformedError } from '../base/errors.ts'
import type { Plain } from '../base/shape.ts'
import type { PartitionStateOptions } from './partition-options.ts'
import { Sessions } from './sessions.ts'
import { unpackRecord, type Applied, type StateRecord } from './snapshot.ts'
import { Transactions } from './transactions.ts'

export interface RestoredParts {
  readonly applied: Applied
  readonly sessions: Sessions
  readonly transactions: Transactions
}

export class PartitionRestore<State> {
  readonly #options: PartitionStateOptions
  readonly #build: (parts: RestoredParts) => State
  readonly #sessions = new Sessions()
  readonly #transactions: Transactions
  #applied: Applied | undefined
  #recordCount = 0

  constructor(options: PartitionStateOptions, build: (parts: RestoredParts) => State) {
    this.#options = options
    this.#build = build
    this.#transactions = new Transactions(options.inquireAfterMs ?? 1000, options.decideIntervalMs ?? 200)
  }

  /** Bytes taken in so far. */
  get bytes(): number {
    return this.#options.machine.bytes + this.#sessions.bytes + this.#transactions.bytes
  }

  /** Records in the order in which the cursor gave them. Throws MalformedError. */
  add(records: readonly Plain[]): void {
    for (const raw of records) {
      const record = unpackRecord(raw, this.#options.operationShape)
      if ((record.kind === 'applied') !== (this.#applied === undefined))
        throw new MalformedError('snapshot: out of order')
      this.#take(record)
    }
  }

  /** Throws MalformedError if records are missing or the state counts other bytes than its source. */
  finish(nowMonotonicMs: number): State {
    const applied = this.#applied
    if (applied === undefined || applied.recordCount !== this.#recordCount)
      throw new MalformedError('snapshot: incomplete')
    const bytes = this.bytes
    if (applied.bytes !== bytes) throw new MalformedError(`snapshot: ${bytes} bytes restored of ${applied.bytes}`)
    this.#transactions.promoted(nowMonotonicMs)
    return this.#build({ applied, sessions: this.#sessions, transactions: this.#transactions })
  }

  #take(record: StateRecord): void {
    if (record.kind !== 'applied') this.#recordCount++
    switch (record.kind) {
      case 'applied':
        this.#applied = record.applied
        return
      case 'ended':
        return this.#sessions.remember(record.session)
      case 'session':
        this.#sessions.open(record.session, record.mark)
        return
      case 'result':
        return this.#sessions.record(record.session, record.sequence, record.outcome)
      case 'prepared':
        return this.#transactions.hold(record.prepared, 0)
      case 'decision':
        return this.#transactions.decide(record.decision, 0)
      case 'structure':
        return this.#options.machine.restore(record.record)
    }
  }
}
