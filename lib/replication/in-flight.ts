/**
 * How much an owner has under way to each member, over all partitions: appends, or chunks of snapshots, that were sent and
 * not acknowledged. A window for each partition alone does not bound a lane that hundreds of partitions share: it would be
 * overrun, reset, and filled again for ever. What finds no room waits; when half of the window is free again, all that
 * waited look anew.
 */
import type { MemberId } from '../base/ids.ts'
import type { Driven } from './turn.ts'

/** Bytes not acknowledged by one member, over all partitions; a larger entry travels alone. */
export const inFlightToMemberBytesMax: number = 2 * 1024 * 1024

export class InFlight {
  bytes = 0
  /** When an acknowledgement came last, in monotonic ms. */
  movedAtMs = 0
  readonly #bytesMax: number
  // At most the partitions of this member.
  readonly #waiting = new Set<Driven>()
  readonly #touch: (replica: Driven) => void

  constructor(touch: (replica: Driven) => void, bytesMax: number = inFlightToMemberBytesMax) {
    this.#touch = touch
    this.#bytesMax = bytesMax
  }

  get hasRoom(): boolean {
    return this.bytes < this.#bytesMax
  }

  add(bytes: number): void {
    this.bytes += bytes
  }

  /** To be touched when there is room. */
  wait(replica: Driven): void {
    this.#waiting.add(replica)
  }

  remove(bytes: number): void {
    this.bytes -= bytes
    if (this.#waiting.size === 0 || this.bytes > this.#bytesMax / 2) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const replica of waiting) this.#touch(replica)
  }
}

/** One for each member that any partition here is copied to. */
export class InFlights {
  readonly #byMember = new Map<MemberId, InFlight>()
  readonly #touch: (replica: Driven) => void

  constructor(touch: (replica: Driven) => void) {
    this.#touch = touch
  }

  to(member: MemberId): InFlight {
    let inFlight = this.#byMember.get(member)
    if (inFlight === undefined) {
      inFlight = new InFlight(this.#touch)
      this.#byMember.set(member, inFlight)
    }
    return inFlight
  }

  /** Forgets members that are no longer in the table. */
  keep(members: ReadonlyMap<MemberId, unknown>): void {
    for (const member of this.#byMember.keys()) if (!members.has(member)) this.#byMember.delete(member)
  }
}
