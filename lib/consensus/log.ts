/**
 * One member's copy of the log: entries after a compacted prefix, and the configurations they set. A configuration
 * counts from the moment it is in the log, committed or not (thesis, section 4.1), so truncation brings the one before
 * it back. Bounded by its user, which compacts (`compactTo`) and refuses proposals.
 */
import { assert } from '../base/assert.ts'
import type { RaftConfig, RaftEntry } from './messages.ts'
import { emptyConfig } from './raft-config.ts'

export class RaftLog {
  /** entries[i].index === baseIndex + 1 + i; terms never fall. */
  #entries: RaftEntry[] = []
  #baseIndex = 0
  #baseTerm = 0
  /** Ascending by index; the first one was in force at `baseIndex`. Never empty. */
  #configs: { readonly index: number; readonly config: RaftConfig }[] = [{ index: 0, config: emptyConfig }]

  /** The last index that is no longer held. */
  get baseIndex(): number {
    return this.#baseIndex
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#baseTerm
  }

  /** The newest configuration, committed or not. */
  get config(): RaftConfig {
    return this.#configs.at(-1)?.config ?? emptyConfig
  }

  /** Index of the entry that set it. */
  get configIndex(): number {
    return this.#configs.at(-1)?.index ?? 0
  }

  entryAt(index: number): RaftEntry | undefined {
    return this.#entries[index - this.#baseIndex - 1]
  }

  /** Undefined where the log knows nothing: compacted, or beyond the end. */
  termAt(index: number): number | undefined {
    return index === this.#baseIndex ? this.#baseTerm : this.entryAt(index)?.term
  }

  configAt(index: number): RaftConfig {
    for (let i = this.#configs.length - 1; i >= 0; i--) {
      const found = this.#configs[i]
      if (found !== undefined && found.index <= index) return found.config
    }
    return emptyConfig
  }

  /** At most `countMax` entries after `index`. */
  after(index: number, countMax: number): readonly RaftEntry[] {
    const start = index - this.#baseIndex
    assert(start >= 0, 'entries asked for are held')
    return start >= this.#entries.length ? [] : this.#entries.slice(start, start + countMax)
  }

  /** Compares the end of another log with this one's (section 5.4.1): > 0 if the other is newer, 0 if they end alike. */
  compareEnd(other: { readonly lastTerm: number; readonly lastIndex: number }): number {
    return other.lastTerm - this.lastTerm || other.lastIndex - this.lastIndex
  }

  append(entry: RaftEntry): void {
    assert(entry.index === this.lastIndex + 1 && entry.term >= this.lastTerm, 'an entry continues the log')
    this.#entries.push(entry)
    if (entry.config !== undefined) this.#configs.push({ index: entry.index, config: entry.config })
  }

  /**
   * Takes over entries that continue one another, the first after an entry this log shares. What is held already stays;
   * from the first difference in term on everything is replaced (figure 2). Returns those that were new here.
   */
  merge(entries: readonly RaftEntry[]): readonly RaftEntry[] {
    const at = entries.findIndex(entry => entry.index > this.#baseIndex && this.termAt(entry.index) !== entry.term)
    const first = entries[at]
    if (first === undefined) return []
    this.#truncateFrom(first.index)
    const fresh = entries.slice(at)
    for (const entry of fresh) this.append(entry)
    return fresh
  }

  /**
   * Where this log may meet one that has `term` at `index`: the last entry at or before `index` whose term is not
   * larger. Both ends skip whole terms so, not entries (section 5.3, end).
   */
  meetingPoint(index: number, term: number): { readonly index: number; readonly term: number } {
    let at = Math.min(index, this.lastIndex)
    while (at > this.#baseIndex && (this.termAt(at) ?? 0) > term) at--
    return { index: Math.max(at, this.#baseIndex), term: this.termAt(Math.max(at, this.#baseIndex)) ?? 0 }
  }

  /** Forgets the entries up to `index`, included. */
  compactTo(index: number): void {
    const term = this.termAt(index)
    if (term === undefined || index <= this.#baseIndex) return
    this.#entries.splice(0, index - this.#baseIndex)
    this.#baseIndex = index
    this.#baseTerm = term
    const held = this.#configs.findLastIndex(({ index: at }) => at <= index)
    this.#configs.splice(0, held)
  }

  /** Becomes what a snapshot covers, and nothing after it. */
  reset(index: number, term: number, config: RaftConfig): void {
    this.#entries = []
    this.#baseIndex = index
    this.#baseTerm = term
    this.#configs = [{ index, config }]
  }

  #truncateFrom(index: number): void {
    this.#entries.length = Math.max(0, Math.min(this.#entries.length, index - this.#baseIndex - 1))
    while (this.#configs.length > 1 && this.configIndex >= index) this.#configs.pop()
  }
}
