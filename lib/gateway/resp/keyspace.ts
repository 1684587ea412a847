/** Operations and queries on single keys, and units of work over several. */
import { ConflictError } from '../../base/errors.ts'
import type { PartitionId } from '../../base/ids.ts'
import type { Plain } from '../../base/shape.ts'
import type { Grid } from '../../grid/handles.ts'
import { gateOf } from '../byte-gate.ts'
import type { KeyspaceOperation, KeyspaceQuery } from '../../structures/keyspace-operations.ts'

const deadlineMs = 5_000
/** Jitter after a conflict, times the number of tries so far. */
const backOff = { minMs: 1, maxMs: 10, triesMax: 8 }

type Keyed<T> = T & { readonly key: string }

export async function run(grid: Grid, operation: KeyspaceOperation): Promise<Plain> {
  const { partitions } = grid
  const begin = (): Promise<readonly Plain[]> => partitions.run(partitions.of(operation.key), [operation])
  return (await gateOf(grid).pass(bytesOf(operation), begin))[0] as Plain
}

export async function ask(grid: Grid, query: Keyed<KeyspaceQuery>): Promise<Plain> {
  return await grid.partitions.ask(grid.partitions.of(query.key), query)
}

/** All or none: one command where everything lies in one partition, else a transaction. */
export async function runAll(grid: Grid, operations: readonly KeyspaceOperation[]): Promise<void> {
  const { partitions } = grid
  const parts = new Map<PartitionId, KeyspaceOperation[]>()
  for (const operation of operations) {
    const partition = partitions.of(operation.key)
    const part = parts.get(partition)
    if (part === undefined) parts.set(partition, [operation])
    else part.push(operation)
  }
  const bytes = operations.reduce((sum, operation) => sum + bytesOf(operation), 0)
  const list = [...parts].map(([partition, own]) => ({ partition, operations: own }))
  const [only] = list
  if (only === undefined) return
  await gateOf(grid).pass(bytes, () =>
    list.length === 1 ? partitions.run(only.partition, only.operations) : partitions.transact(list),
  )
}

/**
 * How many of the keys were there and are gone now. Over several partitions a transaction answers nothing but that it
 * happened, so what was there is asked first and checked by the transaction itself; it is tried again if that changed.
 */
export async function deleteAll(grid: Grid, keys: readonly string[]): Promise<number> {
  const { partitions, env } = grid
  const [first] = keys
  if (first !== undefined && keys.every(key => partitions.of(key) === partitions.of(first))) {
    const operations = keys.map(key => ({ kind: 'keyspace.delete', key }) as const)
    const counts = await partitions.run(partitions.of(first), operations)
    return counts.reduce<number>((sum, count) => sum + (count as number), 0)
  }
  const endMs = env.now().monotonicMs + deadlineMs
  for (let tries = 1; ; tries++) {
    const found = await Promise.all(keys.map(async key => (await ask(grid, { kind: 'keyspace.exists', key })) === 1))
    try {
      await runAll(
        grid,
        keys.flatMap((key, at) => checkedDelete(key, found[at] === true)),
      )
      return found.filter(Boolean).length
    } catch (error) {
      const pauseMs = env.random.between(backOff.minMs, backOff.maxMs) * Math.min(tries, backOff.triesMax)
      const untilMs = env.now().monotonicMs + pauseMs
      if (!(error instanceof ConflictError) || untilMs >= endMs) throw error
      await new Promise<void>(resolve => void env.at(untilMs, resolve))
    }
  }
}

function bytesOf(operation: KeyspaceOperation): number {
  if (operation.kind === 'keyspace.push') return operation.values.reduce((sum, value) => sum + value.length + 16, 0)
  return 'value' in operation ? operation.value.length : 0
}

function checkedDelete(key: string, isPresent: boolean): readonly KeyspaceOperation[] {
  const check = { kind: 'keyspace.check', key, isPresent } as const
  return isPresent ? [check, { kind: 'keyspace.delete', key }] : [check]
}
