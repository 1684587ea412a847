/**
 * The memory budget of one member: what its data, logs and transfers may take. At 80 % sources pause, at 90 % writes
 * that grow are refused; reads, acknowledgements, deletes and failover go on.
 */

import type { MemoryUse } from '../placement/room.ts'

/** Also what the grid tells: see `Pressure` in grid/handles.ts. */
export type BudgetState = 'normal' | 'high' | 'full'

export const highRatio = 0.8
export const fullRatio = 0.9
/** Up to here copies are made. */
const copyRatio = 0.95

export class Budget {
  readonly bytesMax: number
  readonly #used: () => number

  /** `used`: bytes taken now. */
  constructor(bytesMax: number, used: () => number) {
    this.bytesMax = bytesMax
    this.#used = used
  }

  get state(): BudgetState {
    const ratio = this.#used() / this.bytesMax
    if (ratio >= fullRatio) return 'full'
    return ratio >= highRatio ? 'high' : 'normal'
  }

  isFull(): boolean {
    return this.#used() >= fullRatio * this.bytesMax
  }

  /** Bytes taken, and bytes left for copies: above what is refused, or a full member could not be copied to its like. */
  use(): MemoryUse {
    const usedBytes = Math.max(Math.ceil(this.#used()), 0)
    return { usedBytes, roomBytes: Math.max(Math.floor(copyRatio * this.bytesMax) - usedBytes, 0) }
  }
}
