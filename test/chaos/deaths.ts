/**
 * Trials `kill` and `stop`: three peers under load, one of them killed or stopped for 5 s, each in turn and the leader
 * every other time. What was acknowledged is read back through the others; the victim must be a backup again by itself.
 */
import { loadavg } from 'node:os'
import { Flock, type FlockOptions } from './flock.ts'
import { pause } from './http.ts'
import { Ledger, secondsOf } from './ledger.ts'
import { Load, type LoadOptions } from './load.ts'
import type { ChaosPeer } from './peer.ts'
import { emptyQueue, readBack } from './read-back.ts'
import type { Summary } from './summary.ts'

/** What nobody may wait longer for. */
export const answerSecondsMax = 1.5

export interface DeathOptions {
  readonly kind: 'kill' | 'stop'
  readonly trials: number
  readonly load?: LoadOptions
  readonly flock?: FlockOptions
  /** Of load before and after the fault of each trial. */
  readonly aroundMs?: number
  readonly isKept?: boolean
  readonly tell: (line: string) => void
}

const stopMs = 5_000
const loadDefault: LoadOptions = { httpLanes: 9, respLanes: 6, thinkMs: 20 }

export interface Trial {
  readonly victim: string
  readonly wasLeader: boolean
  /** Longest answer of a live peer, in seconds, and to what. */
  readonly answer: number
  readonly answerTo: string
  /** Longest time from a client's first try to an acknowledgement, whoever was tried, in seconds. */
  readonly gap: number
  /** Share of the trial that the live peers waited for a core: on a busy machine answers wait, too. */
  readonly starved: number
  /** From the start or SIGCONT until its first answer to a client, in seconds. */
  readonly back: number
  /** From then on until safety was back and the victim a backup, in seconds. */
  readonly safety: number
  readonly refusals: Readonly<Record<string, number>>
  readonly wrong: readonly string[]
}

export async function deaths({ kind, trials, ...options }: DeathOptions): Promise<Summary> {
  const { load: loadOptions = loadDefault, aroundMs = 1_500, isKept = false, tell } = options
  const flock = new Flock(options.flock)
  const ledger = new Ledger()
  const results: Trial[] = []
  try {
    await flock.start()
    for (let at = 0; at < trials; at++) {
      const leader = await flock.leader()
      const victim = at % 2 === 0 && leader !== undefined ? leader : flock.peer(at >> 1)
      const trial = await oneTrial({
        kind,
        flock,
        ledger,
        victim,
        wasLeader: victim === leader,
        aroundMs,
        loadOptions,
        at,
      })
      results.push(trial)
      tell(line(kind, at, trial))
    }
    const wrong = [...(await readBack(flock.peers, ledger)), ...(await emptyQueue(flock.peers, ledger))]
    const complaints = flock.complaints()
    return summaryOf(kind, results, ledger, wrong, complaints, flock.folder)
  } finally {
    await flock.end(isKept)
  }
}

interface TrialParts {
  readonly kind: 'kill' | 'stop'
  readonly flock: Flock
  readonly ledger: Ledger
  readonly victim: ChaosPeer
  readonly wasLeader: boolean
  readonly aroundMs: number
  readonly loadOptions: LoadOptions
  readonly at: number
}

async function oneTrial({
  kind,
  flock,
  ledger,
  victim,
  wasLeader,
  aroundMs,
  loadOptions,
  at,
}: TrialParts): Promise<Trial> {
  const load = new Load(flock, ledger, loadOptions, `${at}`)
  const sinceMs = performance.now()
  const waited = (): number => Math.max(...flock.others(victim).map(peer => peer.waitedSeconds()))
  const waitedBefore = waited()
  load.start()
  await pause(aroundMs)
  // A busy machine may have taken a copy away a moment ago, and then safety is 0, and said to be.
  await flock.safe()
  const outage = ledger.down(victim)
  if (kind === 'kill') await victim.end('SIGKILL')
  else victim.pause()
  await pause(kind === 'kill' ? aroundMs : stopMs)
  if (kind === 'kill') {
    await flock.copied()
    await flock.startOne(victim)
  } else {
    victim.resume()
  }
  const backMs = performance.now()
  const safeSeconds = await flock.safe()
  await pause(aroundMs / 2)
  await load.stop()
  // It is to be counted on from its first answer on; how long that took is told apart.
  const first = ledger.attempts.find(
    ({ peer, result, startMs }) => peer === victim.name && result === 'ok' && startMs > backMs,
  )
  outage.toMs = first?.endMs ?? backMs
  const wrong = await readBack(flock.others(victim), ledger)
  const slowest = ledger.slowest(sinceMs)
  return {
    victim: victim.name,
    wasLeader,
    answer: secondsOf(slowest),
    answerTo:
      slowest === undefined
        ? ''
        : `${slowest.what} at ${slowest.peer} ${((slowest.startMs - outage.fromMs) / 1_000).toFixed(2)} s after: ${slowest.result}`,
    gap: ledger.longestChain(sinceMs),
    starved: (waited() - waitedBefore) / ((performance.now() - sinceMs) / 1_000),
    back: (outage.toMs - backMs) / 1_000,
    safety: safeSeconds,
    refusals: ledger.refusals(sinceMs),
    wrong,
  }
}

function line(kind: string, at: number, trial: Trial): string {
  const { victim, wasLeader, answer, answerTo, gap, starved, back, safety, refusals, wrong } = trial
  const refused = Object.entries(refusals).map(([what, count]) => `${count} ${what}`)
  return [
    `  ${kind} ${String(at + 1).padStart(3)}  ${victim}${wasLeader ? ' (leader)' : ''}`.padEnd(24),
    `answer ${answer.toFixed(2)} s  gap ${gap.toFixed(2)} s  back ${back.toFixed(1)} s  safe ${safety.toFixed(1)} s  wrong ${wrong.length}`,
    `  load ${(loadavg()[0] as number).toFixed(1)} cpu wait ${Math.round(starved * 100)} %  [${answerTo}]`,
    refused.length === 0 ? '' : `  live peers: ${refused.join(', ')}`,
    ...wrong.slice(0, 3).map(each => `\n      ${each}`),
  ].join('')
}

function summaryOf(
  kind: string,
  trials: readonly Trial[],
  ledger: Ledger,
  wrong: readonly string[],
  complaints: readonly string[],
  folder: string,
): Summary {
  const worst = (of: (trial: Trial) => number): number => Math.max(0, ...trials.map(of))
  const median = (of: (trial: Trial) => number): number =>
    trials.map(of).toSorted((a, b) => a - b)[trials.length >> 1] ?? 0
  const wrongs = [...new Set([...trials.flatMap(trial => trial.wrong), ...wrong])]
  const answer = worst(each => each.answer)
  const gap = worst(each => each.gap)
  return {
    trial: kind,
    isPassed: wrongs.length === 0 && complaints.length === 0 && answer <= answerSecondsMax,
    figures: {
      trials: trials.length,
      acknowledged: ledger.acknowledgedCount,
      'lost or doubled': wrongs.length,
      'slowest answer of a live peer, s': answer,
      'its median over trials, s': median(each => each.answer),
      'largest gap of a client that goes on, s': gap,
      'its median over trials': median(each => each.gap),
      'victim answers again after, s, at most': worst(each => each.back),
      'safety back after, s, at most': worst(each => each.safety),
      'answers over 1.5 s': ledger.live().filter(each => secondsOf(each) > answerSecondsMax).length,
    },
    problems: [...wrongs, ...complaints],
    folder,
  }
}
