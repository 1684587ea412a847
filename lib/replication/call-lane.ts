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
  readonly #open = new Set<number>()

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
    this.#open.add(this.#next)
    return this.#next++
  }

  /** The call is answered or given up; its sequence is never used again. Idempotent. */
  release(sequence: number): void {
    this.#open.delete(sequence)
    while (this.#mark < this.#next && !this.#open.has(this.#mark)) this.#mark++
  }
}
