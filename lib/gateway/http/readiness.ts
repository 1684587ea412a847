/**
 * Whether a balancer may send work here. After a start only once every partition has as many copies as there can be: so a
 * rolling restart that waits for readiness never takes two copies of anything away.
 */
import type { Grid } from '../../grid/handles.ts'

export interface Readiness {
  readonly ready: boolean
  /** A sentence when it is not. */
  readonly reason: string
}

export class ReadinessProbe {
  readonly #grid: Grid
  readonly #stop: () => void
  #wasSafe = false
  #isClosing = false

  constructor(grid: Grid) {
    this.#grid = grid
    // Under a fresh id it comes back empty.
    this.#stop = grid.on('restarted', () => (this.#wasSafe = false))
  }

  state(): Readiness {
    if (this.#isClosing) return { ready: false, reason: 'leaving' }
    const { isReady, reason, partitions } = this.#grid.status()
    if (!isReady) return { ready: false, reason }
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
