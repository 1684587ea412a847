/**
 * Both ends of the node lease (Gray and Cheriton 1989). It counts from *send* at the holder and from *receive* at the
 * leader, each on its own monotonic clock, so the holder's always ends first as long as the clocks' rates differ by
 * less than `clockDriftRatio`. Neither end compares clocks with the other.
 */
import { assert } from '../base/assert.ts'
import type { Instant } from '../base/instant.ts'
import { noLease, type Lease } from '../base/lease.ts'

export interface LeaseOptions {
  /** How long a granted node lease lasts. Longer: fewer false failovers; a longer gap after a crash. */
  readonly nodeLeaseMs: number
  /** How long locks and message leases outlive their member's last renewal. */
  readonly sessionLeaseMs: number
  /** How often it is renewed; at most a third of the lease, so that one lost renewal costs nothing. */
  readonly renewIntervalMs: number
  /** Bound on the difference of two members' clock rates, e.g. 0.02. */
  readonly clockDriftRatio: number
  /**
   * A leap of the wall clock against the monotonic one beyond this since the renewal drops the lease: the machine may
   * have been suspended, with its monotonic clock. The leader waits this much longer, for leaps that stay below it.
   */
  readonly wallLeapMs: number
}

export const leaseDefaults: LeaseOptions = {
  nodeLeaseMs: 300,
  sessionLeaseMs: 5_000,
  renewIntervalMs: 75,
  clockDriftRatio: 0.02,
  wallLeapMs: 40,
}

/** The member's end: what it may still believe. */
export class HeldLease {
  readonly #options: LeaseOptions
  /** Sent renewals without an answer, oldest first; at most `outstandingMax`. */
  readonly #sent = new Map<number, { readonly atMs: number; readonly wallOffsetMs: number }>()
  #sequence = 0
  #renewedAtMs: number | undefined
  #stateIndex = 0
  #session = 0
  /** Wall minus monotonic clock when the renewal that counts was sent. */
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
    this.#sent.set(sequence, { atMs: now.monotonicMs, wallOffsetMs: wallOffsetMs(now) })
    if (this.#sent.size > outstandingMax) this.#sent.delete(this.#sent.keys().next().value ?? 0)
    return sequence
  }

  /** Takes a grant; one for a renewal unknown, answered or older than a wall leap changes nothing. */
  grant(sequence: number, stateIndex: number, session: number): void {
    const sent = this.#sent.get(sequence)
    if (sent === undefined) return
    for (const older of this.#sent.keys()) if (older <= sequence) this.#sent.delete(older)
    if (sent.atMs < this.#notBeforeMs) return
    assert(
      this.#renewedAtMs === undefined || sent.atMs >= this.#renewedAtMs,
      'grants are taken in the order of their renewals',
    )
    this.#renewedAtMs = sent.atMs
    this.#wallOffsetMs = sent.wallOffsetMs
    this.#stateIndex = Math.max(this.#stateIndex, stateIndex)
    this.#session = session
  }

  /** Drops everything if the wall clock leapt since the renewal that counts. Returns whether it did. */
  watchWall(now: Instant): boolean {
    if (this.#renewedAtMs === undefined || this.#wallOffsetMs === undefined) return false
    if (Math.abs(wallOffsetMs(now) - this.#wallOffsetMs) <= this.#options.wallLeapMs) return false
    this.drop(now)
    return true
  }

  /** Gives the lease up; only a renewal sent from now on brings it back. */
  drop(now: Instant): void {
    this.#renewedAtMs = undefined
    this.#notBeforeMs = now.monotonicMs
  }

  /** What this member may own under. `appliedIndex` is how far it has applied consensus: an older view may name owners wrongly. */
  nodeLease(appliedIndex: number): Lease {
    if (this.#renewedAtMs === undefined || this.#wallOffsetMs === undefined || appliedIndex < this.#stateIndex)
      return noLease
    const { nodeLeaseMs, clockDriftRatio, wallLeapMs } = this.#options
    return {
      untilMonotonicMs: this.#renewedAtMs + nodeLeaseMs * (1 - clockDriftRatio),
      wall: { offsetMs: this.#wallOffsetMs, leapMaxMs: wallLeapMs },
    }
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
    return this.#endMs(member, this.#options.nodeLeaseMs)
  }

  sessionEndMs(member: string): number {
    return this.#endMs(member, this.#options.sessionLeaseMs)
  }

  #endMs(member: string, leaseMs: number): number {
    const latestMs = Math.max(this.#floorMs, this.renewedAtMs(member))
    return latestMs + leaseMs * (1 + this.#options.clockDriftRatio) + this.#options.wallLeapMs
  }
}

function wallOffsetMs(now: Instant): number {
  return now.wallMs - now.monotonicMs
}
