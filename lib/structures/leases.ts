/**
 * Who holds what, for how long: leases by token. Ends are volatile, on this copy's own monotonic clock; whether a lease
 * has ended is decided by a logged operation alone. A restored copy has no ends until `restart`, which gives every lease
 * its full duration again. Tokens name leases in the same order on every copy, whatever way it came to its state.
 */
import type { SessionId } from '../base/ids.ts'
import { Deadlines } from './deadlines.ts'

/** For a lease that nobody's session ends. */
export const leaseMsDefault = 30_000
/** What is left to a lease whose session ended while a transaction held on to it. */
export const orphanLeaseMs = 5_000
/** A proposed expiry that was not committed is proposed again after this. */
export const againMs = 250

export interface Lease<V> {
  readonly token: number
  /** '' if it ends by time alone. */
  readonly session: SessionId
  /** 0: as long as the session. */
  readonly leaseMs: number
  readonly held: V
}

export class Leases<V> {
  readonly #byToken = new Map<number, Lease<V>>()
  readonly #bySession = new Map<SessionId, Set<number>>()
  readonly #ends = new Deadlines<number, Lease<V>>()

  get size(): number {
    return this.#byToken.size
  }

  get(token: number): Lease<V> | undefined {
    return this.#byToken.get(token)
  }

  /** Grants, or restarts with other terms. `monotonicMs` undefined: from a snapshot, its end is not known here. */
  set(lease: Lease<V>, monotonicMs: number | undefined): void {
    this.delete(lease.token)
    this.#byToken.set(lease.token, lease)
    if (lease.session !== '') {
      const held = this.#bySession.get(lease.session)
      if (held === undefined) this.#bySession.set(lease.session, new Set([lease.token]))
      else held.add(lease.token)
    }
    if (monotonicMs !== undefined) this.#arm(lease, monotonicMs)
  }

  delete(token: number): void {
    const lease = this.#byToken.get(token)
    if (lease === undefined) return
    this.#byToken.delete(token)
    this.#ends.delete(token)
    const held = this.#bySession.get(lease.session)
    held?.delete(token)
    if (held?.size === 0) this.#bySession.delete(lease.session)
  }

  /** What a session holds, oldest grant first. */
  ofSession(session: SessionId): Lease<V>[] {
    const tokens = [...(this.#bySession.get(session) ?? [])].sort((a, b) => a - b)
    return tokens.map(token => this.#byToken.get(token) as Lease<V>)
  }

  nextEndMs(): number | undefined {
    return this.#ends.nextMs()
  }

  /** Names leases that ran out. */
  ended(nowMonotonicMs: number, countMax: number, visit: (lease: Lease<V>) => boolean): void {
    this.#ends.name(nowMonotonicMs, countMax, againMs, (_, lease) => visit(lease))
  }

  restart(nowMonotonicMs: number): void {
    for (const lease of this.#byToken.values()) this.#arm(lease, nowMonotonicMs)
  }

  #arm(lease: Lease<V>, monotonicMs: number): void {
    if (lease.leaseMs > 0) this.#ends.set(lease.token, monotonicMs + lease.leaseMs, lease)
  }
}
