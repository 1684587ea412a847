/**
 * What a run did, twice: as one running hash over everything that happened (two runs of a seed are the same run if and
 * only if their hashes are equal), and as the last events in words, for the print of a failure.
 *
 * An event is (time, kind, where, about). `about` may be a message: its kind, numbers, flags and lengths of lists are
 * folded, not its depth, since two runs that part ways in a value part ways in a shallow field or a time soon after.
 */
import { hashNumber, hashText } from '../lib/base/hash.ts'

/** How many events the failure print shows. */
export const eventsKeptMax = 200

interface TraceEvent {
  readonly atUs: number
  readonly kind: string
  readonly where: string
  readonly about: unknown
}

export class Trace {
  #low = 0x811c9dc5
  #high = 0x2545f491
  #count = 0
  readonly #last: TraceEvent[] = []
  readonly #words = new Map<string, number>()

  /** Events so far. */
  get count(): number {
    return this.#count
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low)
  }

  add(atUs: number, kind: string, where: string, about?: unknown): void {
    this.#fold(atUs | 0)
    this.#fold(this.#word(kind))
    this.#fold(this.#word(where))
    if (about !== undefined) this.#fold(this.#digest(about))
    this.#last[this.#count++ % eventsKeptMax] = { atUs, kind, where, about }
  }

  /** The last events, oldest first, one line each. */
  lines(): string[] {
    const from = this.#count > eventsKeptMax ? this.#count % eventsKeptMax : 0
    const events = [...this.#last.slice(from), ...this.#last.slice(0, from)]
    return events.map(event => {
      const about = event.about === undefined ? '' : ` ${inWords(event.about)}`
      return `${(event.atUs / 1000).toFixed(3).padStart(11)} ms  ${event.kind.padEnd(10)} ${event.where}${about}`
    })
  }

  #fold(value: number): void {
    const low = Math.imul(this.#low ^ value, 0x01000193)
    this.#low = low ^ (low >>> 15)
    const high = Math.imul((this.#high + value) | 0, 0x5bd1e995)
    this.#high = high ^ (high >>> 13) ^ low
  }

  #word(word: string): number {
    let hash = this.#words.get(word)
    if (hash === undefined) {
      hash = hashText(word) | 0
      if (this.#words.size < 10_000) this.#words.set(word, hash)
    }
    return hash
  }

  #digest(about: unknown): number {
    if (typeof about === 'string') return this.#word(about)
    if (typeof about === 'number') return hashNumber(about)
    if (typeof about !== 'object' || about === null) return 7
    const { message } = about as { readonly message?: unknown }
    return typeof message === 'object' && message !== null ? this.#shallow(message, false) : this.#shallow(about, true)
  }

  /** Numbers, flags, lengths of lists, and texts: of a message the kind alone, since there are many and long ones. */
  #shallow(about: object, hasTexts: boolean): number {
    let hash = 17
    const fields = about as Readonly<Record<string, unknown>>
    for (const name in fields) {
      const value = fields[name]
      if (typeof value === 'number')
        hash = Math.imul(hash, 31) + (Number.isInteger(value) ? value | 0 : hashNumber(value))
      else if (typeof value === 'boolean') hash = Math.imul(hash, 31) + (value ? 1 : 2)
      else if (Array.isArray(value)) hash = Math.imul(hash, 31) + value.length
      else if (typeof value === 'string' && (hasTexts || name === 'kind'))
        hash = Math.imul(hash, 31) + this.#word(value)
    }
    return hash
  }
}

/** One line of JSON, bytes by their length, at most 300 characters. */
export function inWords(value: unknown): string {
  if (typeof value === 'string') return value
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Uint8Array) return `<${inner.length} bytes>`
    return inner instanceof Map ? Object.fromEntries(inner) : inner
  })
  return text === undefined || text.length <= 300 ? String(text) : `${text.slice(0, 297)}...`
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}
