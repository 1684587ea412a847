/**
 * How a peer goes: sources closed, what is in hand finished, everything handed over, doors closed. The last peer has
 * nobody to hand over to: it works off its queues as long as that gets anywhere, and spools the rest.
 */
import type { Grid } from '../../lib/grid/handles.ts'
import type { Log } from './log.ts'
import { writeSpool } from './spool-file.ts'

export interface Stopping {
  readonly grid: Grid
  readonly log: Log
  /** Closes the sources; resolves when what came in by them is answered. */
  readonly closeSources: () => Promise<void>
  /** Messages that wait in the queues of this peer's flows; 0 without flows. */
  readonly queued: () => Promise<number>
  /** Takes no more work; resolves when what is in hand is done. */
  readonly closeFlows: () => Promise<void>
  readonly closeDoors: () => Promise<void>
  /** Other members linked to this one. */
  readonly linkCount: () => number
}

/** Only one peer of a cluster leaves at a time, so that each has somebody to hand over to, but the last. */
const turnLock = 'skein/leaving'
const turnMsMax = 30_000
const lookMs = 100
/** The last peer gives its queues up once they have not shrunk for so long: what remains waits for something. */
const stuckMsMax = 3_000
/** Those who left hear from this one that they have: it stays until they hung up. */
const lingerMsMax = 5_000

/** Resolves with what to tell: one sentence. */
export async function shutDown(stopping: Stopping): Promise<string> {
  const { grid, closeSources, closeFlows, closeDoors } = stopping
  const startedMs = performance.now()
  const took = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
  await closeSources()
  await turnToLeave(grid)
  if (isLast(grid)) await workOff(stopping)
  await closeFlows()
  const { isHandedOver, remaining } = await grid.leave()
  try {
    if (isHandedOver && !isAlone(grid)) return `handed over and left in ${took()}`
    const path = remaining.bytes === 0 ? undefined : await writeSpool(grid)
    await linger(stopping)
    if (path === undefined) return `done in ${took()}, nothing left`
    const queued = remaining.messages === 0 ? 'what else is stored waits' : `${remaining.messages} queued messages wait`
    return `done in ${took()}, nothing lost: ${queued} in ${path} for the next start here`
  } finally {
    await closeDoors()
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
  await grid
    .lock(turnLock)
    .acquire({ lease: '15s', wait: turnMsMax, deadline: turnMsMax })
    .catch(() => undefined)
}

async function workOff({ log, queued }: Stopping): Promise<void> {
  let count = await queued().catch(() => 0)
  if (count === 0) return
  log.say('info', `sources closed; ${count} queued messages, and this is the last peer: draining`)
  let shrunkMs = performance.now()
  while (count > 0 && performance.now() - shrunkMs < stuckMsMax) {
    await pause(lookMs)
    const left = await queued().catch(() => count)
    if (left < count) shrunkMs = performance.now()
    count = left
  }
  log.say('info', `draining: ${count} left`)
}

function isLast(grid: Grid): boolean {
  const { self, members } = grid.status()
  return !members.some(({ member, state, roles }) => member !== self && state === 'live' && roles.includes('data'))
}

function isAlone(grid: Grid): boolean {
  return grid.status().members.length <= 1
}

async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
