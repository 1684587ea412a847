/** Looking at all shards of a queue: for people and doors, not for consumers. */
import type { Plain } from '../base/shape.ts'
import type { Listed, QueueStats } from '../structures/queue-operations.ts'
import type { Calls, Timed } from './calls.ts'
import type { QueueCounts, QueueItem } from './queue-handles.ts'

export async function queueCounts(calls: Calls, queue: string, timed: Timed): Promise<QueueCounts> {
  const all = (await calls.askAll({ kind: 'queue.stats', queue }, timed)) as unknown as readonly QueueStats[]
  const sum = (at: 0 | 1 | 2 | 3 | 4): number => all.reduce((total, stats) => total + stats[at], 0)
  return { ready: sum(0), delayed: sum(1), leased: sum(2), blocked: sum(3), total: sum(4) }
}

export async function queueItems<T>(
  calls: Calls,
  queue: string,
  max: number,
  timed: Timed,
  decode: (bytes: Uint8Array) => T,
): Promise<readonly QueueItem<T>[]> {
  const items: QueueItem<T>[] = []
  const all = (await calls.askAll({ kind: 'queue.stats', queue }, timed)) as unknown as readonly QueueStats[]
  for (const [partition, [, , , , total]] of all.entries()) {
    if (items.length >= max) break
    if (total === 0) continue
    const query = { kind: 'queue.list', queue, max: Math.min(max - items.length, 1_000) } as const
    const [listed] = (await calls.ask(partition, query, timed)) as unknown as readonly [readonly Listed[], Plain]
    items.push(...listed.map(each => itemOf(each, decode)))
  }
  return items
}

function itemOf<T>(listed: Listed, decode: (bytes: Uint8Array) => T): QueueItem<T> {
  const [, id, state, attempt, enqueuedAtMs, group, lastError, body] = listed
  return {
    id,
    body: decode(body),
    state: state as QueueItem<T>['state'],
    attempt,
    enqueuedAtMs,
    group: group ?? undefined,
    lastError: lastError ?? undefined,
  }
}
