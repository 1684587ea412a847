/** A promise until a moment of this process's own clock, void at once if the machine may have been suspended meanwhile. */
import type { Instant } from './instant.ts'

export interface Lease {
  /** Held while the monotonic clock is before this; -Infinity: not held. */
  readonly untilMonotonicMs: number
  /** Wall clock minus monotonic clock when it was asked for, and how far they may part; undefined: not watched. A suspended machine's monotonic clock stands still. */
  readonly wall?: { readonly offsetMs: number; readonly leapMaxMs: number } | undefined
}

export const noLease: Lease = { untilMonotonicMs: -Infinity }

/** Whether it may still be relied on at this very moment. */
export function isHeld({ untilMonotonicMs, wall }: Lease, { monotonicMs, wallMs }: Instant): boolean {
  if (monotonicMs >= untilMonotonicMs) return false
  return wall === undefined || Math.abs(wallMs - monotonicMs - wall.offsetMs) <= wall.leapMaxMs
}
