/** Operations and queries by partition: what doors and flows use below the handles. */
import { UnavailableError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import { partitionOf } from '../placement/hashing.ts'
import type { TransactionPart } from '../replication/caller.ts'
import type { StructureOperation, StructureQuery } from '../structures/operations.ts'
import type { Calls } from './calls.ts'
import type { OperationOptions, Partitions, WriteOptions } from './handles.ts'
import { resultsOf } from './outcomes.ts'
import type { Shards } from './shards.ts'

export class GridPartitions implements Partitions {
  readonly #calls: Calls
  readonly #shards: Shards

  constructor(calls: Calls, shards: Shards) {
    this.#calls = calls
    this.#shards = shards
  }

  get count(): number {
    return this.#calls.partitionCount
  }

  get owned(): readonly PartitionId[] {
    return this.#shards.owned
  }

  of(key: string): PartitionId {
    if (this.count === 0) throw new UnavailableError('not in a cluster yet: wait for grid.ready()')
    return partitionOf(key, this.count)
  }

  async run(
    partition: PartitionId,
    operations: readonly StructureOperation[],
    options?: WriteOptions,
  ): Promise<readonly Plain[]> {
    return await this.#calls.run(partition, operations, this.#calls.timed(options), options)
  }

  async ask(partition: PartitionId, query: StructureQuery, options?: OperationOptions): Promise<Plain> {
    return await this.#calls.ask(partition, query, this.#calls.timed(options))
  }

  async transact(parts: readonly TransactionPart[], options?: OperationOptions): Promise<readonly Plain[]> {
    return resultsOf(await this.#calls.transact(parts, this.#calls.timed(options)), options?.signal)
  }
}
