/** A closed loop: so many operations in flight, each followed by the next, for a while. */

export interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Operations that ended in an error; said, and not counted otherwise. */
  readonly failedCount: number
}

/** Delays kept; of more, every so manieth would do, but a row is short. */
const delaysMax = 2_000_000

/** `one` does one piece of work and answers how many operations that was. */
export async function closedLoop(
  inFlight: number,
  forMs: number,
  one: (at: number) => Promise<number>,
): Promise<Measured> {
  const delays: number[] = []
  const startMs = performance.now()
  const endMs = startMs + forMs
  let count = 0
  let failedCount = 0
  let at = 0
  const slot = async (): Promise<void> => {
    for (let beganMs = performance.now(); beganMs < endMs;) {
      const done = await one(at++).catch(() => {
        failedCount++
        return 0
      })
      const nowMs = performance.now()
      if (nowMs < endMs) count += done
      if (delays.length < delaysMax) delays.push(nowMs - beganMs)
      beganMs = nowMs
    }
  }
  await Promise.all(Array.from({ length: inFlight }, slot))
  return summary(count, forMs, delays, failedCount)
}

export function summary(count: number, elapsedMs: number, delays: number[], failedCount = 0): Measured {
  const sorted = Float64Array.from(delays).sort()
  const at = (ratio: number): number => sorted[Math.floor(sorted.length * ratio)] ?? 0
  return { perSecond: (count / elapsedMs) * 1_000, p50Ms: at(0.5), p99Ms: at(0.99), failedCount }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

export function medianOf(rounds: readonly Measured[]): Measured {
  return {
    perSecond: median(rounds.map(round => round.perSecond)),
    p50Ms: median(rounds.map(round => round.p50Ms)),
    p99Ms: median(rounds.map(round => round.p99Ms)),
    failedCount: rounds.reduce((sum, round) => sum + round.failedCount, 0),
  }
}
