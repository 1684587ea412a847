/** What the records that a member made durable amount to, for one that starts with them again. */
import { emptyClusterState } from './cluster-state.ts'
import { RaftLog } from './log.ts'
import type { ConsensusRecord, RaftSnapshot } from './messages.ts'
import { emptyConfig } from './raft-config.ts'

export interface Restored {
  readonly term: number
  readonly votedFor: string | undefined
  readonly log: RaftLog
  readonly snapshot: RaftSnapshot
}

export const emptySnapshot: RaftSnapshot = { index: 0, term: 0, config: emptyConfig, state: emptyClusterState }

/** Folds records in the order in which they were issued. */
export function restore(records: readonly ConsensusRecord[]): Restored {
  const log = new RaftLog()
  let term = 0
  let votedFor: string | undefined
  let snapshot = emptySnapshot
  for (const record of records) {
    switch (record.kind) {
      case 'vote':
        term = record.term
        votedFor = record.votedFor
        break
      case 'entries':
        log.merge(record.entries)
        break
      case 'snapshot':
        snapshot = record.snapshot
        if (log.termAt(snapshot.index) === snapshot.term) log.compactTo(snapshot.index)
        else log.reset(snapshot.index, snapshot.term, snapshot.config)
        break
    }
  }
  return { term, votedFor, log, snapshot }
}
