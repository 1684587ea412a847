/**
 * Sequence numbers of one session's calls to one partition, and the mark below which all are answered (RIFL, Lee et al.
 * 2015, section 3.2). A call that was given up counts as answered: once the mark has passed it, a late copy of it is
 * never applied, because the partition refuses what is below the mark.
 */
import { assert } from '../base/assert.ts'
import type { SessionId } from '../base/ids.ts'
import { openCallsMax } from './sessions.ts'

export class CallLane {
  readonly session: SessionId
  #next = 1
  /** Every sequence below is answered; mark <= next, and next - mark <= openCallsMax. */
  #mark = 1
  /** 1 where a sequence of the window is open, by sequence modulo its width. */
  readonly #open = new Uint8Array(openCallsMax)

  constructor(session: SessionId) {
    this.session = session
  }

  get mark(): number {
    return this.#mark
  }

  /** Sequences that may be taken now. */
  get roomCount(): number {
    return openCallsMax - (this.#next - this.#mark)
  }

  /** The next sequence: 1, 2, 3 ... Only while there is room. */
  take(): number {
    assert(this.roomCount > 0, 'the window has room')
    this.#open[this.#next % openCallsMax] = 1
    return this.#next++
  }

  /** The call is answered or given up; its sequence is never used again. Idempotent. */
  release(sequence: number): void {
    if (sequence < this.#mark || sequence >= this.#next) return
    this.#open[sequence % openCallsMax] = 0
    while (this.#mark < this.#next && this.#open[this.#mark % openCallsMax] === 0) this.#mark++
  }
}
