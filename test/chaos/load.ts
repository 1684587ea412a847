/**
 * Clients that write through all doors: HTTP clients that go on to the next peer with the same Idempotency-Key until one
 * acknowledges, and Redis clients that stay with their peer and never repeat what cannot be repeated.
 */
import { Redis } from 'ioredis'
import type { Flock } from './flock.ts'
import { ask, pause } from './http.ts'
import type { Ledger } from './ledger.ts'
import type { ChaosPeer } from './peer.ts'

/** An HTTP client asks another peer if one has not answered by then, and still waits for the first. */
const hedgeMs = 500
const patienceMs = 30_000
const againMs = 20

export interface LoadOptions {
  readonly httpLanes: number
  readonly respLanes: number
  /** Between an answer and the next request of a lane. */
  readonly thinkMs: number
}

export class Load {
  readonly #flock: Flock
  readonly #ledger: Ledger
  readonly #options: LoadOptions
  readonly #working: Promise<void>[] = []
  readonly #late = new Set<Promise<unknown>>()
  /** Of all keys, so that loads do not write over one another. */
  readonly #prefix: string
  #isOver = false

  constructor(flock: Flock, ledger: Ledger, options: LoadOptions, prefix = '') {
    this.#prefix = prefix
    this.#flock = flock
    this.#ledger = ledger
    this.#options = options
  }

  start(): void {
    const { httpLanes, respLanes } = this.#options
    for (let lane = 0; lane < httpLanes; lane++) this.#working.push(this.#httpLane(lane))
    for (let lane = 0; lane < respLanes; lane++) this.#working.push(this.#respLane(lane))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#working)
    await Promise.all(this.#late)
  }

  async #httpLane(lane: number): Promise<void> {
    const { thinkMs } = this.#options
    const ledger = this.#ledger
    for (let n = 0; !this.#isOver; n++) {
      const key = `${this.#prefix}h${lane}-${n}`
      if (n % 3 === 0) {
        if (await this.#write(lane + n, 'PUT', `/v1/maps/chaos/${key}`, key, JSON.stringify(key)))
          ledger.entries.set(key, JSON.stringify(key))
      } else if (n % 3 === 1) {
        const counter = `${this.#prefix}hc${lane}-${n % 5}`
        const isDone = await this.#write(lane + n, 'POST', `/v1/counters/${counter}`, key, '{"by":1}')
        ledger.count(ledger.counters, counter, isDone ? 'acknowledged' : 'unknown')
      } else if (await this.#write(lane + n, 'POST', '/v1/queues/chaos', key, JSON.stringify(key))) {
        ledger.messages.add(key)
      }
      await pause(thinkMs)
    }
  }

  /** Until it is acknowledged. False: nobody did within the patience, which is a gap to be told. */
  async #write(at: number, method: string, path: string, key: string, body: string): Promise<boolean> {
    const startMs = performance.now()
    let isDone = false
    for (let attempt = 0; !isDone && performance.now() - startMs < patienceMs; attempt++) {
      const peer = this.#flock.peer(at + attempt)
      const trying = this.#attempt(peer, method, path, key, body).then(isOk => {
        isDone ||= isOk
      })
      this.#late.add(trying)
      void trying.then(() => this.#late.delete(trying))
      let timer: NodeJS.Timeout | undefined
      await Promise.race([trying, new Promise(resolve => (timer = setTimeout(resolve, hedgeMs)))])
      clearTimeout(timer)
      if (!isDone && attempt > 0) await pause(againMs)
    }
    this.#ledger.chains.push({ startMs, endMs: performance.now(), what: `${method} ${path}` })
    return isDone
  }

  async #attempt(peer: ChaosPeer, method: string, path: string, key: string, body: string): Promise<boolean> {
    const startMs = performance.now()
    const headers = { 'idempotency-key': key, 'content-type': 'application/json' }
    const result = await ask(peer.http, method, path, body, headers).then(
      answer => (answer.status < 300 ? 'ok' : `refused ${answer.status} ${codeIn(answer.body)}`),
      (error: NodeJS.ErrnoException) => `failed ${error.code ?? error.message}`,
    )
    this.#ledger.attempts.push({
      peer: peer.name,
      what: `${method} ${path}`,
      startMs,
      endMs: performance.now(),
      result,
    })
    return result === 'ok'
  }

  async #respLane(lane: number): Promise<void> {
    const peer = this.#flock.peer(lane)
    const [host, port] = (peer.ready?.resp ?? '').split(':')
    const redis = new Redis({
      host: host as string,
      port: Number(port),
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => 100,
    })
    redis.on('error', () => undefined)
    for (let n = 0; !this.#isOver; n++) {
      await this.#command(redis, peer, lane, n)
      await pause(this.#options.thinkMs)
    }
    redis.disconnect()
  }

  async #command(redis: Redis, peer: ChaosPeer, lane: number, n: number): Promise<void> {
    const ledger = this.#ledger
    const key = `${this.#prefix}r${lane}-${n}`
    const startMs = performance.now()
    const record = (result: string): void => {
      const what = ['SET', 'INCR', 'RPUSH'][n % 3] as string
      ledger.attempts.push({ peer: peer.name, what, startMs, endMs: performance.now(), result })
    }
    if (redis.status !== 'ready') return await pause(20)
    const counter = `${this.#prefix}rc${lane}-${n % 5}`
    const list = `${this.#prefix}rl${lane}`
    try {
      if (n % 3 === 0) {
        await redis.set(key, `${key}-value`)
        ledger.strings.set(key, `${key}-value`)
      } else if (n % 3 === 1) {
        await redis.incr(counter)
        ledger.count(ledger.respCounters, counter, 'acknowledged')
      } else {
        await redis.rpush(list, key)
        const pushed = ledger.lists.get(list)
        if (pushed === undefined) ledger.lists.set(list, [key])
        else pushed.push(key)
      }
      record('ok')
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      record(/^[A-Z]+ /.test(text) ? `refused ${text.slice(0, 40)}` : `failed ${text.slice(0, 40)}`)
      if (n % 3 === 1) ledger.count(ledger.respCounters, counter, 'unknown')
      await pause(20)
    }
  }
}

function codeIn(body: string): string {
  try {
    return String((JSON.parse(body) as { code?: string }).code)
  } catch {
    return ''
  }
}
