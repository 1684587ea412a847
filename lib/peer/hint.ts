/**
 * What idle consumers and owners of queue shards tell each other, so that work finds hands without polling every shard.
 * Hints may be lost, late or wrong: whoever waits says so again, and only `queue.take` decides.
 */
import type { PartitionId } from '../base/ids.ts'
import { list, record, string, uint, variants, type Shape } from '../base/shape.ts'

export type Hint =
  /** Consumers of these queues wait here. */
  | { readonly kind: 'idle'; readonly queues: readonly string[] }
  /** These shards have so many messages that nobody here takes. */
  | { readonly kind: 'ready'; readonly queue: string; readonly shards: readonly ReadyShard[] }

export interface ReadyShard {
  readonly partition: PartitionId
  readonly count: number
}

export const hintShape: Shape<Hint> = variants<Hint>({
  idle: [1, record({ queues: list(string, 10_000) })],
  ready: [2, record({ queue: string, shards: list(record<ReadyShard>({ partition: uint, count: uint }), 4096) })],
})
