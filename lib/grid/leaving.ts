/**
 * Leaving: workers finish what they have in hand, then others take everything over. The last peer has nobody to hand
 * anything to; it says what remains, so that whoever stops it may spool that.
 */
import { UnavailableError } from '../base/errors.ts'
import type { Calls } from './calls.ts'
import type { LeaveResult, OperationOptions } from './handles.ts'
import type { Worker } from './queue-handles.ts'
import type { Shards } from './shards.ts'

const leaveMsDefault = 30_000

export interface Leaver {
  readonly calls: Calls
  readonly shards: Shards
  readonly consumers: ReadonlySet<Worker>
  readonly isMember: () => boolean
}

export async function leaveGrid(leaver: Leaver, options?: OperationOptions): Promise<LeaveResult> {
  const { calls, shards, consumers, isMember } = leaver
  const timed = calls.timed({ deadline: leaveMsDefault, ...options })
  const stopped = Promise.all([...consumers].map(worker => worker.stop()))
  await Promise.race([stopped, calls.sleep(Math.max(timed.deadlineMs - calls.nowMs, 0), timed.signal)])
  if (!isMember()) return { isHandedOver: true, remaining: { messages: 0, bytes: 0 } }
  if (shards.others.length === 0) {
    const remaining = remainingOf(shards)
    return { isHandedOver: remaining.bytes === 0, remaining }
  }
  calls.peer?.leave()
  try {
    await calls.until(timed, 'successors', () => (isMember() ? undefined : true))
    return { isHandedOver: true, remaining: { messages: 0, bytes: 0 } }
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error
    return { isHandedOver: false, remaining: remainingOf(shards) }
  }
}

function remainingOf(shards: Shards): LeaveResult['remaining'] {
  let messages = 0
  let bytes = 0
  for (const [, state] of shards.states()) {
    bytes += state.bytes
    messages += state.messageCount
  }
  return { messages, bytes }
}
