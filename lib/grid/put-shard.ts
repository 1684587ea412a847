/**
 * Where an unkeyed message goes: into a shard owned here, a few of them in turn, so that a put costs one round trip to
 * the backup and consumers take many at once. When one of the few is full the next takes its place. A member that owns
 * nothing draws any shard.
 */
import type { Env } from '../base/env.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Shards } from './shards.ts'

const shardsInTurn = 4

export class PutShard {
  readonly #env: Env
  readonly #shards: Shards
  #first = 0
  #turn = 0

  constructor(env: Env, shards: Shards) {
    this.#env = env
    this.#shards = shards
    this.#first = env.random.uint32()
  }

  next(partitionCount: number): PartitionId {
    const { owned } = this.#shards
    if (owned.length === 0) return this.#env.random.int(0, partitionCount - 1)
    this.#turn = (this.#turn + 1) % shardsInTurn
    return owned[(this.#first + this.#turn) % owned.length] as PartitionId
  }

  /** One was full: move on. How many there are to try. */
  full(): number {
    this.#first++
    return Math.max(this.#shards.owned.length, shardsInTurn)
  }
}
