/**
 * Probes made for others: SWIM's ping-req at the neighbour (section 3.1), with Lifeguard's nack, so that the asker can
 * tell a dead target from a mute neighbour (section IV-A).
 */
import type { MemberId } from '../base/ids.ts'
import type { Verdict } from './messages.ts'
import type { MembershipOptions } from './options.ts'

/** Who asks for what; `askerSequence` is the asker's own number of its probe. */
export interface Asked {
  readonly asker: MemberId
  readonly askerSequence: number
  readonly target: MemberId
}

interface Relay extends Asked {
  readonly sequence: number
  /** When 'unreachable' is said for now; Infinity once it is. */
  nackMs: number
  endMs: number
}

export class Relays {
  readonly #options: MembershipOptions
  readonly #ping: (target: MemberId, sequence: number) => void
  readonly #say: (asked: Asked, verdict: Verdict) => void
  /** At most `relaysMax`. */
  readonly #relays = new Map<number, Relay>()
  /** Odd; those of own probes are even. */
  #sequence = 1

  constructor(
    options: MembershipOptions,
    ping: (target: MemberId, sequence: number) => void,
    say: (asked: Asked, verdict: Verdict) => void,
  ) {
    this.#options = options
    this.#ping = ping
    this.#say = say
  }

  /** When something is due next. */
  get dueMs(): number {
    let due = Infinity
    for (const relay of this.#relays.values()) due = Math.min(due, relay.nackMs, relay.endMs)
    return due
  }

  start(asked: Asked, nowMs: number): void {
    if (this.#relays.size >= this.#options.relaysMax) return this.#say(asked, 'unreachable')
    const { probeIntervalMs, probeTimeoutMs } = this.#options
    // Early enough to arrive before the asker's period ends (Lifeguard: at 80 % of the timeout).
    const nackMs = nowMs + 0.8 * Math.min(probeTimeoutMs, probeIntervalMs - probeTimeoutMs)
    const sequence = (this.#sequence += 2)
    this.#relays.set(sequence, { ...asked, sequence, nackMs, endMs: nowMs + probeIntervalMs })
    this.#ping(asked.target, sequence)
  }

  acked(from: MemberId, sequence: number): void {
    const relay = this.#relays.get(sequence)
    if (relay?.target === from) this.#end(relay, 'alive')
  }

  /** The target's address refuses: nobody needs to wait any longer. */
  refused(target: MemberId): void {
    for (const relay of this.#relays.values()) if (relay.target === target) this.#end(relay, 'refused')
  }

  advance(nowMs: number): void {
    for (const relay of this.#relays.values()) {
      if (relay.nackMs <= nowMs) {
        relay.nackMs = Infinity
        this.#say(relay, 'unreachable')
      }
      if (relay.endMs <= nowMs) this.#relays.delete(relay.sequence)
    }
  }

  /** This process slept: what it missed meanwhile does not count against others. */
  putOff(lagMs: number): void {
    for (const relay of this.#relays.values()) {
      relay.nackMs += lagMs
      relay.endMs += lagMs
    }
  }

  #end(relay: Relay, verdict: Verdict): void {
    this.#relays.delete(relay.sequence)
    this.#say(relay, verdict)
  }
}
