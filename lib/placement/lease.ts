/**
 * Both ends of the node lease (Gray and Cheriton 1989). It counts from *send* at the holder and from *receive* at the
 * leader, each on its own monotonic clock, so the holder's always ends first as long as the clocks' rates differ by
 * less than `clockDriftRatio`. Neither end compares clocks with the other.
 */
import { assert } from '../base/assert.ts'
import type { Instant } from '../base/instant.ts'

export interface LeaseOptions {
  /** How long a granted node lease lasts. Longer: fewer false failovers; a longer gap after a crash. */
  readonly nodeLeaseMs: number
  /** How long locks and message leases outlive their member's last renewal. */
  readonly sessionLeaseMs: number
  /** How often it is renewed; at most a third of the lease, so that one lost renewal costs nothing. */
  readonly renewIntervalMs: number
  /** Bound on the difference of two members' clock rates, e.g. 0.02. */
  readonly clockDriftRatio: number
  /** A leap of the wall clock against the monotonic one beyond this drops the lease: the machine may have been suspended. */
  readonly wallLeapMs: number
}

export const leaseDefaults: LeaseOptions = {
  nodeLeaseMs: 300,
  sessionLeaseMs: 5_000,
  renewIntervalMs: 75,
  clockDriftRatio: 0.02,
  wallLeapMs: 500,
}

/** The member's end: what it may still believe. */
export class HeldLease {
  readonly #options: LeaseOptions
  /** Sent renewals without an answer, oldest first; at most `outstandingMax`. */
  readonly #sentAtMs = new Map<number, number>()
  #sequence = 0
  #renewedAtMs: number | undefined
  #stateIndex = 0
  #session = 0
  #wallOffsetMs: number | undefined
  /** Renewals sent before this prove nothing any more. */
  #notBeforeMs = -Infinity

  constructor(options: LeaseOptions) {
    this.#options = options
  }

  /** The ordinal of the session that the leader last named; 0 before the first grant. */
  get session(): number {
    return this.#session
  }

  /** Notes a renewal as sent now and returns its sequence. */
  renew(now: Instant): number {
    const sequence = ++this.#sequence
    this.#sentAtMs.set(sequence, now.monotonicMs)
    if (this.#sentAtMs.size > outstandingMax) this.#sentAtMs.delete(this.#sentAtMs.keys().next().value ?? 0)
    return sequence
  }

  /** Takes a grant; one for a renewal unknown, answered or older than a wall leap changes nothing. */
  grant(sequence: number, stateIndex: number, session: number): void {
    const sentAtMs = this.#sentAtMs.get(sequence)
    if (sentAtMs === undefined) return
    for (const older of this.#sentAtMs.keys()) if (older <= sequence) this.#sentAtMs.delete(older)
    if (sentAtMs < this.#notBeforeMs) return
    assert(
      this.#renewedAtMs === undefined || sentAtMs >= this.#renewedAtMs,
      'grants are taken in the order of their renewals',
    )
    this.#renewedAtMs = sentAtMs
    this.#stateIndex = Math.max(this.#stateIndex, stateIndex)
    this.#session = session
  }

  /** Drops everything if the wall clock leapt. Returns whether it did. */
  watchWall(now: Instant): boolean {
    const offsetMs = now.wallMs - now.monotonicMs
    const before = this.#wallOffsetMs
    this.#wallOffsetMs = offsetMs
    if (before === undefined || Math.abs(offsetMs - before) <= this.#options.wallLeapMs) return false
    this.drop(now)
    return true
  }

  /** Gives the lease up; only a renewal sent from now on brings it back. */
  drop(now: Instant): void {
    this.#renewedAtMs = undefined
    this.#notBeforeMs = now.monotonicMs
  }

  /** Until when this member may own, or -Infinity. `appliedIndex` is how far it has applied consensus: an older view may name owners wrongly. */
  nodeUntilMs(appliedIndex: number): number {
    if (this.#renewedAtMs === undefined || appliedIndex < this.#stateIndex) return -Infinity
    return this.#renewedAtMs + this.#options.nodeLeaseMs * (1 - this.#options.clockDriftRatio)
  }

  /** Until when this member's session certainly lives, or -Infinity. */
  sessionUntilMs(): number {
    if (this.#renewedAtMs === undefined) return -Infinity
    return this.#renewedAtMs + this.#options.sessionLeaseMs * (1 - this.#options.clockDriftRatio)
  }
}

const outstandingMax = 64

/** The leader's end: until when each member may believe that it holds one. */
export class LeaseBook {
  readonly #options: LeaseOptions
  readonly #receivedAtMs = new Map<string, number>()
  /** Counted for every member from here, as a former leader may have granted until then. */
  #floorMs = -Infinity

  constructor(options: LeaseOptions) {
    this.#options = options
  }

  /** A new leader knows no grants of the old one: all may have been renewed at `floorMs` at the latest. */
  restart(floorMs: number): void {
    this.#receivedAtMs.clear()
    this.#floorMs = floorMs
  }

  granted(member: string, receivedAtMs: number): void {
    this.#receivedAtMs.set(member, Math.max(receivedAtMs, this.#receivedAtMs.get(member) ?? -Infinity))
  }

  forget(member: string): void {
    this.#receivedAtMs.delete(member)
  }

  /** When its last granted renewal was received; -Infinity if this leader has granted none. */
  renewedAtMs(member: string): number {
    return this.#receivedAtMs.get(member) ?? -Infinity
  }

  nodeEndMs(member: string): number {
    return this.#latestMs(member) + this.#options.nodeLeaseMs * (1 + this.#options.clockDriftRatio)
  }

  sessionEndMs(member: string): number {
    return this.#latestMs(member) + this.#options.sessionLeaseMs * (1 + this.#options.clockDriftRatio)
  }

  #latestMs(member: string): number {
    return Math.max(this.#floorMs, this.#receivedAtMs.get(member) ?? -Infinity)
  }
}
