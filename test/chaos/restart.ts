/**
 * Trial `restart`: SIGTERM to all three at the same moment under load, then all are started again in the same folder,
 * where the last one left its spool; and a rolling restart, one after the other. Every accepted message is written once,
 * and in a rolling restart no request fails that a balancer sends to a peer that says it is ready; nor does any at a door
 * of a peer that nobody has told to stop, or less than its grace ago, and none of those takes longer than 1.5 s.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Flock } from './flock.ts'
import { ask, pause } from './http.ts'
import { Ledger, secondsOf } from './ledger.ts'
import { Load } from './load.ts'
import { Orders } from './orders.ts'
import { emptyQueue, readBack } from './read-back.ts'
import type { Summary } from './summary.ts'

export interface RestartOptions {
  readonly trials: number
  readonly isKept?: boolean
  readonly aroundMs?: number
  readonly tell: (line: string) => void
}

const writtenSecondsMax = 30
const answerSecondsMax = 1.5
/** `--drain-ms` of the peers: told to stop, they serve on for so long. */
const drainMs = 1_000

export async function restart({ trials, isKept = false, aroundMs = 2_000, tell }: RestartOptions): Promise<Summary> {
  const flock = new Flock({
    // What all trials leave behind, their idempotency keys above all, must not fill it.
    memory: '1GB',
    flows: [join(import.meta.dirname, 'flows', 'orders.ts')],
    args: ['--drain-ms', String(drainMs)],
  })
  const ledger = new Ledger()
  const orders = new Orders(flock)
  const wrong: string[] = []
  const gaps = { all: 0, rolling: 0 }
  let slowest = 0
  const seconds = { stop: 0, start: 0, rolling: 0 }
  let spools = 0
  try {
    await flock.start()
    for (let at = 0; at < trials; at++) {
      for (const kind of ['all', 'rolling'] as const) {
        const load = new Load(flock, ledger, { httpLanes: 6, respLanes: 3, thinkMs: 20 }, `${kind}${at}`)
        const sinceMs = performance.now()
        load.start()
        orders.start(`${kind}${at}`)
        await pause(aroundMs)
        if (kind === 'all') {
          const [stopSeconds, startSeconds] = await stopAll(flock, ledger, wrong)
          seconds.stop = Math.max(seconds.stop, stopSeconds)
          seconds.start = Math.max(seconds.start, startSeconds)
          spools++
        } else {
          seconds.rolling = Math.max(seconds.rolling, await roll(flock, ledger, wrong))
        }
        await pause(aroundMs)
        await orders.stop()
        await load.stop()
        if (kind === 'rolling') slowest = Math.max(slowest, secondsOf(ledger.slowest(sinceMs)))
        const found = [
          ...(await readBack(flock.peers, ledger)),
          ...(await written(flock, orders)),
          ...(kind === 'rolling' ? failed(orders, ledger, sinceMs) : []),
        ]
        wrong.push(...found)
        const refusals = JSON.stringify(orders.refusals(sinceMs))
        const gap = Math.max(ledger.longestChain(sinceMs), orders.longest(sinceMs))
        gaps[kind] = Math.max(gaps[kind], gap)
        tell(
          `  restart ${at + 1} ${kind.padEnd(7)}  gap ${gap.toFixed(2)} s  accepted orders ${orders.accepted.size}  ` +
            `wrong ${found.length}  refused ${refusals}${found
              .slice(0, 3)
              .map(each => `\n      ${each}`)
              .join('')}`,
        )
      }
    }
    wrong.push(...(await emptyQueue(flock.peers, ledger)))
    const complaints = flock.complaints()
    return {
      trial: 'restart',
      isPassed: wrong.length === 0 && complaints.length === 0,
      figures: {
        trials,
        'full stops': spools,
        'orders accepted': orders.accepted.size,
        'other writes acknowledged': ledger.acknowledgedCount,
        'lost or doubled': wrong.length,
        'all down to exit, s, at most': seconds.stop,
        'all started to serving, s, at most': seconds.start,
        'largest gap, full stop, s': gaps.all,
        'largest gap, rolling, s': gaps.rolling,
        'slowest answer, rolling, s': slowest,
        'rolling round, s, at most': seconds.rolling,
      },
      problems: [...new Set([...wrong, ...complaints])],
      folder: flock.folder,
    }
  } finally {
    await orders.stop()
    await flock.end(isKept)
  }
}

async function stopAll(flock: Flock, ledger: Ledger, wrong: string[]): Promise<readonly [number, number]> {
  const outages = flock.peers.map(peer => ledger.down(peer))
  const stopMs = performance.now()
  const codes = await Promise.all(flock.peers.map(peer => peer.end('SIGTERM')))
  for (const [at, code] of codes.entries()) if (code !== 0) wrong.push(`${flock.peer(at).name} ended with ${code}`)
  const startMs = performance.now()
  await flock.start()
  for (const outage of outages) outage.toMs = performance.now()
  return [(startMs - stopMs) / 1_000, (performance.now() - startMs) / 1_000]
}

async function roll(flock: Flock, ledger: Ledger, wrong: string[]): Promise<number> {
  const startMs = performance.now()
  for (const peer of flock.peers) {
    const outage = ledger.down(peer, drainMs)
    const code = await peer.end('SIGTERM')
    if (code !== 0) wrong.push(`${peer.name} ended with ${code}`)
    await flock.startOne(peer)
    await flock.safe()
    for (;;) {
      const answer = await ask(peer.http, 'GET', '/-/ready').catch(() => undefined)
      if (answer?.status === 200) break
      await pause(50)
    }
    outage.toMs = performance.now()
  }
  return (performance.now() - startMs) / 1_000
}

/** What no client of a rolling restart may meet. */
function failed(orders: Orders, ledger: Ledger, sinceMs: number): readonly string[] {
  const at = (ms: number): string => `at ${((ms - sinceMs) / 1_000).toFixed(2)} s`
  const bad = ledger
    .live(sinceMs)
    .filter(({ startMs, endMs, result }) => result !== 'ok' || endMs - startMs > answerSecondsMax * 1_000)
  return [
    ...orders
      .failedSince(sinceMs)
      .map(({ atMs, what }) => `a request failed in a rolling restart: ${what} ${at(atMs)}`),
    ...bad.map(
      each =>
        `${each.what} at ${each.peer} in a rolling restart: ${each.result} after ${secondsOf(each)} s ${at(each.startMs)}`,
    ),
  ]
}

/** Waits until every accepted order is a line of the file, then counts lines. */
async function written(flock: Flock, orders: Orders): Promise<readonly string[]> {
  const untilMs = performance.now() + writtenSecondsMax * 1_000
  let counts = countLines(flock)
  while ([...orders.accepted].some(id => !counts.has(id)) && performance.now() < untilMs) {
    await pause(200)
    counts = countLines(flock)
  }
  const lost = [...orders.accepted].filter(id => !counts.has(id)).map(id => `order ${id} is lost`)
  const doubled = [...counts].filter(([, count]) => count > 1).map(([id, count]) => `order ${id}: ${count} lines`)
  return [...lost, ...doubled]
}

function countLines(flock: Flock): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of readdirSync(flock.folder).filter(each => /^orders.*\.ndjson$/.test(each)))
    for (const line of readFileSync(join(flock.folder, name), 'utf8').split('\n')) {
      if (line === '') continue
      const { id } = JSON.parse(line) as { id: string }
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
  return counts
}
