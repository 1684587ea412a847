/**
 * Leases held by work of this member, on its own clock. A lease counts from when the request for it was *sent*, so it
 * ends here before it ends at the owner; it is renewed at a third of its length. When it ends, or the session it belongs
 * to changes, its signal aborts: double work is possible, double commit is not (the token is checked there).
 */
import { Heap } from '../base/heap.ts'
import type { Env } from '../base/env.ts'
import { StaleTokenError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'

export interface LeaseTerms {
  /** When the request that granted it was sent, monotonic. */
  readonly sentMs: number
  readonly leaseMs: number
  /** Undefined: ends by time alone. */
  readonly session: SessionId | undefined
  /** Asks the owner for more; false: the grant is stale. Rejections are tried again. Undefined: not renewed. */
  readonly renew?: (() => Promise<boolean>) | undefined
}

const renewPart = 3
/** After a renewal failed: a part of the lease, so that several fit in. */
const retryPart = 10
/** Ended leases that may still lie in the heap, beyond as many as are held. */
const slackMax = 1_024

export class Lease {
  readonly terms: LeaseTerms
  readonly #clock: () => number
  readonly #ended: (lease: Lease) => void
  readonly #controller = new AbortController()
  #leaseMs: number
  untilMs: number
  renewAtMs: number
  isRenewing = false
  isEnded = false

  constructor(terms: LeaseTerms, clock: () => number, ended: (lease: Lease) => void) {
    this.terms = terms
    this.#clock = clock
    this.#ended = ended
    this.#leaseMs = terms.leaseMs
    this.untilMs = terms.sentMs + terms.leaseMs
    this.renewAtMs = terms.renew === undefined ? Infinity : terms.sentMs + terms.leaseMs / renewPart
  }

  get signal(): AbortSignal {
    if (!this.isEnded && this.#clock() >= this.untilMs) this.lose('the lease ran out')
    return this.#controller.signal
  }

  get dueMs(): number {
    return Math.min(this.untilMs, this.isRenewing ? Infinity : this.renewAtMs)
  }

  /** The owner gave more, asked at `sentMs`. */
  extended(sentMs: number, leaseMs: number = this.#leaseMs): void {
    this.#leaseMs = leaseMs
    this.untilMs = sentMs + leaseMs
    if (this.terms.renew !== undefined) this.renewAtMs = sentMs + leaseMs / renewPart
  }

  postponed(nowMs: number): void {
    this.renewAtMs = nowMs + this.#leaseMs / retryPart
  }

  /** Its work is over: nothing is aborted. */
  end(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.#ended(this)
  }

  lose(reason: string): void {
    if (this.isEnded) return
    this.end()
    this.#controller.abort(new StaleTokenError(reason))
  }
}

export class LeaseWatch {
  readonly #env: Env
  readonly #leases = new Set<Lease>()
  // Ranks may be out of date: a lease that is not due yet when it comes up goes back in.
  readonly #dues = new Heap<Lease>()
  #cancelTimer: (() => void) | undefined
  #timerAtMs = Infinity

  constructor(env: Env) {
    this.#env = env
  }

  get heldCount(): number {
    return this.#leases.size
  }

  hold(terms: LeaseTerms): Lease {
    const lease = new Lease(
      terms,
      () => this.#env.now().monotonicMs,
      ended => this.#leases.delete(ended),
    )
    this.#leases.add(lease)
    this.#watch(lease)
    return lease
  }

  /** What belongs to another session than this one is lost. */
  changeSession(session: SessionId | undefined): void {
    for (const lease of this.#leases)
      if (lease.terms.session !== undefined && lease.terms.session !== session) lease.lose('the session ended')
  }

  loseAll(reason: string): void {
    for (const lease of this.#leases) lease.lose(reason)
    this.#cancelTimer?.()
    this.#timerAtMs = Infinity
  }

  #watch(lease: Lease): void {
    if (this.#dues.length > 2 * this.#leases.size + slackMax) this.#compact()
    this.#dues.push(lease.dueMs, lease)
    this.#arm()
  }

  /** Most leases end long before they are due: what is left of them goes now and then. */
  #compact(): void {
    this.#dues.clear()
    for (const lease of this.#leases) {
      this.#dues.push(lease.dueMs, lease)
      if (lease.isRenewing) this.#dues.push(lease.untilMs, lease)
    }
  }

  #arm(): void {
    const dueMs = this.#dues.peekRank() ?? Infinity
    if (dueMs >= this.#timerAtMs) return
    this.#cancelTimer?.()
    this.#timerAtMs = dueMs
    this.#cancelTimer = this.#env.at(dueMs, () => this.#wake())
  }

  #wake(): void {
    this.#timerAtMs = Infinity
    const nowMs = this.#env.now().monotonicMs
    for (let due = this.#dues.peekRank(); due !== undefined && due <= nowMs; due = this.#dues.peekRank()) {
      const lease = this.#dues.pop() as Lease
      if (lease.isEnded) continue
      if (lease.untilMs <= nowMs) lease.lose('the lease ran out')
      else if (lease.dueMs > nowMs) this.#dues.push(lease.dueMs, lease)
      else void this.#renew(lease, nowMs)
    }
    this.#arm()
  }

  async #renew(lease: Lease, sentMs: number): Promise<void> {
    lease.isRenewing = true
    // Its end is still watched meanwhile.
    this.#dues.push(lease.untilMs, lease)
    try {
      if (await lease.terms.renew?.()) lease.extended(sentMs)
      else lease.lose('the grant is stale')
    } catch {
      lease.postponed(this.#env.now().monotonicMs)
    }
    lease.isRenewing = false
    if (!lease.isEnded) this.#watch(lease)
  }
}
