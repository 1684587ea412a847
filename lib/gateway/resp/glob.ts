/**
 * Patterns of SCAN MATCH and CONFIG GET: `*`, `?`, `[a-c]`, `[^x]`, `\` before what is meant as it is. As
 * `stringmatchlen` of Redis 7.0 (util.c) judges them, but without its exponential cases: a star remembers one place to
 * come back to, so the cost is at most the product of the lengths.
 */

/** Both are texts of one unit a byte. */
export function isMatch(pattern: string, text: string, ignoresCase = false): boolean {
  const [wanted, given] = ignoresCase ? [pattern.toLowerCase(), text.toLowerCase()] : [pattern, text]
  let at = 0
  let from = 0
  let star = -1
  let starFrom = 0
  while (from < given.length) {
    if (wanted[at] === '*') {
      star = at++
      starFrom = from
      continue
    }
    const end = at < wanted.length ? matchOne(wanted, at, given[from] as string) : -1
    if (end >= 0) {
      at = end
      from++
    } else if (star >= 0) {
      at = star + 1
      from = ++starFrom
    } else return false
  }
  while (wanted[at] === '*') at++
  return at >= wanted.length
}

/** Where the pattern goes on if its part at `at` matches the character; else -1. */
function matchOne(pattern: string, at: number, char: string): number {
  switch (pattern[at]) {
    case '?':
      return at + 1
    case '[':
      return matchClass(pattern, at + 1, char)
    case '\\':
      if (at + 1 < pattern.length) return pattern[at + 1] === char ? at + 2 : -1
      return char === '\\' ? at + 1 : -1
    default:
      return pattern[at] === char ? at + 1 : -1
  }
}

/** A class that is not closed ends with the pattern. */
function matchClass(pattern: string, from: number, char: string): number {
  const isNegated = pattern[from] === '^'
  let at = isNegated ? from + 1 : from
  let isIn = false
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) {
      at++
      isIn ||= pattern[at] === char
    } else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const [low, high] = [pattern[at] as string, pattern[at + 2] as string].sort() as [string, string]
      isIn ||= char >= low && char <= high
      at += 2
    } else isIn ||= pattern[at] === char
  }
  return isIn === isNegated ? -1 : Math.min(at + 1, pattern.length)
}
