/**
 * Proof of leadership by rounds of heartbeats (Raft section 8, read-only requests; thesis section 6.4): what arrived
 * before a round began is confirmed once a majority has acknowledged that round. Questions of one turn share a round,
 * and while `inFlightMax` rounds are out the next ones gather.
 */

export const inFlightMax = 2
/** Questions waiting; one more is answered no at once. */
export const confirmsMax = 4_096

export class Rounds {
  /** The newest round; 0 before the first. */
  current = 0
  // majorityRound <= current
  #majorityRound = 0
  #gathering: number[] = []
  #asked: { readonly round: number; readonly ids: readonly number[] }[] = []
  #waitingCount = 0

  /** False: too many wait. */
  ask(id: number): boolean {
    if (this.#waitingCount >= confirmsMax) return false
    this.#waitingCount++
    this.#gathering.push(id)
    return true
  }

  /** Whether somebody waits for a round that may begin now. */
  get isWanted(): boolean {
    return this.#gathering.length > 0 && this.#asked.length < inFlightMax
  }

  begin(): number {
    this.current++
    if (this.#gathering.length > 0) this.#asked.push({ round: this.current, ids: this.#gathering })
    this.#gathering = []
    return this.current
  }

  /** A majority has acknowledged `round`. */
  acknowledged(round: number): void {
    this.#majorityRound = Math.max(this.#majorityRound, round)
  }

  /** Those whose round a majority has acknowledged, oldest first. */
  takeConfirmed(): readonly number[] {
    const out: number[] = []
    for (let head = this.#asked[0]; head !== undefined && head.round <= this.#majorityRound; head = this.#asked[0]) {
      this.#asked.shift()
      out.push(...head.ids)
    }
    this.#waitingCount -= out.length
    return out
  }

  /** All that wait: leadership ended. */
  takeAll(): readonly number[] {
    const out = [...this.#asked.flatMap(({ ids }) => ids), ...this.#gathering]
    this.#asked = []
    this.#gathering = []
    this.#waitingCount = 0
    return out
  }
}
