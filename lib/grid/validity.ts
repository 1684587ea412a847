/**
 * What a program hands in, held against the shapes of the wire before anything is sent: a number where a whole one
 * belongs would otherwise be logged by an owner here and be refused, with its link, by every copy there.
 */
import { InvalidError, MalformedError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import { operationShape, queryShape, type StructureOperation, type StructureQuery } from '../structures/operations.ts'
import { checkShape, type Shape } from '../base/shape.ts'

/** Throws InvalidError naming the field. */
export function checkOperations(
  partition: PartitionId,
  count: number,
  operations: readonly StructureOperation[],
): void {
  checkPartition(partition, count)
  for (const operation of operations) check(operationShape, operation)
}

/** The same for one. */
export function checkOperation(partition: PartitionId, count: number, operation: StructureOperation): void {
  checkPartition(partition, count)
  check(operationShape, operation)
}

export function checkQuery(partition: PartitionId, count: number, query: StructureQuery): void {
  checkPartition(partition, count)
  check(queryShape, query)
}

function checkPartition(partition: PartitionId, count: number): void {
  if (Number.isInteger(partition) && partition >= 0 && (partition < count || count === 0)) return
  throw new InvalidError(`there is no partition ${partition}: they are 0 to ${count - 1}`)
}

function check<T>(shape: Shape<T>, value: T): void {
  try {
    checkShape(shape, value)
  } catch (error) {
    if (error instanceof MalformedError) throw new InvalidError(error.message, { cause: error })
    throw new InvalidError(`not an operation: ${error instanceof Error ? error.message : String(error)}`)
  }
}
