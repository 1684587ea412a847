/**
 * What users of queues hold, as types. A queue is many shards, one a partition; order is kept within a message group and
 * within a shard, not across. A message stays until it is acknowledged under the lease it was taken with.
 */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Holder } from '../structures/cases.ts'
import type { Duration } from './duration.ts'
import type { OperationOptions, WriteOptions } from './handles.ts'
import type { ValueCodec } from './values.ts'

/** Agreed over the cluster by the first member that uses the queue; another one's differing settings are warned of and not used. */
export interface QueueSettings<T = unknown> {
  /** Messages of the whole queue, roughly: each shard takes its part, at least 16. FullError above it. Default 1,000,000. */
  readonly capacity?: number | undefined
  /** Deliveries before a message is dead. Default 10. */
  readonly maxAttempts?: number | undefined
  /** After the first failed delivery, doubling up to the second. Default ['1s', '1m']. */
  readonly backoff?: readonly [min: Duration, max: Duration] | undefined
  /** The list that dead messages go to. Default `${name}.dead`. */
  readonly deadLetter?: string | undefined
  /** Default lease of `receive` and `consume`. Longer tolerates longer stalls; shorter redelivers sooner. Default '30s'. */
  readonly lease?: Duration | undefined
  /** Not agreed: this handle's own. Default `values`. */
  readonly codec?: ValueCodec<T> | undefined
}

export interface QueuePutOptions extends WriteOptions {
  /** Default: drawn at random. Carried, not used to tell duplicates. */
  readonly id?: string | undefined
  /** FIFO within it, one delivery at a time; also chooses the shard. */
  readonly group?: string | undefined
  /** Chooses the shard without ordering: what has equal keys shares one log. */
  readonly key?: string | undefined
  readonly delay?: Duration | undefined
  /** Not delivered after this: it is dead then. */
  readonly expires?: Duration | undefined
  readonly headers?: Plain | undefined
}

export interface ReceiveOptions extends OperationOptions {
  /** At most so many, 1..1,000. Default 1. */
  readonly max?: number | undefined
  readonly lease?: Duration | undefined
  /** How long to wait for the first one. Default '0s', which still leaves other members 50 ms to answer; the deadline is counted from its end. */
  readonly wait?: Duration | undefined
  readonly holder?: Holder | undefined
}

/** One delivery. */
export interface Message<T> {
  readonly id: string
  readonly body: T
  /** Names this delivery: `partition.fence`, e.g. '17.4096'. */
  readonly token: string
  readonly partition: PartitionId
  /** The number in the token: larger at each delivery. */
  readonly fence: number
  /** 1 at the first delivery. */
  readonly attempt: number
  readonly headers: Plain
  readonly group: string | undefined
  readonly enqueuedAtMs: number
  readonly lastError: string | undefined
  /** Aborted the moment the lease or the session is lost by this member's own clock. */
  readonly signal: AbortSignal
  ack(options?: OperationOptions): Promise<void>
  nack(options?: NackOptions): Promise<void>
  extend(options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void>
}

export interface NackOptions extends OperationOptions {
  /** Default: the queue's back-off. */
  readonly delay?: Duration | undefined
  readonly error?: string | undefined
  /** To the dead letters at once. */
  readonly isDead?: boolean | undefined
}

export interface ConsumeOptions {
  /** Messages worked on at once. Default 1. */
  readonly concurrency?: number | undefined
  readonly lease?: Duration | undefined
}

/** `await using worker = queue.consume(...)` stops it. */
export interface Worker extends AsyncDisposable {
  /** Messages being worked on. */
  readonly inHand: number
  /** Takes no more; resolves when those in hand are done. */
  stop(): Promise<void>
}

export interface QueueCounts {
  readonly ready: number
  readonly delayed: number
  readonly leased: number
  /** Wait for an earlier message of their group. */
  readonly blocked: number
  readonly total: number
}

export interface QueueItem<T> {
  readonly id: string
  readonly body: T
  readonly state: 'ready' | 'delayed' | 'leased' | 'blocked'
  readonly attempt: number
  readonly enqueuedAtMs: number
  readonly group: string | undefined
  readonly lastError: string | undefined
}

export interface Queue<T> {
  readonly name: string
  /** The message's id, when every copy holds it. */
  put(body: T, options?: QueuePutOptions): Promise<string>
  /** All or none; ids in order. */
  putAll(
    bodies: readonly T[],
    options?: Omit<QueuePutOptions, 'id' | 'idempotencyKey' | 'remember'>,
  ): Promise<readonly string[]>
  /** Up to `max`, [] after `wait`. Own shards first. */
  receive(options?: ReceiveOptions): Promise<readonly Message<T>[]>
  /** By token, from anywhere; in order: whether each was accepted, false for a stale one. */
  ack(tokens: readonly string[], options?: OperationOptions): Promise<readonly boolean[]>
  nack(tokens: readonly string[], options?: NackOptions): Promise<readonly boolean[]>
  extend(
    tokens: readonly string[],
    options?: OperationOptions & { readonly lease?: Duration | undefined },
  ): Promise<readonly boolean[]>
  /**
   * Works on messages as they come: acknowledged when `work` resolves, back with back-off when it rejects. Leases are
   * extended while it runs; `message.signal` aborts when one is lost all the same.
   */
  consume(work: (body: T, message: Message<T>) => unknown, options?: ConsumeOptions): Worker
  /** Summed over all shards, asked in turn: not a snapshot. */
  counts(options?: OperationOptions): Promise<QueueCounts>
  /** The first `max` found, whatever their state; leases nothing. Default 10. */
  peek(options?: OperationOptions & { readonly max?: number | undefined }): Promise<readonly QueueItem<T>[]>
}

export interface TransactionQueue<T> {
  /** Returns the id. Without group and key: into a shard where this transaction writes already, else one owned here. */
  put(body: T, options?: Omit<QueuePutOptions, keyof WriteOptions>): string
  /** The commit fails with StaleTokenError unless the lease is still held. */
  ack(message: Pick<Message<unknown>, 'token'>): void
  nack(message: Pick<Message<unknown>, 'token'>, options?: Omit<NackOptions, keyof OperationOptions>): void
}

export interface DeadMessage<T> {
  /** Names it in its list: `partition.position`. */
  readonly token: string
  readonly id: string
  readonly queue: string
  readonly body: T
  readonly headers: Plain
  readonly attempt: number
  readonly reason: string
  readonly diedAtMs: number
}

export interface DeadLetterList<T> {
  readonly name: string
  count(options?: OperationOptions): Promise<number>
  list(options?: OperationOptions): AsyncIterable<DeadMessage<T>>
  /** Back to the queues they came from, as new. How many. */
  replay(tokens: readonly string[], options?: OperationOptions): Promise<number>
  /** Gone for good. How many. */
  drop(tokens: readonly string[], options?: OperationOptions): Promise<number>
}
