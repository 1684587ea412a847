/**
 * The entries of one partition as one copy holds them: a run without gaps after a base. An entry's name is
 * (epoch, index), as Raft's (term, index): equal names mean equal entries and equal prefixes, because each epoch has one
 * owner and an owner never writes an index twice within an epoch.
 *
 * The base of an empty log is (bornEpoch, 0), so that copies of two births of a partition never look alike.
 * It knows nothing of commit points: its user cuts only what was applied and truncates only what was not committed.
 */
import { assert } from '../base/assert.ts'
import type { LogEntry } from './command.ts'
import { sizeOfEntry } from './size.ts'

export class PartitionLog {
  // #entries[#start + k] has index #baseIndex + 1 + k; what lies before #start has been cut.
  #entries: (LogEntry | undefined)[] = []
  #sizes: number[] = []
  #start = 0
  #baseEpoch: number
  #baseIndex: number
  #bytes = 0

  constructor(baseEpoch: number, baseIndex: number) {
    this.#baseEpoch = baseEpoch
    this.#baseIndex = baseIndex
  }

  /** Index of the newest entry that is no longer held. */
  get baseIndex(): number {
    return this.#baseIndex
  }

  get lastIndex(): number {
    return this.#baseIndex + this.length
  }

  get lastEpoch(): number {
    return this.length === 0 ? this.#baseEpoch : (this.#entries.at(-1) as LogEntry).epoch
  }

  /** Entries held. */
  get length(): number {
    return this.#entries.length - this.#start
  }

  /** By the formula of `sizeOfEntry`. */
  get bytes(): number {
    return this.#bytes
  }

  /** The epoch in the name of the entry at `index`, the base included; undefined if it is not held. */
  epochAt(index: number): number | undefined {
    return index === this.#baseIndex ? this.#baseEpoch : this.at(index)?.epoch
  }

  at(index: number): LogEntry | undefined {
    return index <= this.#baseIndex ? undefined : this.#entries[this.#start + index - this.#baseIndex - 1]
  }

  append(entry: LogEntry): void {
    assert(entry.index === this.lastIndex + 1, 'a log has no gaps')
    assert(entry.epoch >= this.lastEpoch, 'epochs never decrease along a log')
    const bytes = sizeOfEntry(entry)
    this.#entries.push(entry)
    this.#sizes.push(bytes)
    this.#bytes += bytes
  }

  /** Drops all entries after `index`. */
  truncateAfter(index: number): void {
    assert(index >= this.#baseIndex, 'what was cut is never truncated')
    while (this.lastIndex > index) {
      this.#entries.pop()
      this.#bytes -= this.#sizes.pop() ?? 0
    }
  }

  /** Drops all entries up to and with `index`, which becomes the base. Amortized constant per entry. */
  cutTo(index: number): void {
    assert(index <= this.lastIndex, 'only what is held is cut')
    while (this.#baseIndex < index) {
      this.#baseEpoch = (this.#entries[this.#start] as LogEntry).epoch
      this.#bytes -= this.#sizes[this.#start] ?? 0
      this.#entries[this.#start] = undefined
      this.#start += 1
      this.#baseIndex += 1
    }
    if (this.#start < 64 || this.#start * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#start)
    this.#sizes = this.#sizes.slice(this.#start)
    this.#start = 0
  }

  /** Entries from `index` on, as many as fit into `bytesMax`, at least one if there is one, at most `countMax`. */
  slice(
    index: number,
    bytesMax: number,
    countMax: number,
  ): { readonly entries: readonly LogEntry[]; readonly bytes: number } {
    const first = this.#start + index - this.#baseIndex - 1
    const end = Math.min(this.#entries.length, first + countMax)
    let at = first
    let bytes = 0
    while (at < end && (at === first || bytes + (this.#sizes[at] as number) <= bytesMax))
      bytes += this.#sizes[at++] as number
    return { entries: this.#entries.slice(first, at) as LogEntry[], bytes }
  }
}
