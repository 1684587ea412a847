/**
 * How a peer goes: it says that it will (not ready, connections end with their answers) and serves on for a while, so that
 * nobody who listens meets a closed door; then sources close, what is in hand is finished, doors close, and everything is
 * handed over. The last peer has nobody to hand over to: it works off its queues as long as that gets anywhere, and spools
 * the rest; all of it at once where `--min-copies` lets it commit nothing alone.
 */
import type { Grid } from '../../lib/grid/handles.ts'
import type { PeerDoors } from './doors.ts'
import type { PeerFlows } from './flows.ts'
import type { Log } from './log.ts'
import { writeSpool } from './spool-file.ts'

export interface Stopping {
  readonly grid: Grid
  readonly log: Log
  readonly flows: Pick<PeerFlows, 'part' | 'closeSources' | 'workOff' | 'close'>
  readonly doors: Pick<PeerDoors, 'part' | 'close'>
  /** How long it serves on, if there are others to turn to. */
  readonly drainMs: number
  /** Other members linked to this one. */
  readonly linkCount: () => number
}

/** Only one peer of a cluster leaves at a time, so that each has somebody to hand over to, but the last. */
const turnLock = 'skein/leaving'
const turnMsMax = 30_000
const lookMs = 100
/** The last peer works so long on its queues: what remains then waits for something. */
const workOffMsMax = 20_000
/** Between two lines that say how far it is. */
const tellMs = 1_000
/** Those who left hear from this one that they have: it stays until they hung up. */
const lingerMsMax = 5_000

/** Resolves with what to tell: one sentence. */
export async function shutDown(stopping: Stopping): Promise<string> {
  const { grid, log, flows, doors, drainMs } = stopping
  const startedMs = performance.now()
  const took = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
  doors.part()
  flows.part()
  await Promise.all([turnToLeave(grid), isLast(grid) ? undefined : pause(drainMs)])
  await flows.closeSources()
  const isGivenUp = isLast(grid) && isShortOfCopies(grid)
  if (isGivenUp)
    log.say('warn', 'the last peer alone is fewer than --min-copies: nothing is worked off, all of it is spooled')
  else if (isLast(grid)) await workOff(flows, log)
  await flows.close({ isGivenUp })
  // What a door acknowledged after the last peer's spool had passed it would be in nobody's hands; and a peer that leaves
  // is no longer counted by the one that takes itself for the last.
  await doors.close()
  const { isHandedOver, remaining } = await grid.leave()
  try {
    if (isHandedOver && !isAlone(grid)) return `handed over and left in ${took()}`
    const path = await writeSpool(grid)
    await linger(stopping)
    if (path === undefined) return `done in ${took()}, nothing left`
    const queued = remaining.messages === 0 ? 'what else is stored waits' : `${remaining.messages} queued messages wait`
    return `done in ${took()}, nothing lost: ${queued} in ${path} for the next start here`
  } finally {
    await grid.close()
  }
}

async function linger({ linkCount }: Stopping): Promise<void> {
  const untilMs = performance.now() + lingerMsMax
  while (linkCount() > 0 && performance.now() < untilMs) await pause(lookMs)
}

/** Best effort: without quorum nobody can be handed anything anyway. */
async function turnToLeave(grid: Grid): Promise<void> {
  if (isLast(grid)) return
  // The last needs no turn, and may not be able to commit that it has it.
  const last = new AbortController()
  const off = grid.on('state', () => isLast(grid) && last.abort())
  await grid
    .lock(turnLock)
    .acquire({ lease: '15s', wait: turnMsMax, deadline: turnMsMax, signal: last.signal })
    .catch(() => undefined)
    .finally(off)
}

async function workOff(flows: Stopping['flows'], log: Log): Promise<void> {
  let toldMs = -Infinity
  const isEmpty = await flows.workOff(workOffMsMax, left => {
    const nowMs = performance.now()
    if (left === 0 || nowMs - toldMs < tellMs) return
    toldMs = nowMs
    log.say('info', `sources closed; this is the last peer: draining ${left} queued messages`)
  })
  if (!isEmpty) log.say('warn', 'some messages could not be worked off in time')
}

/** One that is leaving is still there: what it hands over must come to somebody who stays until then. */
function isLast(grid: Grid): boolean {
  const { self, members } = grid.status()
  return !members.some(({ member, state, roles }) => member !== self && state !== 'silent' && roles.includes('data'))
}

function isShortOfCopies(grid: Grid): boolean {
  return grid.status().partitions.copiesNeeded > 1
}

function isAlone(grid: Grid): boolean {
  return grid.status().members.length <= 1
}

async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
