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

  /** The next one; then, as each was full, every other one owned here. */
  *candidates(partitionCount: number): Iterable<PartitionId> {
    const chosen = this.next(partitionCount)
    yield chosen
    const { owned } = this.#shards
    const at = owned.indexOf(chosen)
    if (at < 0) return
    // The few move on, unless others found it full before.
    const ahead = (((at - this.#first) % owned.length) + owned.length) % owned.length
    if (ahead < shardsInTurn) this.#first = at + 1
    for (let step = 1; step < owned.length; step++) yield owned[(at + step) % owned.length] as PartitionId
  }
}
