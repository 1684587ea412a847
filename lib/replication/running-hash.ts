/** The running hash of a partition's applied state: what owner and copies compare to find out that they differ. */
import { hashNumber, hashText, hashValue } from '../base/hash.ts'
import type { LogEntry, Outcome } from './command.ts'

/** The hash after an entry, from the one before it, what came of it, and the bytes that the state has then. */
export function foldHash(seed: number, entry: LogEntry, outcome: Outcome | undefined, bytes: number): number {
  const hash = hashText(entry.command.kind, hashNumber(entry.index, hashNumber(entry.epoch, seed)))
  return hashNumber(bytes, outcome === undefined ? hash : foldOutcome(hash, outcome))
}

function foldOutcome(seed: number, outcome: Outcome): number {
  const hash = hashText(outcome.kind, seed)
  switch (outcome.kind) {
    case 'done':
      return hashValue(outcome.results, hash)
    case 'refused':
      return hashValue(outcome.detail, hashNumber(outcome.operation, hashText(outcome.code, hash)))
    case 'retry':
      return hashText(outcome.reason, hash)
    case 'indeterminate':
      return hash
  }
}
