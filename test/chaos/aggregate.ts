/**
 * Trial `aggregate`: one producer sends its halves to A, then A is killed, or another one that owns a third of the groups;
 * the other producer sends its halves to B. Each pair must come out once, and whole.
 */
import { join } from 'node:path'
import { Flock } from './flock.ts'
import { ask, askJson, pause } from './http.ts'
import type { ChaosPeer } from './peer.ts'
import type { Summary } from './summary.ts'

const pairsPerTrial = 60
const lanes = 12
const releaseSecondsMax = 30
/** A second release of a group would come in this time. */
const lateMs = 1_000

export interface AggregateOptions {
  readonly trials: number
  readonly isKept?: boolean
  readonly tell: (line: string) => void
}

interface Pair {
  readonly id: string
  readonly head: number
  readonly payload: number
}

export async function aggregate({ trials, isKept = false, tell }: AggregateOptions): Promise<Summary> {
  const flock = new Flock({ flows: [join(import.meta.dirname, 'flows', 'pairs.ts')] })
  const wrong: string[] = []
  const gaps: number[] = []
  const releases: number[] = []
  try {
    await flock.start()
    for (let at = 0; at < trials; at++) {
      const [a, b, c] = [0, 1, 2].map(turn => flock.peer(at + turn)) as [ChaosPeer, ChaosPeer, ChaosPeer]
      const victim = at % 2 === 0 ? c : a
      const ids = Array.from({ length: pairsPerTrial }, (_, n) => `${at}-${n}`)
      await sendAll(ids, 'head', a)
      await flock.safe()
      await victim.end('SIGKILL')
      const gap = await sendAll(ids, 'payload', b)
      const sentMs = performance.now()
      const released = await collect(b, ids.length)
      const seconds = (performance.now() - sentMs - lateMs) / 1_000
      const found = judge(ids, released)
      wrong.push(...found)
      gaps.push(gap)
      releases.push(seconds)
      tell(
        `  aggregate ${at + 1}  killed ${victim.name}${victim === a ? ' (had the heads)' : ''}  gap ${gap.toFixed(2)} s  ` +
          `all released after ${seconds.toFixed(2)} s  wrong ${found.length}`,
      )
      await flock.copied()
      await flock.startOne(victim)
      await flock.safe()
    }
    const complaints = flock.complaints()
    return {
      trial: 'aggregate',
      isPassed: wrong.length === 0 && complaints.length === 0,
      figures: {
        trials,
        pairs: trials * pairsPerTrial,
        'lost, doubled or not whole': wrong.length,
        'largest gap of the second producer, s': Math.max(...gaps),
        'released after, s, at most': Math.max(...releases),
      },
      problems: [...wrong, ...complaints],
      folder: flock.folder,
    }
  } finally {
    await flock.end(isKept)
  }
}

/** Each half until it is accepted. Resolves with the longest that one took, in s. */
async function sendAll(ids: readonly string[], half: string, peer: ChaosPeer): Promise<number> {
  let next = 0
  let longestMs = 0
  const lane = async (): Promise<void> => {
    for (let at = next++; at < ids.length; at = next++) {
      const startMs = performance.now()
      const headers = { 'content-type': 'application/json', 'idempotency-key': `${ids[at]}/${half}` }
      const path = `/pairs/${ids[at]}/${half}`
      const body = JSON.stringify({ n: at })
      const post = async (): Promise<boolean> => {
        const answer = await ask(peer.ready?.flows ?? '', 'POST', path, body, headers).catch(() => undefined)
        if (answer !== undefined && answer.status >= 400 && answer.status < 500)
          throw new Error(`${path}: ${answer.status} ${answer.body}`)
        return answer !== undefined && answer.status < 300
      }
      while (!(await post())) await pause(20)
      longestMs = Math.max(longestMs, performance.now() - startMs)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return longestMs / 1_000
}

async function collect(peer: ChaosPeer, count: number): Promise<readonly Pair[]> {
  const pairs: Pair[] = []
  let untilMs = performance.now() + releaseSecondsMax * 1_000
  while (performance.now() < untilMs) {
    const { messages } = await askJson<{ messages: readonly { body: Pair; token: string }[] }>(
      peer.http,
      'POST',
      '/v1/queues/joined/receive?max=500&leaseMs=60000&waitMs=200',
    )
    if (messages.length > 0)
      await askJson(peer.http, 'POST', '/v1/queues/joined/ack', { tokens: messages.map(({ token }) => token) })
    const before = pairs.length
    pairs.push(...messages.map(({ body }) => body))
    if (before < count && pairs.length >= count) untilMs = performance.now() + lateMs
  }
  return pairs
}

function judge(ids: readonly string[], released: readonly Pair[]): readonly string[] {
  const counts = new Map<string, number>()
  const wrong: string[] = []
  for (const { id, head, payload } of released) {
    counts.set(id, (counts.get(id) ?? 0) + 1)
    const n = ids.indexOf(id)
    if (head !== n || payload !== n) wrong.push(`pair ${id} is not whole: ${head}, ${payload}`)
  }
  for (const id of ids) if (counts.get(id) !== 1) wrong.push(`pair ${id} came out ${counts.get(id) ?? 0} times`)
  return wrong
}
