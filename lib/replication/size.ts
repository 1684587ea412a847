/** What replication keeps beside the structures counts, by the formulas of `base/bytes.ts`. */
import { plainBytes } from '../base/bytes.ts'
import type { LogEntry, Outcome } from './command.ts'

/** Bytes of one entry as it lies in a log: 96, and its command. */
export function sizeOfEntry(entry: LogEntry): number {
  return 96 + plainBytes(entry.command)
}

/** Bytes of a recorded outcome: 32 and its values. */
export function outcomeBytes(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'done':
      return 32 + plainBytes(outcome.results)
    case 'refused':
      return 32 + plainBytes(outcome.message) + plainBytes(outcome.detail)
    case 'indeterminate':
      return 32 + plainBytes(outcome.message)
    case 'retry':
      return 32
  }
}
