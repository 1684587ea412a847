/** The queue before a stage: what is put into it, and under which agreed settings. */
import type { PartitionId } from '../base/ids.ts'
import type { Grid } from '../grid/handles.ts'
import type { Queue, QueueSettings } from '../grid/queue-handles.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { QueueOptions } from '../structures/queue-operations.ts'
import { encodeEnvelope, envelopes, type Envelope } from './envelope.ts'
import { queueName, type Plan, type PlanStage } from './plan.ts'
import { placeKey } from './walk.ts'

/** Deliveries that end with their peer count as attempts in the queue, not in the retry: so many are not held against a message. */
const crashesForgiven = 10
const shardCapacityMin = 16

export class StageQueue {
  readonly name: string
  readonly stage: PlanStage
  readonly queue: Queue<Envelope>
  readonly #plan: Plan
  readonly #grid: Grid

  constructor(grid: Grid, plan: Plan, stage: PlanStage) {
    this.#grid = grid
    this.#plan = plan
    this.stage = stage
    this.name = queueName(plan, stage.name)
    this.queue = grid.queue<Envelope>(this.name, this.#settings())
  }

  put(envelope: Envelope): StructureOperation {
    const { expiresAt, group } = envelope
    return {
      kind: 'queue.put',
      queue: this.name,
      id: envelope.id,
      body: encodeEnvelope({ ...envelope, step: this.stage.name }),
      ...(group !== undefined && { group }),
      ...(expiresAt !== undefined && { expiresMs: Math.max(expiresAt - this.#grid.now().wallMs, 1) }),
      options: this.#options(),
    }
  }

  /** Where it must lie: its group's partition keeps the order, its first key's makes the next unit of work one command. Undefined: anywhere. */
  placeOf(envelope: Envelope): PartitionId | undefined {
    const key = envelope.group ?? placeKey(this.#plan, this.stage.first, envelope)
    return key === undefined ? undefined : this.#grid.partitions.of(key)
  }

  #settings(): QueueSettings<Envelope> {
    const { capacity, leaseMs, retry } = this.stage
    return {
      capacity,
      lease: leaseMs,
      maxAttempts: retry.attempts + crashesForgiven,
      backoff: [retry.backoffMinMs, retry.backoffMaxMs],
      deadLetter: this.#plan.deadLetter,
      codec: envelopes,
    }
  }

  /** As the queue's handle sends them: each shard holds up to twice its even part. */
  #options(): QueueOptions {
    const { capacity, retry } = this.stage
    const share = Math.ceil((2 * capacity) / Math.max(this.#grid.partitions.count, 1))
    return {
      capacity: Math.max(share, shardCapacityMin),
      maxAttempts: retry.attempts + crashesForgiven,
      backoffMinMs: retry.backoffMinMs,
      backoffMaxMs: retry.backoffMaxMs,
      deadLetter: this.#plan.deadLetter,
    }
  }
}
