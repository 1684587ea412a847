/**
 * What a leader knows of one other member's log (section 5.3; the three modes are etcd's, tracker/progress.go).
 * probe: where the logs meet is not known; one append at a time. replicate: appends are sent ahead of their answers, up
 * to a window. snapshot: entries it needs are compacted; a snapshot is on its way.
 */
import type { RaftLog } from './log.ts'
import type { Append, Appended } from './messages.ts'
import type { OutgoingSnapshot } from './snapshot.ts'

export class Progress {
  mode: 'probe' | 'replicate' | 'snapshot' = 'probe'
  // matchIndex < nextIndex
  /** Known to be equal and durable there up to here. */
  matchIndex = 0
  nextIndex: number
  /** When it last answered in this term. */
  heardAtMs: number
  /** The newest round that it acknowledged. */
  ackedRound = 0
  sentCommitIndex = 0
  outgoing: OutgoingSnapshot | undefined
  #isProbed = false

  constructor(nextIndex: number, nowMs: number) {
    this.nextIndex = nextIndex
    this.heardAtMs = nowMs
  }

  /** Something may be lost: find out where it stands. */
  probe(): void {
    this.mode = 'probe'
    this.outgoing = undefined
    this.nextIndex = this.matchIndex + 1
    this.#isProbed = false
  }

  isNews(log: RaftLog, commitIndex: number, windowEntriesMax: number): boolean {
    if (this.mode === 'snapshot') return false
    if (this.mode === 'probe') return !this.#isProbed
    const mayEntries = this.nextIndex <= log.lastIndex && this.nextIndex - this.matchIndex <= windowEntriesMax
    return mayEntries || (this.sentCommitIndex < commitIndex && this.sentCommitIndex < this.matchIndex)
  }

  /** Entries that may go into the next append. */
  #room(entriesMax: number, windowEntriesMax: number): number {
    if (this.mode === 'probe') return this.#isProbed ? 0 : entriesMax
    return this.mode === 'replicate' && this.nextIndex - this.matchIndex <= windowEntriesMax ? entriesMax : 0
  }

  /** The next append; entries are taken to have arrived until refused. Undefined if what it needs is compacted. */
  append(
    log: RaftLog,
    header: Pick<Append, 'term' | 'round' | 'commitIndex'>,
    limits: { readonly entriesPerAppendMax: number; readonly windowEntriesMax: number },
  ): Append | undefined {
    const prevIndex = this.mode === 'snapshot' ? log.lastIndex : this.nextIndex - 1
    const prevTerm = log.termAt(prevIndex)
    if (prevTerm === undefined) return undefined
    const room = this.#room(limits.entriesPerAppendMax, limits.windowEntriesMax)
    const entries = room > 0 ? log.after(prevIndex, room) : []
    if (this.mode === 'replicate') this.nextIndex += entries.length
    this.#isProbed = true
    this.sentCommitIndex = header.commitIndex
    return { kind: 'append', ...header, prevIndex, prevTerm, entries }
  }

  accepted(index: number): void {
    this.matchIndex = Math.max(this.matchIndex, index)
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1)
    if (this.mode === 'snapshot' && index < (this.outgoing?.snapshot.index ?? 0)) return
    this.mode = 'replicate'
    this.outgoing = undefined
  }

  /** Backs off to where the logs may meet. A late refusal of what was accepted since changes nothing. */
  refused(answer: Appended, log: RaftLog): void {
    if (this.mode === 'snapshot' || answer.index <= this.matchIndex) return
    if (this.mode === 'probe' && answer.index !== this.nextIndex - 1) return
    this.mode = 'probe'
    const { index } = log.meetingPoint(Math.min(answer.hintIndex, answer.index - 1), answer.hintTerm)
    this.nextIndex = Math.max(this.matchIndex, Math.min(index, answer.index - 1)) + 1
    this.#isProbed = false
  }
}
