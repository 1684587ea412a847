/**
 * Commits units together with what they write to journals: bytes first, then one commit that makes them count along with
 * everything else. One write serves all units of a batch; if the batch is refused each is tried alone, with a write of its own.
 */
import type { PartitionId } from '../base/ids.ts'
import { isPassing } from '../grid/outcomes.ts'
import { commitAll, pauseMs, type CommitOptions } from './commit.ts'
import { sleep } from './pause.ts'
import type { Departure, OpenJournal, Written } from './ports.ts'
import { UnitOfWork, type Fate } from './unit-of-work.ts'

export interface JournalOptions extends CommitOptions {
  /** Of a step. */
  readonly journal: (step: number) => OpenJournal
}

/** In the order of `units`. */
export async function commitWork(
  units: readonly UnitOfWork[],
  home: PartitionId,
  options: JournalOptions,
): Promise<readonly Fate[]> {
  const plain = units.filter(unit => unit.journaled.size === 0)
  const writing = units.filter(unit => unit.journaled.size > 0)
  const [plainFates, writingFates] = await Promise.all([
    plain.length === 0 ? [] : commitAll(plain, home, options),
    writing.length === 0 ? [] : commitWriting(writing, home, options),
  ])
  const fates = new Map<UnitOfWork, Fate>()
  for (const [at, unit] of plain.entries()) fates.set(unit, plainFates[at] as Fate)
  for (const [at, unit] of writing.entries()) fates.set(unit, writingFates[at] as Fate)
  return units.map(unit => fates.get(unit) as Fate)
}

async function commitWriting(
  units: readonly UnitOfWork[],
  home: PartitionId,
  options: JournalOptions,
): Promise<readonly Fate[]> {
  const fate = await write(units, home, options)
  if (fate.kind === 'committed') {
    let from = 0
    return units.map(({ placed: { length } }) => {
      const results = fate.results?.slice(from, from + length)
      from += length
      return { kind: 'committed', results }
    })
  }
  if (units.length === 1) return [await writePatiently(units, home, options, fate)]
  const fates: Fate[] = []
  for (const unit of units) fates.push(await writePatiently([unit], home, options))
  return fates
}

/**
 * One unit, until its fate is sure. What passes is waited out; a page that another member took over is left for a new
 * one. Each try writes again: bytes of a try that did not commit do not count.
 */
async function writePatiently(
  units: readonly UnitOfWork[],
  home: PartitionId,
  options: JournalOptions,
  before?: Fate,
): Promise<Fate> {
  let fate = before
  for (let tries = 1, waitMs: number = pauseMs.min; ; waitMs = Math.min(2 * waitMs, pauseMs.max)) {
    fate ??= await write(units, home, options)
    const isPageLost = fate.kind === 'superseded' && !fate.isStale && tries < pagesLostMax
    const isWaiting = fate.kind === 'failed' && isPassing(fate.error)
    if ((!isPageLost && !isWaiting) || options.signal.aborted) return fate
    if (fate.kind === 'failed') options.held?.(fate.error)
    else tries++
    fate = undefined
    await sleep(options.env, options.env.random.between(waitMs / 2, waitMs), options.signal)
  }
}

/** More than one member can take in turn: then it is not the page that is refused. */
const pagesLostMax = 4

async function write(units: readonly UnitOfWork[], home: PartitionId, options: JournalOptions): Promise<Fate> {
  const all = new UnitOfWork()
  for (const { placed, marks } of units) {
    all.placed.push(...placed)
    all.marks.push(...marks)
  }
  const writes: { readonly written: Written; readonly at: number }[] = []
  let fate: Fate | undefined
  try {
    for (const [step, departures] of departuresOf(units)) {
      const written = await options.journal(step).write(home, departures)
      writes.push({ written, at: all.place(written.operation, home) })
    }
    // Once: a page that another took over refuses for ever, and is opened anew by the next write.
    ;[fate] = await commitAll([all], home, { ...options, isPatient: false })
  } catch (error) {
    fate = { kind: 'failed', error }
  }
  const settled = fate as Fate
  for (const { written, at } of writes)
    if (settled.kind !== 'committed') await (isUnknown(settled) ? written.unknown() : written.refused())
    else if (settled.results === undefined) await written.unknown()
    else written.committed(settled.results[at] as never)
  return settled
}

function isUnknown(fate: Fate): boolean {
  return fate.kind === 'failed' && (fate.error as { readonly indeterminate?: boolean }).indeterminate === true
}

function departuresOf(units: readonly UnitOfWork[]): Map<number, Departure[]> {
  const all = new Map<number, Departure[]>()
  for (const { journaled } of units)
    for (const [step, departures] of journaled) all.set(step, [...(all.get(step) ?? []), ...departures])
  return all
}
