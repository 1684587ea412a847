/** Majorities, and which configuration may follow which. One voter at a time (thesis, section 4.1): no joint phase. */
import type { MemberId } from '../base/ids.ts'
import type { RaftConfig } from './messages.ts'

export const emptyConfig: RaftConfig = { voters: [], learners: [] }

/** The largest value that a majority of the voters has reached; 0 without voters. */
export function majorityValue(voters: readonly MemberId[], valueOf: (voter: MemberId) => number): number {
  let largest = voters.length === 0 ? 0 : -Infinity
  for (const voter of voters) {
    const value = valueOf(voter)
    let count = 0
    for (const other of voters) if (valueOf(other) >= value) count++
    if (count * 2 > voters.length && value > largest) largest = value
  }
  return largest
}

/** More than half of the voters; never without voters. */
export function isMajority(config: RaftConfig, holds: (voter: MemberId) => boolean): boolean {
  let count = 0
  for (const voter of config.voters) if (holds(voter)) count++
  return count * 2 > config.voters.length
}

/** What forbids `after` as the next configuration, or undefined: two majorities of neighbours must overlap. */
export function configProblem(before: RaftConfig, after: RaftConfig): string | undefined {
  const all = new Set([...after.voters, ...after.learners])
  if (all.size !== after.voters.length + after.learners.length) return 'a member is named twice'
  if (after.voters.length === 0) return 'no voter is left'
  const added = after.voters.filter(voter => !before.voters.includes(voter))
  const removed = before.voters.filter(voter => !after.voters.includes(voter))
  if (added.length + removed.length > 1) return 'more than one voter changes'
  if (added.some(voter => !before.learners.includes(voter))) return 'a voter must be learner first'
  return undefined
}
