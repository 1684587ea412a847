/** What a step throws to say how to go on. */
import { FailedError } from '../base/errors.ts'
import type { Issue } from './schema.ts'

/** Trying again is of no use: the message goes to the dead letters with this as the reason. */
export class TerminalError extends FailedError {
  readonly code = 'TERMINAL'
  readonly retryable = false
}

/** A deployment that would leave messages or groups that no live peer can go on with. */
export class OrphansError extends FailedError {
  readonly code = 'ORPHANS'
  readonly retryable = false
  /** By place, e.g. { 'deliveries@3f9c/store': 214 }. */
  readonly counts: Readonly<Record<string, number>>

  constructor(message: string, counts: Readonly<Record<string, number>>) {
    super(message)
    this.counts = counts
  }
}

/** For logs and dead letters: one line, bounded. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return text.replace(/\s+/g, ' ').slice(0, reasonLengthMax)
}

const reasonLengthMax = 500

/** A body that its source's schema does not take. */
export class InvalidMessageError extends FailedError {
  readonly code = 'INVALID'
  readonly retryable = false
  readonly issues: readonly Issue[]

  constructor(message: string, issues: readonly Issue[]) {
    super(message)
    this.issues = issues
  }
}
