/**
 * A queue over the cluster: puts go to shards owned here, takes come from them first (consumer-router.ts). Puts, acks and
 * extensions of one turn on one shard travel as one command (batches.ts).
 */
import { FullError, StaleTokenError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { QueueOperation, Taken } from '../structures/queue-operations.ts'
import type { Batches } from './batches.ts'
import type { Calls, Timed } from './calls.ts'
import { QueueConsumer, type Consumers } from './consumer.ts'
import type { Choice, ConsumerRouter } from './consumer-router.ts'
import { durationMs, type Duration } from './duration.ts'
import type { OperationOptions } from './handles.ts'
import type { LeaseWatch } from './lease-watch.ts'
import { Delivery, parseToken, type MessageQueue } from './message.ts'
import { errorOf } from './outcomes.ts'
import type { PutShard } from './put-shard.ts'
import { queueCounts, queueItems } from './queue-scan.ts'
import { queueDefinition, type AgreedQueue, type QueueAgreements } from './queue-settings.ts'
import { waitFor } from './queue-wait.ts'
import type {
  ConsumeOptions,
  Message,
  NackOptions,
  Queue,
  QueueCounts,
  QueueItem,
  QueuePutOptions,
  QueueSettings,
  ReceiveOptions,
  Worker,
} from './queue-handles.ts'
import { values, type ValueCodec } from './values.ts'

/** Shards that one receive takes from at once. */
const takesAtOnce = 16
/** Without a wait, and with nothing here: time for the other members to say what lies there. */
const graceMs = 50

/** What all queues of a member share. */
export interface QueueParts {
  readonly calls: Calls
  readonly batches: Batches
  readonly leases: LeaseWatch
  readonly router: ConsumerRouter
  readonly putShard: PutShard
  readonly agreements: QueueAgreements
  readonly consumers: Consumers
}

type Put = Extract<QueueOperation, { readonly kind: 'queue.put' }>
type Definition = ReturnType<typeof queueDefinition>

export class StoredQueue<T> implements Queue<T>, MessageQueue<T> {
  readonly name: string
  readonly #parts: QueueParts
  readonly #definition: Definition
  readonly #codec: ValueCodec<T>

  constructor(parts: QueueParts, name: string, settings?: QueueSettings<T>) {
    this.#parts = parts
    this.name = name
    this.#definition = queueDefinition(name, settings as QueueSettings | undefined)
    this.#codec = settings?.codec ?? values()
  }

  async put(body: T, options: QueuePutOptions = {}): Promise<string> {
    const { calls, batches, putShard } = this.#parts
    const timed = calls.timed(options)
    const agreed = await this.#agree(timed)
    const operation = this.putOperation(body, options, agreed)
    const key = options.group ?? options.key ?? options.idempotencyKey
    if (key !== undefined) return await this.#putAt(await calls.partitionOf(key, timed), operation, timed, options)
    let full: unknown
    for (const partition of putShard.candidates(calls.partitionCount)) {
      try {
        await batches.run(partition, operation, timed.deadlineMs)
        return operation.id
      } catch (error) {
        if (!(error instanceof FullError)) throw error
        full = error
      }
    }
    throw full
  }

  async putAll(
    bodies: readonly T[],
    options: Omit<QueuePutOptions, 'id' | 'idempotencyKey' | 'remember'> = {},
  ): Promise<readonly string[]> {
    const { calls, putShard } = this.#parts
    const timed = calls.timed(options)
    const agreed = await this.#agree(timed)
    const key = options.group ?? options.key
    const partition = key === undefined ? putShard.next(calls.partitionCount) : await calls.partitionOf(key, timed)
    const operations = bodies.map(body => this.putOperation(body, options, agreed))
    if (operations.length > 0) await calls.run(partition, operations, timed)
    return operations.map(operation => operation.id)
  }

  async receive(options: ReceiveOptions = {}): Promise<readonly Message<T>[]> {
    return await this.receiveDeliveries(options, false)
  }

  /** `isRenewed`: leases are extended while the deliveries are held. */
  async receiveDeliveries(options: ReceiveOptions, isRenewed: boolean): Promise<readonly Delivery<T>[]> {
    const { calls, router } = this.#parts
    const { max = 1, signal } = options
    const waitMs = options.wait === undefined ? 0 : durationMs(options.wait, 'wait')
    const untilMs = calls.nowMs + Math.max(waitMs, router.hasOthers ? graceMs : 0)
    const agreed = await this.#agree(calls.timed(options))
    return (
      (await waitFor({ calls, router, queue: this.name, untilMs, signal }, async () => {
        const choices = router.choose(this.name, max, takesAtOnce)
        const taken = await Promise.all(choices.map(choice => this.#take(choice, options, agreed, isRenewed)))
        const messages = taken.flat()
        return messages.length > 0 ? messages : undefined
      })) ?? []
    )
  }

  async ack(tokens: readonly string[], options?: OperationOptions): Promise<readonly boolean[]> {
    return await this.#each(tokens, options, token => ({ kind: 'queue.ack', queue: this.name, token }))
  }

  async nack(tokens: readonly string[], options: NackOptions = {}): Promise<readonly boolean[]> {
    const { error, isDead } = options
    const delayMs = options.delay === undefined ? undefined : durationMs(options.delay, 'delay')
    const nack = { kind: 'queue.nack', queue: this.name, delayMs, error, isDead } as const
    return await this.#each(tokens, options, token => ({ ...nack, token }))
  }

  async extend(
    tokens: readonly string[],
    options?: OperationOptions & { readonly lease?: Duration | undefined },
  ): Promise<readonly boolean[]> {
    const leaseMs = options?.lease === undefined ? undefined : durationMs(options.lease, 'lease')
    return await this.#each(tokens, options, token => ({ kind: 'queue.extend', queue: this.name, token, leaseMs }))
  }

  async extendLease(
    message: Delivery<T>,
    options?: OperationOptions & { readonly lease?: Duration | undefined },
  ): Promise<boolean> {
    const sentMs = this.#parts.calls.nowMs
    const [isAccepted = false] = await this.extend([message.token], options)
    const leaseMs = options?.lease === undefined ? undefined : durationMs(options.lease, 'lease')
    if (isAccepted) message.lease.extended(sentMs, leaseMs)
    return isAccepted
  }

  consume(work: (body: T, message: Message<T>) => unknown, options: ConsumeOptions = {}): Worker {
    return new QueueConsumer(this, this.#parts, work, options)
  }

  async counts(options?: OperationOptions): Promise<QueueCounts> {
    return await queueCounts(this.#parts.calls, this.name, this.#parts.calls.timed(options))
  }

  async peek(options?: OperationOptions & { readonly max?: number | undefined }): Promise<readonly QueueItem<T>[]> {
    const { calls } = this.#parts
    const decode = (bytes: Uint8Array): T => this.decode(bytes)
    return await queueItems(calls, this.name, options?.max ?? 10, calls.timed(options), decode)
  }

  decode(bytes: Uint8Array): T {
    return this.#codec.decode(bytes)
  }

  /** Also what a transaction puts. */
  putOperation(body: T, options: QueuePutOptions, agreed: AgreedQueue): Put {
    const { random } = this.#parts.calls.env
    const { id = randomId(() => random.uint32()), group, headers, delay, expires } = options
    return {
      kind: 'queue.put',
      queue: this.name,
      id,
      body: this.#codec.encode(body),
      headers,
      group,
      delayMs: delay === undefined ? undefined : durationMs(delay, 'delay'),
      expiresMs: expires === undefined ? undefined : durationMs(expires, 'expires'),
      options: agreed.options,
    }
  }

  async #agree(timed: Timed): Promise<AgreedQueue> {
    return await this.#parts.agreements.agree(this.name, this.#definition, timed)
  }

  /** With an idempotency key the id of the first put is the answer: it is derived from the key. */
  async #putAt(partition: PartitionId, put: Put, timed: Timed, options: QueuePutOptions): Promise<string> {
    const { calls, batches } = this.#parts
    const { idempotencyKey, id } = options
    if (idempotencyKey === undefined) {
      await batches.run(partition, put, timed.deadlineMs)
      return put.id
    }
    const operation = { ...put, id: id ?? idempotencyKey }
    await calls.run(partition, [operation], timed, options)
    return operation.id
  }

  async #take(
    choice: Choice,
    options: ReceiveOptions,
    agreed: AgreedQueue,
    isRenewed: boolean,
  ): Promise<readonly Delivery<T>[]> {
    const { calls, router } = this.#parts
    const leaseMs = options.lease === undefined ? agreed.leaseMs : durationMs(options.lease, 'lease')
    const { holder = 'session' } = options
    const { partition, count } = choice
    const session = holder === 'session' ? calls.peer?.session : undefined
    const sentMs = calls.nowMs
    let taken: readonly Taken[] = []
    try {
      const operation = {
        kind: 'queue.take',
        queue: this.name,
        max: count,
        leaseMs,
        holder,
        options: agreed.options,
      } as const
      const settled = await calls.settle(
        partition,
        [operation],
        calls.timed({ deadline: options.deadline, signal: undefined }),
      )
      // What may have been taken comes back when its lease ends.
      if (settled.kind === 'done') taken = settled.results[0] as unknown as readonly Taken[]
      else if (settled.kind === 'refused') throw errorOf(settled)
    } finally {
      router.took(this.name, choice, taken.length)
    }
    return taken.map(each => this.#deliver(partition, each, { sentMs, leaseMs, session, isRenewed }))
  }

  #deliver(
    partition: PartitionId,
    taken: Taken,
    terms: { sentMs: number; leaseMs: number; session: string | undefined; isRenewed: boolean },
  ): Delivery<T> {
    const { isRenewed, ...rest } = terms
    const renew = (): Promise<boolean> => this.#renew(partition, taken[1], terms.leaseMs)
    const lease = this.#parts.leases.hold({ ...rest, renew: isRenewed ? renew : undefined })
    return new Delivery(this, partition, taken, lease)
  }

  async #renew(partition: PartitionId, token: number, leaseMs: number): Promise<boolean> {
    const operation = { kind: 'queue.extend', queue: this.name, token, leaseMs } as const
    return await this.#accepted(partition, operation, this.#parts.calls.nowMs + leaseMs)
  }

  async #each(
    tokens: readonly string[],
    options: OperationOptions | undefined,
    operation: (token: number) => QueueOperation,
  ): Promise<readonly boolean[]> {
    const { deadlineMs } = this.#parts.calls.timed(options)
    const parsed = tokens.map(parseToken)
    return await Promise.all(
      parsed.map(([partition, token]) => this.#accepted(partition, operation(token), deadlineMs)),
    )
  }

  async #accepted(partition: PartitionId, operation: QueueOperation, deadlineMs: number): Promise<boolean> {
    try {
      // null: an earlier operation of the same command took the message away.
      return (await this.#parts.batches.run(partition, operation, deadlineMs)) !== null
    } catch (error) {
      if (error instanceof StaleTokenError) return false
      throw error
    }
  }
}

function randomId(draw: () => number): string {
  return [draw(), draw(), draw(), draw()].map(part => part.toString(36).padStart(7, '0')).join('')
}
