/** A producer for the flow of flows/orders.ts, behind a balancer: each order again until it is accepted. */
import type { Flock } from './flock.ts'
import { Balancer } from './balancer.ts'
import { ask, pause } from './http.ts'

const lanes = 6
const thinkMs = 20
const againMs = 20
/** Later than this is no answer. */
const answerMsMax = 1_500

/** An answer other than 2xx, or a failure of the connection. */
interface Failure {
  readonly atMs: number
  readonly kind: string
  /** e.g. '503 of g2' */
  readonly what: string
}

export class Orders {
  readonly accepted: Set<string> = new Set()
  readonly #failures: Failure[] = []
  readonly #flock: Flock
  readonly #chains: { readonly startMs: number; readonly endMs: number }[] = []
  #working: Promise<void>[] = []
  #balancer: Balancer | undefined
  #isOver = false

  constructor(flock: Flock) {
    this.#flock = flock
  }

  start(prefix: string): void {
    this.#isOver = false
    this.#balancer = new Balancer(this.#flock.peers)
    for (let lane = 0; lane < lanes; lane++) this.#working.push(this.#lane(prefix, lane))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#working)
    this.#working = []
    this.#balancer?.close()
  }

  /** From first try to acceptance, in s. */
  longest(sinceMs: number): number {
    return this.#chains
      .filter(({ startMs }) => startMs >= sinceMs)
      .reduce((longest, { startMs, endMs }) => Math.max(longest, (endMs - startMs) / 1_000), 0)
  }

  failedSince(sinceMs: number): readonly Failure[] {
    return this.#failures.filter(({ atMs }) => atMs >= sinceMs)
  }

  /** How many failed, by kind. */
  refusals(sinceMs: number): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { kind } of this.failedSince(sinceMs)) counts[kind] = (counts[kind] ?? 0) + 1
    return counts
  }

  async #lane(prefix: string, lane: number): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const id = `${prefix}-${lane}-${n}`
      const startMs = performance.now()
      // Until it is accepted, also after the load is over: an order asked for once may have been taken.
      while (!(await this.#post(id, n))) await pause(againMs)
      this.accepted.add(id)
      this.#chains.push({ startMs, endMs: performance.now() })
      await pause(thinkMs)
    }
  }

  async #post(id: string, n: number): Promise<boolean> {
    const peer = this.#balancer?.next()
    const headers = { 'content-type': 'application/json', 'idempotency-key': id }
    const url = peer?.ready?.flows ?? ''
    const ready = this.#balancer?.ready
    const startMs = performance.now()
    const result = await ask(url, 'POST', `/orders/${id}`, JSON.stringify({ id, n }), headers, answerMsMax).then(
      ({ status }) => String(status),
      (error: NodeJS.ErrnoException) => error.code ?? error.message,
    )
    if (/^2\d\d$/.test(result)) return true
    this.#failures.push({
      atMs: performance.now(),
      kind: result,
      what: `${result} of ${peer?.name} after ${Math.round(performance.now() - startMs)} ms, ready were ${ready}`,
    })
    return false
  }
}
