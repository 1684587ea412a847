/**
 * The demo as a play: three peers, two producers, two deaths, and a count of what came of it. Everything it tells is
 * measured: gaps by the clients' clock, losses from the files that lie in the output folder at the end.
 *
 *     start 3 peers -> send -> kill -9 one at a quarter -> start it again at half -> kill -9 another at three quarters
 *
 * A death waits until the cluster is safe again after the one before: two at once would lose what only they held, which
 * nobody promised to prevent.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { deliveries, type Delivery } from './input.ts'
import { Output, recount, type Recount } from './output.ts'
import { Peers } from './peers.ts'
import type { Standing } from '../start/holdings.ts'
import { Producer, type Acceptance } from './producer.ts'

export interface DemoOptions {
  readonly messages: number
  /** NDJSON; undefined: real webhooks. */
  readonly input: string | undefined
  /** Empty, or it may hold what an earlier demo left. */
  readonly folder: string
  readonly tell: (line: string) => void
}

export interface Death {
  readonly peer: string
  /** Seconds since the first request. */
  readonly at: number
  readonly halfJoined: number
  readonly inHand: number
  /** Longest time from first try to acceptance of requests tried within 3 s of it, in seconds. */
  readonly gap: number
  /** Longest time from acceptance to output of deliveries that were accepted, and not written, when it died, in seconds. */
  readonly recovery: number
}

export interface DemoResult extends Recount {
  readonly messages: number
  readonly sent: number
  /** Requests that no peer accepted in a minute. */
  readonly failed: number
  readonly retries: number
  /** Longest time from a request's first try to its acceptance, over all requests, in seconds. */
  readonly worstGap: number
  /** Longest time from acceptance to output of what was under way at a death, in seconds. */
  readonly worstRecovery: number
  readonly messagesPerSecond: number
  readonly seconds: number
  readonly deaths: readonly Death[]
  readonly isPassed: boolean
  readonly folder: string
}

/** At this pace the whole takes a quarter of a minute and some; a slower machine takes longer. */
const sendSeconds = 20
/** The payload follows its head after so long, so that there are always deliveries that wait for their other half. */
const payloadLagMs = 150
const lookMs = 25
const askMs = 100
const safeMsMax = 60_000
/** After the last acceptance, without a further line written: then what is missing is lost. */
const quietMsMax = 15_000
const aroundDeathMs = 3_000

export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const demo = new Demo(options)
  const cleanUp = (): void => demo.peers.killAll()
  process.once('exit', cleanUp)
  const interrupted = (): void => process.exit(130)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    return await demo.run()
  } finally {
    cleanUp()
    process.off('exit', cleanUp)
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
  }
}

interface KillRecord {
  readonly peer: string
  readonly atMs: number
  readonly halfJoined: number
  readonly inHand: number
  /** Whole, and not seen in the output. */
  readonly underWay: readonly string[]
}

class Demo {
  readonly peers: Peers
  readonly #options: DemoOptions
  readonly #deliveries: readonly Delivery[]
  readonly #output: Output
  readonly #accepted: WriteStream
  readonly #prefix = randomBytes(3).toString('hex')
  readonly #gaps: Acceptance[] = []
  /** When the first half was accepted, then when both were. */
  readonly #half = new Set<string>()
  readonly #wholeMs = new Map<string, number>()
  readonly #kills: KillRecord[] = []
  /** Both peers have died, or the play broke off. */
  readonly #played = Promise.withResolvers<void>()
  #startMs = 0

  constructor(options: DemoOptions) {
    this.#options = options
    this.#deliveries = deliveries(options.input)
    this.#output = new Output(options.folder)
    this.#accepted = createWriteStream(join(options.folder, 'accepted.ndjson'))
    const { folder } = options
    const cluster = `demo-${this.#prefix}`
    this.peers = new Peers({ folder, cluster, program: sibling('../skein'), flow: sibling('./deliveries') })
  }

  async run(): Promise<DemoResult> {
    const { messages, tell } = this.#options
    await this.#assemble()
    tell('')
    tell(`  ${this.peers.names.map(name => `${name} ●`).join('  ')}     copies 2 · safety 1 (any one may die)`)
    tell('  http head ────┐')
    tell('  http payload ─┴─> aggregator join ─> stage write ─> file ./deliveries.ndjson')
    tell('')
    this.#output.start()
    this.#startMs = performance.now()
    const producers = [this.#producer('head', 0, 0), this.#producer('payload', 1, payloadLagMs)] as const
    const sending = Promise.all(producers.map(producer => producer.run()))
    const play = this.#play(producers).finally(() => this.#played.resolve())
    await Promise.all([sending, play])
    const sentMs = performance.now()
    await this.#settle(messages)
    const writtenMs = performance.now()
    await this.#output.stop()
    await this.peers.stop()
    this.#accepted.end()
    await once(this.#accepted, 'finish')
    return await this.#result(producers, sentMs, writtenMs)
  }

  async #assemble(): Promise<void> {
    await this.peers.start('goose-1')
    await Promise.all([this.peers.start('goose-2'), this.peers.start('goose-3')])
    await this.#safe()
  }

  #producer(half: 'head' | 'payload', offset: number, lagMs: number): Producer {
    const { messages } = this.#options
    const everyMs = Math.min((sendSeconds * 1_000) / messages, 20)
    return new Producer({
      half,
      count: messages,
      halfAt: at => {
        const id = `${this.#prefix}-${at}`
        const delivery = this.#deliveries[at % this.#deliveries.length] as Delivery
        return { id, path: `/deliveries/${id}/${half}`, body: delivery[half] }
      },
      dueMs: at => lagMs + at * everyMs,
      startMs: this.#startMs,
      held: { from: Math.floor(messages * 0.9), until: this.#played.promise },
      peers: this.peers,
      offset,
      accepted: acceptance => this.#take(half, acceptance),
    })
  }

  #take(half: string, acceptance: Acceptance): void {
    const { id, acceptedMs } = acceptance
    this.#accepted.write(`${JSON.stringify({ id, half })}\n`)
    this.#gaps.push(acceptance)
    if (this.#half.delete(id)) this.#wholeMs.set(id, acceptedMs)
    else this.#half.add(id)
  }

  async #play(producers: readonly Producer[]): Promise<void> {
    const { messages } = this.#options
    const reached = async (share: number): Promise<void> => {
      while (producers.some(({ acceptedCount, failedCount }) => acceptedCount + failedCount < messages * share))
        await pause(lookMs)
    }
    await reached(0.25)
    await this.#kill('goose-2')
    await reached(0.5)
    await this.#copied()
    this.#say('goose-2 is started again: empty, now a backup')
    await this.peers.start('goose-2')
    await this.#safe()
    await reached(0.75)
    await this.#kill('goose-1')
  }

  async #kill(peer: string): Promise<void> {
    await this.#safe()
    let held = await this.peers.ask(peer, 'holdings')
    // Asked last, because on a starved machine a peer may have been given up for silent meanwhile.
    while (!(await this.#stands(isSafe))) {
      await this.#safe()
      held = await this.peers.ask(peer, 'holdings')
    }
    const seen = this.#output.seenMs
    const dying = this.peers.kill(peer)
    const underWay = [...this.#wholeMs.keys()].filter(id => !seen.has(id))
    const { openGroups: halfJoined = 0, inHand = 0 } = held ?? {}
    this.#kills.push({ peer, atMs: performance.now(), halfJoined, inHand, underWay })
    await dying
    this.#say(`kill -9 ${peer}     it held ${halfJoined} half-joined deliveries and ${inHand} units of work in hand`)
    this.#tellRecovery().catch((error: unknown) => this.#say(error instanceof Error ? error.message : String(error)))
  }

  async #tellRecovery(): Promise<void> {
    const kill = this.#kills.at(-1) as KillRecord
    const others = this.peers.names.join(', ')
    await this.#copied()
    this.#say(`${others} took over, two copies again     gap ${seconds(this.#gapAround(kill))} s`)
  }

  /** Resolves once any one peer may be lost. */
  async #safe(): Promise<void> {
    await this.#until('safe', isSafe)
  }

  /** Resolves once every partition has two copies again. */
  async #copied(): Promise<void> {
    await this.#until('copied', ({ copies }) => copies >= 2)
  }

  async #until(what: string, isIt: (standing: Standing) => boolean): Promise<void> {
    const untilMs = performance.now() + safeMsMax
    while (!(await this.#stands(isIt))) {
      if (performance.now() > untilMs) throw new Error(`the cluster was not ${what} within ${safeMsMax / 1_000} s`)
      await pause(askMs)
    }
  }

  /** Whether all peers that run say so, and see one another. */
  async #stands(isIt: (standing: Standing) => boolean): Promise<boolean> {
    const { names } = this.peers
    const standings = await Promise.all(names.map(name => this.peers.ask(name, 'standing')))
    return standings.every(each => each !== undefined && each.live === names.length && isIt(each))
  }

  /** Resolves when everything whole is in the output, or nothing more comes. */
  async #settle(messages: number): Promise<void> {
    const { seenMs } = this.#output
    let count = -1
    let grownMs = performance.now()
    while (seenMs.size < Math.min(messages, this.#wholeMs.size) && performance.now() - grownMs < quietMsMax) {
      if (seenMs.size > count) {
        count = seenMs.size
        grownMs = performance.now()
      }
      await pause(lookMs)
    }
  }

  async #result(producers: readonly Producer[], sentMs: number, writtenMs: number): Promise<DemoResult> {
    const { messages, folder } = this.#options
    const counted = await recount(folder)
    const sum = (count: (producer: Producer) => number): number =>
      producers.reduce((total, producer) => total + count(producer), 0)
    const deaths = this.#kills.map(kill => this.#death(kill))
    const sendingSeconds = (sentMs - this.#startMs) / 1_000
    return {
      messages,
      sent: sum(({ sentCount }) => sentCount),
      failed: sum(({ failedCount }) => failedCount),
      retries: sum(({ retryCount }) => retryCount),
      ...counted,
      worstGap: rounded(longest(this.#gaps)),
      worstRecovery: Math.max(0, ...deaths.map(({ recovery }) => recovery)),
      messagesPerSecond: Math.round(counted.accepted / sendingSeconds),
      seconds: rounded(writtenMs - this.#startMs),
      deaths,
      isPassed: counted.lost === 0 && counted.writtenTwice === 0 && counted.strange === 0,
      folder,
    }
  }

  #death(kill: KillRecord): Death {
    const { peer, atMs, halfJoined, inHand, underWay } = kill
    const recoveryMs = underWay.reduce((worst, id) => {
      const seenMs = this.#output.seenMs.get(id)
      return seenMs === undefined ? worst : Math.max(worst, seenMs - (this.#wholeMs.get(id) ?? seenMs))
    }, 0)
    const at = rounded(atMs - this.#startMs)
    return { peer, at, halfJoined, inHand, gap: rounded(this.#gapAround(kill)), recovery: rounded(recoveryMs) }
  }

  #gapAround({ atMs }: KillRecord): number {
    return longest(this.#gaps.filter(each => each.acceptedMs >= atMs && each.firstTryMs <= atMs + aroundDeathMs))
  }

  #say(text: string): void {
    this.#options.tell(`  ${seconds(performance.now() - this.#startMs, 1).padStart(5)} s  ${text}`)
  }
}

function isSafe({ safety }: Standing): boolean {
  return safety >= 1
}

/** In ms. */
function longest(acceptances: readonly Acceptance[]): number {
  return acceptances.reduce((worst, { firstTryMs, acceptedMs }) => Math.max(worst, acceptedMs - firstTryMs), 0)
}

function seconds(ms: number, digits = 2): string {
  return (ms / 1_000).toFixed(digits)
}

/** ms -> seconds with two digits. */
function rounded(ms: number): number {
  return Math.round(ms / 10) / 100
}

/** A module beside this one as a path: `.ts` in the source, `.js` where it was emitted. */
function sibling(path: string): string {
  return fileURLToPath(new URL(path + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url))
}

async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
