/** What a person can mend is told in one line; anything else is a bug and ends the process as such. */
import { InvalidError, SkeinError } from '../lib/base/errors.ts'
import { VerbError } from './admin.ts'

/** Prints the reason; returns the exit code: 2 wrong usage, 1 failed. Throws what is no error of ours. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof VerbError || error instanceof SkeinError)) throw error
  process.stderr.write(`${error.message}\n`)
  return error instanceof InvalidError ? 2 : 1
}
