/** One delivery of a message, and the tokens that name deliveries to people and doors. */
import { InvalidError, StaleTokenError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Taken } from '../structures/queue-operations.ts'
import type { Duration } from './duration.ts'
import type { OperationOptions } from './handles.ts'
import type { Lease } from './lease-watch.ts'
import type { Message, NackOptions } from './queue-handles.ts'

/** What a delivery needs of its queue. */
export interface MessageQueue<T> {
  decode(bytes: Uint8Array): T
  ack(tokens: readonly string[], options?: OperationOptions): Promise<readonly boolean[]>
  nack(tokens: readonly string[], options?: NackOptions): Promise<readonly boolean[]>
  extendLease(
    message: Delivery<T>,
    options?: OperationOptions & { readonly lease?: Duration | undefined },
  ): Promise<boolean>
}

export class Delivery<T> implements Message<T> {
  readonly id: string
  readonly partition: PartitionId
  readonly fence: number
  readonly attempt: number
  readonly headers: Plain
  readonly group: string | undefined
  readonly enqueuedAtMs: number
  readonly lastError: string | undefined
  readonly lease: Lease
  readonly #queue: MessageQueue<T>
  readonly #bytes: Uint8Array
  #body: { readonly value: T } | undefined

  constructor(queue: MessageQueue<T>, partition: PartitionId, taken: Taken, lease: Lease) {
    const [id, fence, attempt, bytes, headers, group, enqueuedAtMs, lastError] = taken
    this.id = id
    this.partition = partition
    this.fence = fence
    this.attempt = attempt
    this.headers = headers
    this.group = group ?? undefined
    this.enqueuedAtMs = enqueuedAtMs
    this.lastError = lastError ?? undefined
    this.lease = lease
    this.#queue = queue
    this.#bytes = bytes
  }

  /** Decoded when first read, so that one bad value does not spoil the others taken with it. Throws MalformedError. */
  get body(): T {
    this.#body ??= { value: this.#queue.decode(this.#bytes) }
    return this.#body.value
  }

  get token(): string {
    return formatToken(this.partition, this.fence)
  }

  get signal(): AbortSignal {
    return this.lease.signal
  }

  async ack(options?: OperationOptions): Promise<void> {
    this.#accepted(await this.#queue.ack([this.token], options))
    this.lease.end()
  }

  async nack(options?: NackOptions): Promise<void> {
    this.#accepted(await this.#queue.nack([this.token], options))
    this.lease.end()
  }

  async extend(options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void> {
    this.#accepted([await this.#queue.extendLease(this, options)])
  }

  #accepted([isAccepted]: readonly boolean[]): void {
    if (isAccepted === true) return
    this.lease.lose('the delivery is stale')
    throw new StaleTokenError(`delivery ${this.token} of message ${this.id} is no longer current`)
  }
}

export function formatToken(partition: PartitionId, number: number): string {
  return `${partition}.${number}`
}

/** Throws InvalidError. */
export function parseToken(token: string): readonly [partition: PartitionId, number: number] {
  const match = /^(\d{1,6})\.(\d{1,16})$/.exec(token)
  if (match === null || !Number.isSafeInteger(Number(match[2])))
    throw new InvalidError(`'${token.slice(0, 60)}' is not a token; one looks like 17.4096`)
  return [Number(match[1]), Number(match[2])]
}
