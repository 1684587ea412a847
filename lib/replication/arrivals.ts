/**
 * Lets each sending of a request in once. A network may bring one twice, and a caller counts a sending as answered by
 * the first reply: were one copy executed and the other sent back, as when the lease lapses between the two, the caller
 * would hold for certain that nothing had happened.
 *
 * Callers number their sendings upwards, so of each caller the newest of every residue class is enough to know the last
 * `sendingsMax` by; what is older than that is let in.
 */
import type { MemberId } from '../base/ids.ts'

/** Of one caller, known apart. 8 KiB each. */
const sendingsMax = 1_024

export class Arrivals {
  readonly #newest = new Map<MemberId, Float64Array>()

  /** Whether this sending comes in for the first time, as far as is known. */
  isFirst(from: MemberId, sending: number): boolean {
    let newest = this.#newest.get(from)
    if (newest === undefined) {
      newest = new Float64Array(sendingsMax).fill(-1)
      this.#newest.set(from, newest)
    }
    const place = sending % sendingsMax
    const before = newest[place] as number
    if (before === sending) return false
    if (before < sending) newest[place] = sending
    return true
  }

  /** Callers that are members no more are forgotten: their sessions have ended, so nothing of theirs is executed. */
  keep(members: ReadonlyMap<MemberId, unknown>): void {
    for (const member of this.#newest.keys()) if (!members.has(member)) this.#newest.delete(member)
  }
}
