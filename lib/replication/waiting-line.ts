/**
 * Requests that came a little early: the partition is not open yet, or this member does not know yet that it owns it.
 * Bounded in length and time; what overstays is sent back, which is safe because nothing here has been logged.
 */
import type { MemberId } from '../base/ids.ts'
import type { ReplicationMessage } from './messages.ts'

export type CallerMessage = Extract<ReplicationMessage, { readonly kind: 'request' | 'query' }>

interface Waiting {
  readonly from: MemberId
  readonly message: CallerMessage
  readonly untilMs: number
}

export class WaitingLine {
  #waiting: Waiting[] = []

  get length(): number {
    return this.#waiting.length
  }

  add(from: MemberId, message: CallerMessage, untilMs: number): void {
    this.#waiting.push({ from, message, untilMs })
  }

  /** Everybody, in the order in which they came. */
  takeAll(): readonly Waiting[] {
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  takeOverdue(nowMs: number): readonly Waiting[] {
    const count = this.#waiting.findIndex(waiting => waiting.untilMs > nowMs)
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
  }
}
