/**
 * Commits units of work: those that lie in one partition together as one command, the others each as a transaction. The
 * operations carry their own guards (a delivery's token, a group's generation, a mark's absence, a page's version), so
 * a commit that may have happened is simply made again: if it had, a guard refuses it.
 *
 * Decision: a refused command is halved until the one at fault stands alone, because one stale delivery must not undo
 * the work of the others taken with it.
 */
import { ConflictError, StaleTokenError } from '../base/errors.ts'
import type { Env } from '../base/env.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Partitions } from '../grid/handles.ts'
import { isPassing, isRefusal } from '../grid/outcomes.ts'
import type { StructureOperation } from '../structures/operations.ts'
import { sleep } from './pause.ts'
import type { Fate, Placed, UnitOfWork } from './unit-of-work.ts'

/** More go into a further command: entries stay short. */
const operationsMax = 256
export const pauseMs = { min: 10, max: 500 } as const
const decoder = new TextDecoder()

export interface CommitOptions {
  readonly env: Env
  readonly partitions: Partitions
  /** Gives up: what did not happen by then does not. */
  readonly signal: AbortSignal
  /** False: what passes is a failure too, since somebody waits. Default true. */
  readonly isPatient?: boolean | undefined
  /** Full, or no quorum: told each time, before it waits. */
  readonly held?: ((error: unknown) => void) | undefined
}

/** In the order of `units`. `home`: where everything lies that has no partition of its own. */
export async function commitAll(
  units: readonly UnitOfWork[],
  home: PartitionId,
  options: CommitOptions,
): Promise<readonly Fate[]> {
  const fates = new Map<UnitOfWork, Promise<Fate>>()
  let before: Promise<unknown> = Promise.resolve()
  for (const batch of batches(units.filter(unit => unit.liesIn(home)))) {
    // One after the other: they were parted because they change the same things.
    const done = before.then(() => commitTogether(batch, home, options))
    before = done
    for (const [at, unit] of batch.entries())
      fates.set(
        unit,
        done.then(all => all[at] as Fate),
      )
  }
  for (const unit of units) if (!fates.has(unit)) fates.set(unit, commitAcross(unit, home, options))
  return await Promise.all(units.map(unit => fates.get(unit) as Promise<Fate>))
}

/** Parts units so that no command changes a thing twice and none is long. */
function* batches(units: readonly UnitOfWork[]): Iterable<readonly UnitOfWork[]> {
  let waiting = units
  while (waiting.length > 0) {
    const batch: UnitOfWork[] = []
    const later: UnitOfWork[] = []
    const locks = new Set<string>()
    let count = 0
    for (const unit of waiting) {
      const own = unit.placed.flatMap(({ lock }) => (lock === undefined ? [] : [lock]))
      const fits = count + unit.placed.length <= operationsMax || batch.length === 0
      if (!fits || own.some(lock => locks.has(lock))) {
        later.push(unit)
        // What comes after it and touches the same must not overtake it.
        for (const lock of own) locks.add(lock)
        continue
      }
      for (const lock of own) locks.add(lock)
      count += unit.placed.length
      batch.push(unit)
    }
    yield batch
    waiting = later
  }
}

async function commitTogether(
  units: readonly UnitOfWork[],
  home: PartitionId,
  options: CommitOptions,
): Promise<readonly Fate[]> {
  const operations = units.flatMap(unit => unit.placed.map(({ operation }) => operation))
  const run = (): Promise<readonly Plain[]> => options.partitions.run(home, operations, { signal: options.signal })
  let error: unknown
  try {
    const results = operations.length === 0 ? [] : await patiently(run, options)
    let from = 0
    return units.map(unit => ({ kind: 'committed', results: results.slice(from, (from += unit.placed.length)) }))
  } catch (caught) {
    error = caught
  }
  if (units.length === 1) return [await fateOf(units[0] as UnitOfWork, error, options)]
  if (!isRefusal(error)) return units.map(() => ({ kind: 'failed', error }))
  const half = units.length >> 1
  const first = await commitTogether(units.slice(0, half), home, options)
  return [...first, ...(await commitTogether(units.slice(half), home, options))]
}

async function commitAcross(unit: UnitOfWork, home: PartitionId, options: CommitOptions): Promise<Fate> {
  const parts = partsOf(unit.placed, home)
  try {
    await patiently(() => options.partitions.transact(parts, { signal: options.signal }), options)
    return { kind: 'committed', results: undefined }
  } catch (error) {
    return await fateOf(unit, error, options)
  }
}

function partsOf(
  placed: readonly Placed[],
  home: PartitionId,
): readonly { readonly partition: PartitionId; readonly operations: readonly StructureOperation[] }[] {
  const parts = new Map<PartitionId, StructureOperation[]>()
  for (const { partition = home, operation } of placed) {
    const operations = parts.get(partition)
    if (operations === undefined) parts.set(partition, [operation])
    else operations.push(operation)
  }
  return [...parts].map(([partition, operations]) => ({ partition, operations }))
}

/** Waits out what passes: no quorum, a failover, a full stage behind. */
export async function patiently<T>(run: () => Promise<T>, options: CommitOptions): Promise<T> {
  const { env, signal, held, isPatient = true } = options
  for (let waitMs: number = pauseMs.min; ; waitMs = Math.min(2 * waitMs, pauseMs.max)) {
    try {
      return await run()
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error
      held?.(error)
      if (!isPatient) throw error
    }
    await sleep(env, env.random.between(waitMs / 2, waitMs), signal)
  }
}

async function fateOf(unit: UnitOfWork, error: unknown, options: CommitOptions): Promise<Fate> {
  if (error instanceof StaleTokenError) return { kind: 'superseded', isStale: true }
  if (!(error instanceof ConflictError)) return { kind: 'failed', error }
  if (error.detail === 'late') return { kind: 'late' }
  if (error.detail === 'duplicate') return { kind: 'duplicate', id: undefined }
  for (const { mark, partition, id } of unit.marks) {
    const query = { kind: 'map.get', map: mark.map, key: mark.key } as const
    const found = await patiently(() => options.partitions.ask(partition, query, { signal: options.signal }), options)
    if (found === null) continue
    const first = decoder.decode((found as readonly [Uint8Array])[0])
    // Its own mark: an earlier try of this commit happened.
    if (first === id) return { kind: 'superseded', isStale: false }
    return { kind: 'duplicate', id: first }
  }
  return { kind: 'superseded', isStale: false }
}
