/**
 * Whether a balancer may send work here: not before everything that was asked of this peer is open, and no more from the
 * moment at which it is to go. After a start only once every partition has as many copies as there can be: so a
 * rolling restart that waits for readiness never takes two copies of anything away.
 *
 * A lease that lapsed a moment ago is no reason: while a leader is elected all peers are without one, requests wait and
 * are answered, and a balancer that finds nobody ready has nowhere to send them.
 */
import type { Grid } from '../../grid/handles.ts'

export interface Readiness {
  readonly ready: boolean
  /** A sentence when it is not. */
  readonly reason: string
}

/** As long as a request may wait for an election. */
export const lapseGraceMs = 1_500

export class ReadinessProbe {
  readonly #grid: Grid
  readonly #isServing: () => boolean
  readonly #stop: () => void
  #wasSafe = false
  #isClosing = false

  constructor(grid: Grid, isServing: () => boolean) {
    this.#grid = grid
    this.#isServing = isServing
    // Under a fresh id it comes back empty.
    this.#stop = grid.on('restarted', () => (this.#wasSafe = false))
  }

  state(): Readiness {
    if (this.#isClosing) return { ready: false, reason: 'leaving' }
    const { isReady, reason, lapsedMs, partitions } = this.#grid.status()
    const isBetween = this.#wasSafe && lapsedMs > 0 && lapsedMs < lapseGraceMs
    if (!isReady && !isBetween) return { ready: false, reason }
    if (!this.#isServing())
      return { ready: false, reason: 'starting: what the last stop left is loaded, flows are opened' }
    const { copies, copiesWanted, waiting } = partitions
    if (!this.#wasSafe && (copies < copiesWanted || waiting > 0))
      return { ready: false, reason: `${copies} of ${copiesWanted} copies of each partition since the start` }
    this.#wasSafe = true
    return { ready: true, reason: '' }
  }

  close(): void {
    this.#isClosing = true
    this.#stop()
  }
}
