/**
 * What one member has: its log, what of it is durable, what is committed, and the state that amounts to. Knows nothing of
 * roles, votes or terms but those in entries. Applied is all that is committed, always.
 *
 * Bounded: once more than `logLengthMax` applied entries are held the older half is dropped; the state stands for them.
 */
import { assert } from '../base/assert.ts'
import type { MemberId } from '../base/ids.ts'
import type { Emit, Persist, Send } from '../base/machine.ts'
import { applyClusterCommand, type ClusterCommand, type ClusterState } from './cluster-state.ts'
import { Durability } from './durability.ts'
import type { Applied } from './interface.ts'
import type { RaftLog } from './log.ts'
import type {
  Append,
  Appended,
  ConsensusMessage,
  ConsensusRecord,
  RaftEntry,
  RaftSnapshot,
  SnapshotPart,
} from './messages.ts'
import { restore } from './restore.ts'
import { IncomingSnapshot } from './snapshot.ts'

type InstallEffect = Persist<ConsensusRecord> | Applied | Emit

export class Ledger {
  readonly log: RaftLog
  readonly #durability = new Durability()
  readonly #logLengthMax: number
  readonly #incoming = new IncomingSnapshot()
  // commitIndex <= log.lastIndex; durableIndex <= log.lastIndex
  #commitIndex: number
  #commitTerm: number
  #durableIndex: number
  /** The end of what was handed to `persist`. */
  #issuedIndex: number
  #state: ClusterState

  constructor(logLengthMax: number, records: readonly ConsensusRecord[]) {
    const { log, snapshot } = restore(records)
    this.log = log
    this.#logLengthMax = logLengthMax
    this.#state = snapshot.state
    this.#commitIndex = snapshot.index
    this.#commitTerm = snapshot.term
    this.#issuedIndex = this.#durableIndex = log.lastIndex
  }

  get state(): ClusterState {
    return this.#state
  }

  get commitIndex(): number {
    return this.#commitIndex
  }

  get durableIndex(): number {
    return this.#durableIndex
  }

  /** Whether all that was handed to `persist` is durable. */
  get isSettled(): boolean {
    return this.#durability.isSettled
  }

  snapshot(): RaftSnapshot {
    const config = this.log.configAt(this.#commitIndex)
    return { index: this.#commitIndex, term: this.#commitTerm, config, state: this.#state }
  }

  persistVote(term: number, votedFor: string | undefined): Persist<ConsensusRecord> {
    return this.#issue({ kind: 'vote', term, votedFor })
  }

  /** What was appended since the last time; undefined if nothing was. */
  persistTail(): Persist<ConsensusRecord> | undefined {
    if (this.#issuedIndex >= this.log.lastIndex) return undefined
    const entries = this.log.after(this.#issuedIndex, this.log.lastIndex - this.#issuedIndex)
    this.#issuedIndex = this.log.lastIndex
    return this.#issue({ kind: 'entries', entries })
  }

  /** Returns false if the message depends on nothing outstanding. */
  hold(send: Send<ConsensusMessage>): boolean {
    return this.#durability.hold(send)
  }

  dropHeld(): void {
    this.#durability.dropHeld()
  }

  persisted(token: number): readonly Send<ConsensusMessage>[] {
    const { sends, logEnds } = this.#durability.complete(token)
    for (const { index, term } of logEnds)
      if (index <= this.log.baseIndex || this.log.termAt(index) === term)
        this.#durableIndex = Math.max(this.#durableIndex, Math.min(index, this.log.lastIndex))
    return sends
  }

  /**
   * Takes entries that follow (prevIndex, prevTerm) in another log. Returns the index up to which both are equal now, or
   * undefined if they are not equal there. What is committed here is equal in every log this may be called with, but
   * perhaps where a person forced a recovery (recovery.ts): such a log is not taken.
   */
  splice(prevIndex: number, prevTerm: number, entries: readonly RaftEntry[]): number | undefined {
    if (prevIndex >= this.#commitIndex && this.log.termAt(prevIndex) !== prevTerm) return undefined
    const known = entries.find(({ index }) => index === this.#commitIndex)
    if (known !== undefined && known.term !== this.log.termAt(known.index)) return undefined
    const fresh = this.log.merge(entries.filter(entry => entry.index > this.#commitIndex))
    const [first] = fresh
    if (first !== undefined) {
      this.#issuedIndex = first.index - 1
      this.#durableIndex = Math.min(this.#durableIndex, first.index - 1)
    }
    return Math.max(this.#commitIndex, prevIndex + entries.length)
  }

  /** Takes a leader's entries (section 5.3). The answer says how far the logs are equal, or where they may meet. */
  append(message: Append): Appended {
    const { term, round, prevIndex, prevTerm, entries } = message
    const index = this.splice(prevIndex, prevTerm, entries)
    if (index === undefined) return refuse(message, term, this.log.meetingPoint(prevIndex, prevTerm))
    return { kind: 'appended', term, round, index, isAccepted: true, hintIndex: 0, hintTerm: 0 }
  }

  /** Folds what is committed now. Undefined if that is nothing new. */
  commit(index: number): Applied | undefined {
    if (index <= this.#commitIndex) return undefined
    assert(index <= this.log.lastIndex, 'what is committed is in the log')
    const commands: ClusterCommand[] = []
    let state = this.#state
    for (let at = this.#commitIndex + 1; at <= index; at++) {
      const command = this.log.entryAt(at)?.command
      if (command === undefined) continue
      commands.push(command)
      state = applyClusterCommand(state, command)
    }
    this.#state = state
    this.#commitIndex = index
    this.#commitTerm = this.log.termAt(index) ?? 0
    return { kind: 'applied', state, index, commands }
  }

  /** Drops the older half of too long a log. */
  compact(): Persist<ConsensusRecord> | undefined {
    if (this.#commitIndex - this.log.baseIndex <= this.#logLengthMax) return undefined
    this.log.compactTo(this.#commitIndex - (this.#logLengthMax >> 1))
    return this.#issue({ kind: 'snapshot', snapshot: this.snapshot() })
  }

  /** Takes one part of a leader's snapshot. Returns the next one missing. */
  takePart(from: MemberId, part: SnapshotPart): { readonly next: number; readonly effects: readonly InstallEffect[] } {
    if (part.index <= this.#commitIndex) return { next: part.partCount, effects: [] }
    const { next, snapshot } = this.#incoming.take(from, part)
    return { next, effects: snapshot === undefined ? [] : this.#install(snapshot) }
  }

  /** Takes a snapshot over; entries beyond it that agree with it stay. */
  #install(snapshot: RaftSnapshot): readonly InstallEffect[] {
    const { state, index, term, config } = snapshot
    if (this.log.termAt(index) !== term) {
      this.log.reset(index, term, config)
      this.#issuedIndex = this.#durableIndex = index
    }
    this.#state = state
    this.#commitIndex = index
    this.#commitTerm = term
    return [
      this.#issue({ kind: 'snapshot', snapshot }),
      { kind: 'applied', state, index, commands: [] },
      { kind: 'emit', level: 'info', event: 'consensus.snapshot-installed', fields: { index, term } },
    ]
  }

  #issue(record: ConsensusRecord): Persist<ConsensusRecord> {
    return this.#durability.issue(record, this.#issuedIndex, this.log.termAt(this.#issuedIndex) ?? 0)
  }
}

/** The answer to an append that does not fit, or is too old to be looked at. */
export function refuse(
  { round, prevIndex }: Append,
  term: number,
  meeting: { readonly index: number; readonly term: number },
): Appended {
  const { index: hintIndex, term: hintTerm } = meeting
  return { kind: 'appended', term, round, index: prevIndex, isAccepted: false, hintIndex, hintTerm }
}
