/**
 * Lifeguard's local health multiplier (section IV-A): a member whose probes fail, whose helpers stay mute or who is
 * itself suspected doubts itself first and probes more slowly. 0 is healthy.
 */
export class LocalHealth {
  readonly #max: number
  /** 0 <= score <= max. */
  #score = 0

  constructor(max: number) {
    this.#max = max
  }

  get score(): number {
    return this.#score
  }

  /** What probe interval and timeout are multiplied by: 1 .. max + 1. */
  get factor(): number {
    return this.#score + 1
  }

  worsen(by: number = 1): void {
    this.#score = Math.min(this.#max, this.#score + by)
  }

  improve(): void {
    this.#score = Math.max(0, this.#score - 1)
  }
}
