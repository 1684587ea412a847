/** Accounts whose total never changes: each read of all of them at one moment sums up to it. */
export interface BankRead {
  readonly calledAt: number
  readonly balances: readonly number[]
}

/** What can't be, in words; undefined if all can. */
export function bankViolation(reads: readonly BankRead[], total: number): string | undefined {
  for (const { balances } of reads) {
    const sum = balances.reduce((a, b) => a + b, 0)
    if (sum !== total) return `balances ${balances.join(' ')} sum up to ${sum}, not ${total}`
  }
  return undefined
}
