/**
 * The agreed settings of queues: definition `queue/${name}`. The first member that uses a queue with settings defines
 * them; a handle without settings takes those in force, or the defaults.
 *
 * Decision: capacity is a share of each shard, twice the even one, because a count over all shards would be a write on
 * every put; so a queue whose keys hash evenly refuses a little above its capacity, and never holds more than double.
 */
import type { Plain } from '../base/shape.ts'
import type { QueueOptions } from '../structures/queue-operations.ts'
import type { Calls, Timed } from './calls.ts'
import type { Definitions } from './definitions.ts'
import { durationMs, type Duration } from './duration.ts'
import type { QueueSettings } from './queue-handles.ts'

/** As agreed: milliseconds, absent is default. */
interface QueueDefinition {
  readonly capacity?: number
  readonly maxAttempts?: number
  readonly backoffMinMs?: number
  readonly backoffMaxMs?: number
  readonly deadLetter?: string
  readonly leaseMs?: number
}

const capacityDefault = 1_000_000
const shardCapacityMin = 16
const leaseMsDefault = 30_000

export interface AgreedQueue {
  /** Go along with every put and take, so that the log alone decides. */
  readonly options: QueueOptions
  readonly leaseMs: number
}

export class QueueAgreements {
  readonly #calls: Calls
  readonly #definitions: Definitions
  /** By name and partition count; definitions in force do not change. */
  readonly #agreed = new Map<string, AgreedQueue>()
  readonly #wanted = new Map<string, Promise<Plain>>()

  constructor(calls: Calls, definitions: Definitions) {
    this.#calls = calls
    this.#definitions = definitions
  }

  /** What is known now, without waiting. */
  current(name: string): AgreedQueue {
    const known = this.#agreed.get(name)
    if (known !== undefined) return known
    const definition = this.#definitions.get(`queue/${name}`) as QueueDefinition | undefined
    const agreed = agreedQueue(definition ?? {}, this.#calls.partitionCount)
    if (definition !== undefined) this.#agreed.set(name, agreed)
    return agreed
  }

  /** Defines the queue first if this handle brings settings. */
  async agree(name: string, settings: QueueDefinition | undefined, timed: Timed): Promise<AgreedQueue> {
    if (this.#calls.partitionCount === 0) await this.#calls.count(timed)
    if (settings !== undefined) await this.#defined(name, settings, timed)
    return this.current(name)
  }

  async #defined(name: string, settings: QueueDefinition, timed: Timed): Promise<void> {
    const key = `${name} ${JSON.stringify(settings)}`
    let wanted = this.#wanted.get(key)
    if (wanted === undefined) {
      wanted = this.#definitions.define(`queue/${name}`, settings as Plain, timed)
      this.#wanted.set(key, wanted)
      // What failed is tried again by the next one who asks.
      wanted.catch(() => this.#wanted.delete(key))
    }
    await wanted
  }
}

/** Undefined if the handle brings none. Throws InvalidError. */
export function queueDefinition(name: string, settings: QueueSettings | undefined): QueueDefinition | undefined {
  const { capacity, maxAttempts, backoff, deadLetter, lease } = settings ?? {}
  const ms = (duration: Duration, what: string): number => durationMs(duration, `${what} of queue ${name}`)
  const definition: QueueDefinition = {
    ...(capacity !== undefined && { capacity }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(backoff !== undefined && { backoffMinMs: ms(backoff[0], 'backoff'), backoffMaxMs: ms(backoff[1], 'backoff') }),
    ...(deadLetter !== undefined && { deadLetter }),
    ...(lease !== undefined && { leaseMs: ms(lease, 'lease') }),
  }
  return Object.keys(definition).length === 0 ? undefined : definition
}

function agreedQueue(definition: QueueDefinition, partitionCount: number): AgreedQueue {
  const { capacity = capacityDefault, leaseMs = leaseMsDefault, ...options } = definition
  const share = Math.ceil((2 * capacity) / Math.max(partitionCount, 1))
  return { options: { ...options, capacity: Math.max(share, shardCapacityMin) }, leaseMs }
}
