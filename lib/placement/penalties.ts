/** Growing, fading distrust of members that flap: each fault doubles how long a member is given nothing new. */
import type { MemberId } from '../base/ids.ts'

/** Length of the first penalty; doubles with each fault. */
const penaltyMinMs = 1_000
const penaltyMaxMs = 30_000
/** With no fault for this long a member counts as sound again. */
const fadeAfterMs = 60_000
/** Members remembered; the oldest goes. */
const membersMax = 10_000

export class Penalties {
  readonly #faults = new Map<MemberId, { readonly count: number; readonly atMs: number }>()

  /** Notes a fault; several within one penalty count once. */
  fault(member: MemberId, nowMs: number): void {
    if (this.isPenal(member, nowMs)) return
    const before = this.#faults.get(member)
    const count = before === undefined || nowMs - before.atMs > fadeAfterMs ? 1 : before.count + 1
    this.#faults.delete(member)
    this.#faults.set(member, { count, atMs: nowMs })
    if (this.#faults.size > membersMax) this.#faults.delete(this.#faults.keys().next().value ?? '')
  }

  isPenal(member: MemberId, nowMs: number): boolean {
    const fault = this.#faults.get(member)
    return fault !== undefined && nowMs - fault.atMs < Math.min(penaltyMaxMs, penaltyMinMs * 2 ** (fault.count - 1))
  }
}
