/**
 * The book of outstanding probes (SWIM, section 3.1): direct first, then through neighbours; failed when the period
 * ends. What is sent and concluded is decided in membership.ts.
 */
import type { MemberId } from '../base/ids.ts'
import type { Verdict } from './messages.ts'

export interface Probe {
  readonly sequence: number
  readonly target: MemberId
  readonly startedMs: number
  /** When neighbours are asked; Infinity once they are. */
  askMs: number
  /** startedMs < endMs. */
  endMs: number
  /** Neighbours asked and what each has said so far. */
  readonly verdicts: Map<MemberId, Verdict | undefined>
}

export class Probes {
  /** At most one a target, so bounded by the roster. */
  readonly #bySequence = new Map<number, Probe>()
  readonly #byTarget = new Map<MemberId, Probe>()
  /** Even; those of relays are odd, and 0 asks for no answer. */
  #sequence = 0

  /** When something is due next. */
  get dueMs(): number {
    let due = Infinity
    for (const probe of this.#bySequence.values()) due = Math.min(due, probe.askMs, probe.endMs)
    return due
  }

  of(target: MemberId): Probe | undefined {
    return this.#byTarget.get(target)
  }

  get(sequence: number): Probe | undefined {
    return this.#bySequence.get(sequence)
  }

  all(): readonly Probe[] {
    return [...this.#bySequence.values()]
  }

  start(target: MemberId, nowMs: number, askMs: number, endMs: number): Probe {
    const probe: Probe = {
      sequence: (this.#sequence += 2),
      target,
      startedMs: nowMs,
      askMs,
      endMs,
      verdicts: new Map(),
    }
    this.#bySequence.set(probe.sequence, probe)
    this.#byTarget.set(target, probe)
    return probe
  }

  end(probe: Probe): void {
    this.#bySequence.delete(probe.sequence)
    this.#byTarget.delete(probe.target)
  }

  /** This process slept: what it missed meanwhile does not count against others. */
  putOff(lagMs: number): void {
    for (const probe of this.#bySequence.values()) {
      probe.askMs += lagMs
      probe.endMs += lagMs
    }
  }
}
