/**
 * A producer as a client writes one: it POSTs its half of each delivery, and where no 2xx comes within 400 ms it tries
 * the next peer with the same Idempotency-Key, until one accepts. So nothing it was promised can double, whatever dies.
 */
import { Agent, request } from 'node:http'
import type { Peers } from './peers.ts'

export interface Half {
  readonly id: string
  readonly path: string
  readonly body: Buffer
}

/** One accepted request, in ms of this process' clock. */
export interface Acceptance {
  readonly id: string
  readonly firstTryMs: number
  readonly acceptedMs: number
}

export interface ProducerOptions {
  readonly half: 'head' | 'payload'
  readonly count: number
  /** The nth half, from 0. */
  readonly halfAt: (at: number) => Half
  /** Not before this may the nth one be sent, in ms from `startMs`. */
  readonly dueMs: (at: number) => number
  readonly startMs: number
  /** The last ones, from this one on, wait for that: so that the second death comes under load, however slow the machine. */
  readonly held: { readonly from: number; readonly until: Promise<void> }
  readonly peers: Peers
  /** Which peer the first request goes to: the halves of a delivery go to different ones. */
  readonly offset: number
  readonly accepted: (acceptance: Acceptance) => void
}

const tryTimeoutMs = 400
const againMs = 20
/** Requests at once. A producer that hears nothing in time halves its own number, and grows again by one in a while. */
const inFlightMax = 32
const inFlightMin = 4
const growEvery = 100
/** A request that nobody accepted for so long is given up. */
const patienceMs = 60_000

export class Producer {
  sentCount = 0
  acceptedCount = 0
  retryCount = 0
  /** Requests that no peer ever accepted. */
  failedCount = 0
  readonly #options: ProducerOptions
  /** Requests at once that it allows itself. */
  #window = inFlightMax
  #inFlight = 0
  #halvedMs = -Infinity
  readonly #waiting: (() => void)[] = []
  readonly #agent = new Agent({ keepAlive: true, maxSockets: inFlightMax, scheduling: 'lifo' })

  constructor(options: ProducerOptions) {
    this.#options = options
  }

  /** Resolves when each half was accepted, or given up. Rejects with the reason of a refusal that no retry can mend. */
  async run(): Promise<void> {
    const { count, startMs, dueMs, held } = this.#options
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < count) {
        const at = next++
        const waitMs = startMs + dueMs(at) - performance.now()
        if (waitMs > 1) await pause(waitMs)
        if (at >= held.from) await held.until
        await this.#enter()
        await this.#deliver(at)
        this.#leave()
      }
    }
    try {
      await Promise.all(Array.from({ length: inFlightMax }, lane))
    } finally {
      this.#agent.destroy()
    }
  }

  async #enter(): Promise<void> {
    while (this.#inFlight >= this.#window) await new Promise<void>(resolve => this.#waiting.push(resolve))
    this.#inFlight++
  }

  #leave(): void {
    this.#inFlight--
    if (this.acceptedCount % growEvery === 0 && this.#window < inFlightMax) this.#window++
    // Each looks for itself whether there is room.
    for (const look of this.#waiting.splice(0)) look()
  }

  #slowDown(): void {
    const nowMs = performance.now()
    if (nowMs - this.#halvedMs < tryTimeoutMs) return
    this.#halvedMs = nowMs
    this.#window = Math.max(inFlightMin, this.#window >> 1)
  }

  async #deliver(at: number): Promise<void> {
    const { halfAt, peers, offset, accepted } = this.#options
    const half = halfAt(at)
    const firstTryMs = performance.now()
    this.sentCount++
    for (let attempt = 0; performance.now() - firstTryMs < patienceMs; attempt++) {
      const status = await this.#post(peers.url(at + offset + attempt), half).catch(() => undefined)
      if (status !== undefined && status >= 200 && status < 300) {
        this.acceptedCount++
        accepted({ id: half.id, firstTryMs, acceptedMs: performance.now() })
        return
      }
      if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429)
        throw new Error(`a peer answered ${status} to ${half.path}`)
      this.retryCount++
      if (attempt > 0) await pause(againMs)
    }
    this.failedCount++
  }

  #post(url: string, { id, path, body }: Half): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': body.length,
        'idempotency-key': `${id}/${this.#options.half}`,
      }
      const call = request(url + path, { method: 'POST', agent: this.#agent, headers }, response => {
        response.resume()
        response.once('end', () => settle(() => resolve(response.statusCode ?? 0)))
        response.once('error', error => settle(() => reject(error)))
      })
      const timer = setTimeout(() => {
        this.#slowDown()
        call.destroy(new Error('no answer in time'))
      }, tryTimeoutMs)
      const settle = (end: () => void): void => {
        clearTimeout(timer)
        end()
      }
      call.once('error', error => settle(() => reject(error)))
      call.end(body)
    })
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
