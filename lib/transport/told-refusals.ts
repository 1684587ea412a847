/** Which refusals were told already: a far end that tries again and again is spoken of once. At `max` it starts afresh. */
import type { Refusal } from './network.ts'

export class ToldRefusals {
  readonly #max: number
  readonly #told = new Map<string, Set<Refusal['code']>>()

  constructor(max: number) {
    this.#max = max
  }

  /** True the first time for this peer and code. */
  isNew(peer: string, code: Refusal['code']): boolean {
    const codes = this.#told.get(peer)
    if (codes?.has(code) === true) return false
    if (codes !== undefined) codes.add(code)
    else {
      if (this.#told.size >= this.#max) this.#told.clear()
      this.#told.set(peer, new Set([code]))
    }
    return true
  }

  /** It was admitted: a refusal after that is news again. */
  forget(peer: string): void {
    this.#told.delete(peer)
  }
}
