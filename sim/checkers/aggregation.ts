/** Groups of an aggregator: each is released once, and whole; none that was completed by acknowledged pieces stays behind. */
export interface GroupHistory {
  readonly key: string
  /** Sources whose piece was certainly taken in. */
  readonly added: readonly string[]
  /** What each release that was certainly done held, by source. */
  readonly released: readonly (readonly string[])[]
  /** Releases of unknown outcome. */
  readonly unknownCount: number
  /** Still open or waiting for release when all was over. */
  readonly isLeft: boolean
}

/** What can't be, in words. `sources` make a group complete. */
export function aggregationViolations(history: GroupHistory, sources: readonly string[]): string[] {
  const { key, added, released, unknownCount, isLeft } = history
  const problems: string[] = []
  if (released.length > 1) problems.push(`${key} was released ${released.length} times`)
  if (released.length > 0 && isLeft) problems.push(`${key} is still there though it was released`)
  for (const pieces of released) {
    if (!isWhole(pieces, sources)) problems.push(`${key} was released with ${pieces.join(', ')}`)
  }
  const isComplete = sources.every(source => added.includes(source))
  if (isComplete && released.length + unknownCount === 0 && !isLeft) problems.push(`${key} is lost`)
  return problems
}

function isWhole(pieces: readonly string[], sources: readonly string[]): boolean {
  return pieces.length === sources.length && sources.every(source => pieces.includes(source))
}
