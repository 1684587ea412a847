/**
 * How long a suspicion lasts (Lifeguard, Dadgar et al. 2018, section IV-B): long while only one member suspects, down to
 * its least as others confirm independently. A slow suspector that nobody confirms so gives the suspect time to refute.
 */
import type { MemberId } from '../base/ids.ts'
import type { MembershipOptions } from './options.ts'

/** max(least, most - (most - least) * log(c + 1) / log(k + 1)). With `wanted` 0 there is nobody to confirm: the least. */
export function suspicionMs(leastMs: number, mostMs: number, wanted: number, confirmed: number): number {
  if (wanted < 1) return leastMs
  return Math.max(leastMs, mostMs - ((mostMs - leastMs) * Math.log(confirmed + 1)) / Math.log(wanted + 1))
}

export class Suspicion {
  readonly #leastMs: number
  readonly #mostMs: number
  readonly #wanted: number
  readonly #accusers: Set<MemberId>
  /** Monotonic; put off by the lag when this process slept. */
  startedMs: number

  /** `memberCount` counts everyone, this member and the suspect included. */
  constructor(startedMs: number, by: MemberId, memberCount: number, options: MembershipOptions) {
    this.startedMs = startedMs
    this.#accusers = new Set([by])
    this.#leastMs =
      options.suspicionMultiplier * Math.max(1, Math.log10(Math.max(1, memberCount))) * options.probeIntervalMs
    this.#mostMs = this.#leastMs * options.suspicionMaxMultiplier
    this.#wanted = Math.max(0, Math.min(options.suspicionConfirmations, memberCount - 2))
  }

  get dueMs(): number {
    return this.startedMs + suspicionMs(this.#leastMs, this.#mostMs, this.#wanted, this.#accusers.size - 1)
  }

  /** Counts an accuser; false if it already counted or enough did, and then its word need not be passed on. */
  confirm(by: MemberId): boolean {
    if (this.#accusers.size - 1 >= this.#wanted || this.#accusers.has(by)) return false
    this.#accusers.add(by)
    return true
  }
}
