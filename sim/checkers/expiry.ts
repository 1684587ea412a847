/**
 * Entries with a time to live: never gone much before it is over, never there much after, and never back once gone. Time
 * is the owners' hybrid logical clock, so true time bounds it only up to what the machines' wall clocks differ by.
 */
export interface Lived {
  readonly key: string
  readonly ttlMs: number
  /** True times of the call and the return of its one put; Infinity: outcome unknown. */
  readonly putCalledMs: number
  readonly putReturnedMs: number
  readonly reads: readonly LivedRead[]
}

export interface LivedRead {
  readonly calledMs: number
  readonly returnedMs: number
  readonly isThere: boolean
  /** How far the wall clocks can have parted by then. */
  readonly slackMs: number
}

/** What can't be, in words. */
export function expiryViolations({ key, ttlMs, putCalledMs, putReturnedMs, reads }: Lived): string[] {
  const violations: string[] = []
  const earliestAbsence = reads.filter(read => !read.isThere && read.calledMs > putReturnedMs)
  for (const read of reads) {
    const ageMinMs = read.calledMs - putReturnedMs
    const ageMaxMs = read.returnedMs - putCalledMs
    if (!read.isThere && ageMinMs > 0 && ageMaxMs < ttlMs - read.slackMs)
      violations.push(`${key} was gone at most ${Math.round(ageMaxMs)} ms after it was put for ${ttlMs} ms`)
    if (read.isThere && ageMinMs > ttlMs + read.slackMs)
      violations.push(`${key} was there at least ${Math.round(ageMinMs)} ms after it was put for ${ttlMs} ms`)
    if (read.isThere && earliestAbsence.some(({ returnedMs }) => returnedMs < read.calledMs))
      violations.push(`${key} was back after it had been gone`)
  }
  return violations
}
