/**
 * Holds back what must not be said before it is durable. A message waits for every record that was issued before it, so
 * no answer has to name what it depends on; a leader's appends alone go out at once (thesis, section 10.2.1).
 *
 * Bounded: `heldMax` messages wait; one more is dropped, which is the same as lost on the way.
 */
import type { Persist, Send } from '../base/machine.ts'
import type { ConsensusMessage, ConsensusRecord } from './messages.ts'

export const heldMax = 1_024

interface Pending {
  readonly token: number
  /** The end of the log that becomes durable with it. */
  readonly logIndex: number
  readonly logTerm: number
  isDone: boolean
  sends: Send<ConsensusMessage>[]
}

export interface Released {
  readonly sends: readonly Send<ConsensusMessage>[]
  /** Ends of the log that are durable now, oldest first; one may have been replaced since. */
  readonly logEnds: readonly { readonly index: number; readonly term: number }[]
}

export class Durability {
  #issuedCount = 0
  #heldCount = 0
  /** Oldest first. */
  readonly #pending: Pending[] = []

  get isSettled(): boolean {
    return this.#pending.length === 0
  }

  issue(record: ConsensusRecord, logIndex: number, logTerm: number): Persist<ConsensusRecord> {
    const token = ++this.#issuedCount
    this.#pending.push({ token, logIndex, logTerm, isDone: false, sends: [] })
    return { kind: 'persist', token, record }
  }

  /** Returns false if nothing is outstanding: send it now. */
  hold(send: Send<ConsensusMessage>): boolean {
    const last = this.#pending.at(-1)
    if (last === undefined) return false
    if (this.#heldCount < heldMax) {
      this.#heldCount++
      last.sends.push(send)
    }
    return true
  }

  /** A newer term began: what was promised in older ones must not be said any more. */
  dropHeld(): void {
    for (const pending of this.#pending) pending.sends = []
    this.#heldCount = 0
  }

  complete(token: number): Released {
    const found = this.#pending.find(pending => pending.token === token)
    if (found !== undefined) found.isDone = true
    const sends: Send<ConsensusMessage>[] = []
    const logEnds: { index: number; term: number }[] = []
    for (let head = this.#pending[0]; head?.isDone === true; head = this.#pending[0]) {
      this.#pending.shift()
      sends.push(...head.sends)
      logEnds.push({ index: head.logIndex, term: head.logTerm })
    }
    this.#heldCount -= sends.length
    return { sends, logEnds }
  }
}
