/**
 * Where messages come in. What a source brings gets its envelope here and is committed before the source hears that it was
 * accepted: as a message in the first queue, or, where the steps up to the first boundary are quick and reach nothing
 * outside, as what these steps make of it, which saves the message a stay in a queue. A step that throws then costs nothing:
 * the message goes to the queue, and is retried there.
 *
 * Equal Idempotency-Keys of one source and address give equal message ids, and run once: the commit is remembered under
 * the key in the partition it was made in, so any peer answers as the first one did, also after a failover.
 */
import { UnavailableError } from '../base/errors.ts'
import { hashText } from '../base/hash.ts'
import type { PartitionId } from '../base/ids.ts'
import type { StructureOperation } from '../structures/operations.ts'
import { givenUp } from './components/aggregator.ts'
import { deadOperation } from './components/dead-letter.ts'
import { envelopeVersion, type Envelope } from './envelope.ts'
import { reasonOf } from './errors.ts'
import type { PlanStage } from './plan.ts'
import type { Accepted, Advance, Arrival } from './ports.ts'
import type { RunningFlow } from './running-flow.ts'
import type { StageQueue } from './stage-queue.ts'
import { UnitOfWork } from './unit-of-work.ts'
import { isDirect, walk } from './walk.ts'

export class Entrance {
  readonly #flow: RunningFlow
  readonly #first: PlanStage
  readonly #queue: StageQueue
  readonly #isDirect: boolean

  constructor(flow: RunningFlow) {
    this.#flow = flow
    this.#first = flow.plan.stages[0] as PlanStage
    this.#queue = flow.queues[0] as StageQueue
    this.#isDirect = isDirect(flow.plan, this.#first.first)
  }

  async accept(source: string, arrival: Arrival): Promise<Accepted> {
    const envelope = this.#envelope(source, arrival)
    const unit = await this.#unit(envelope)
    const home = this.#home(unit, envelope)
    if (arrival.idempotency !== undefined) this.#once(unit, source, arrival.idempotency)
    const { signal } = this.#flow
    const [fate] = await this.#flow.commit([unit], home, { signal, isPatient: false })
    switch (fate?.kind) {
      case 'duplicate':
        return { id: fate.id ?? envelope.id, isRepeat: true }
      case 'superseded':
        return { id: envelope.id, isRepeat: true }
      case 'late':
        return await this.#late(envelope, home)
      case 'failed':
        throw errorOf(fate.error)
      default: {
        const isRepeat = arrival.idempotency !== undefined && isRepeated(fate?.results)
        if (isRepeat) this.#flow.counts.duplicates++
        else this.#flow.counts.accepted++
        return { id: envelope.id, isRepeat }
      }
    }
  }

  /** Through the first queue, in the partition of the advance: one command. */
  async acceptAll(source: string, arrivals: readonly Arrival[], advance: Advance): Promise<readonly Accepted[]> {
    const all = arrivals.map(arrival => this.#envelope(source, arrival))
    const operations: StructureOperation[] = [...advance.operations, ...all.map(envelope => this.#queue.put(envelope))]
    await this.#flow.grid.partitions.run(advance.partition, operations, { signal: this.#flow.signal })
    this.#flow.counts.accepted += all.length
    return all.map(({ id }) => ({ id, isRepeat: false }))
  }

  async #unit(envelope: Envelope): Promise<UnitOfWork> {
    if (!this.#isDirect) return this.#queued(envelope)
    const unit = new UnitOfWork()
    const { signal } = this.#flow
    try {
      await walk({ walker: this.#flow, unit, delivery: { attempt: 1 }, signal }, this.#first.first, envelope)
    } catch (error) {
      return this.#queued({ ...envelope, lastError: reasonOf(error) })
    }
    // Over several partitions it would be a transaction while somebody waits: the queue does that better.
    const [{ partition: first } = { partition: undefined }] = unit.placed
    return unit.placed.every(({ partition }) => partition === first || partition === undefined)
      ? unit
      : this.#queued(envelope)
  }

  #queued(envelope: Envelope): UnitOfWork {
    const unit = new UnitOfWork()
    this.#flow.enqueue(unit, 0, envelope)
    return unit
  }

  /** Equal keys must come to the same partition: what has no place of its own is placed by its id. */
  #home(unit: UnitOfWork, envelope: Envelope): PartitionId {
    return (
      unit.placed.find(({ partition }) => partition !== undefined)?.partition ?? this.#flow.partitionOf(envelope.id)
    )
  }

  /** The whole unit becomes one operation that runs once. */
  #once(unit: UnitOfWork, source: string, { key, scope, rememberMs }: NonNullable<Arrival['idempotency']>): void {
    if (unit.placed.length === 0) return
    const operations = unit.placed.map(({ operation }) => operation)
    const once = `flow/${this.#flow.plan.name}/${source}/${scope}#${key}`
    const lock = unit.placed.flatMap(({ lock }) => (lock === undefined ? [] : [lock])).join(' ')
    const { partition } = unit.placed[0] as (typeof unit.placed)[0]
    unit.placed.length = 0
    unit.place({ kind: 'once.run', key: once, rememberMs, operations }, partition, lock)
    unit.isOnce = true
  }

  async #late(envelope: Envelope, home: PartitionId): Promise<Accepted> {
    const unit = new UnitOfWork()
    const { deadLetter: dead } = this.#flow.plan
    unit.place(deadOperation(givenUp(envelope), { dead, queue: this.#queue.name, reason: 'its group was over' }))
    const [fate] = await this.#flow.commit([unit], home, { isPatient: false })
    if (fate?.kind === 'failed') throw errorOf(fate.error)
    this.#flow.counts.dead++
    return { id: envelope.id, isRepeat: false }
  }

  #envelope(source: string, arrival: Arrival): Envelope {
    const { plan, env } = this.#flow
    const { params, body, contentType = 'application/json', headers = {}, correlation, group, expiresAt } = arrival
    return {
      v: envelopeVersion,
      id: arrival.id ?? this.#id(source, arrival),
      source,
      params,
      body: body === undefined ? null : body,
      contentType,
      headers,
      ...(correlation !== undefined && { correlation }),
      ...(group !== undefined && { group }),
      acceptedAt: env.now().wallMs,
      ...(expiresAt !== undefined && { expiresAt }),
      flow: plan.name,
      version: plan.version,
      step: this.#first.name,
      parents: [],
    }
  }

  #id(source: string, { idempotency }: Arrival): string {
    if (idempotency !== undefined)
      return wordsOf(seed =>
        hashText(`${this.#flow.plan.name}/${source}/${idempotency.scope}#${idempotency.key}`, seed),
      )
    const { random } = this.#flow.env
    return wordsOf(() => random.uint32())
  }
}

/** 128 bits as text. */
function wordsOf(word: (seed: number) => number): string {
  return [0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35].map(seed => word(seed).toString(36).padStart(7, '0')).join('')
}

function isRepeated(results: readonly unknown[] | undefined): boolean {
  const [result] = results ?? []
  return Array.isArray(result) && result[0] === true
}

/** Callers learn by type whether it may have happened. */
function errorOf(error: unknown): Error {
  if (error instanceof Error) return error
  return new UnavailableError(String(error))
}
