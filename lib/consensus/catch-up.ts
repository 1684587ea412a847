/**
 * How a candidate with an old log gets what its voters have, without a leader. One `pull` asks what
 * follows an entry; the answer is that, or where the two logs may meet. Does not reach behind compaction.
 *
 * Decision: a candidate whose log is older than a voter's fetches the difference from that voter (`pull`), because with
 * partial connections the only member that reaches a majority may be one that missed the last entries (the
 * constrained-election scenario of OmniPaxos, Ng et al. 2023), and Raft alone would wait for ever. It is safe: a log
 * that ends newer holds every committed entry that the older one holds (leader completeness and log matching), what it
 * replaces was never committed, and nothing fetched is acknowledged to any leader.
 */
import type { Ledger } from './ledger.ts'
import type { RaftLog } from './log.ts'
import type { Append, Pull, Pulled } from './messages.ts'

export function pullAfterEnd(log: RaftLog, term: number): Pull {
  return { kind: 'pull', term, index: log.lastIndex, indexTerm: log.lastTerm }
}

/** Undefined if there is nothing after it, or it is compacted. */
export function answerPull(
  log: RaftLog,
  { index, indexTerm }: Pull,
  term: number,
  entriesMax: number,
): Pulled | undefined {
  if (index < log.baseIndex) return undefined
  const { lastIndex, lastTerm } = log
  const end = { kind: 'pulled', term, lastIndex, lastTerm } as const
  if (log.termAt(index) === indexTerm) {
    const entries = log.after(index, entriesMax)
    return entries.length === 0 ? undefined : { ...end, prevIndex: index, prevTerm: indexTerm, entries }
  }
  const meeting = log.meetingPoint(index, indexTerm)
  if (meeting.term > indexTerm) return undefined
  return { ...end, prevIndex: meeting.index, prevTerm: meeting.term, entries: [] }
}

/**
 * Takes what came in and returns what to ask next; undefined if there is nothing to ask. Each question is either further
 * back than the one before or, once the logs have met, further on, so that the exchange ends.
 */
export function takePulled(ledger: Ledger, answer: Pulled, term: number): Pull | undefined {
  const { log } = ledger
  const { prevIndex, prevTerm, entries } = answer
  const isMet = ledger.splice(prevIndex, prevTerm, entries) !== undefined
  if (isMet && log.compareEnd(answer) <= 0) return undefined
  const from = isMet ? prevIndex + entries.length : log.meetingPoint(prevIndex, prevTerm).index
  const indexTerm = log.termAt(from)
  return indexTerm === undefined ? undefined : { kind: 'pull', term, index: from, indexTerm }
}

/** Entries follow one another and are no newer than the term that brings them. */
export function isSound({ term, prevIndex, prevTerm, entries }: Append | Pulled): boolean {
  let [index, before] = [prevIndex, prevTerm]
  for (const entry of entries) {
    if (entry.index !== ++index || entry.term < before || entry.term > term) return false
    before = entry.term
  }
  return before <= term
}
