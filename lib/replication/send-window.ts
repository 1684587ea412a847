/**
 * How much a caller may have under way to each owner: bytes of requests sent, and bytes of replies expected, not answered
 * yet. What does not fit waits here in its order. Without it one burst of large values overruns the lane to an owner,
 * the lane is reset, and everything is sent again at once, for ever.
 *
 * The size of a reply is not known before it comes: each read counts as the recent average (an exponential mean).
 */
import type { MemberId } from '../base/ids.ts'
import type { Operation } from './command.ts'

/** Bytes under way to one owner; a single larger one goes alone. Smaller: less memory and shorter stalls; larger: more throughput of large values. */
export const windowBytesDefault: number = 2 * 1024 * 1024
/** What a busy link carries at the least, 4 MiB/s: nothing is repeated while it may be under way. */
export const slowestBytesPerMs: number = 4_096
/** What a small request and its frame count at least. */
const requestBytesMin = 128
const replyMeanWeight = 1 / 16

interface Window<T> {
  bytes: number
  readonly held: Set<T>
}

export class SendWindow<T> {
  readonly #bytesMax: number
  readonly #windows = new Map<MemberId, Window<T>>()
  readonly #counted = new Map<T, { readonly to: MemberId; readonly bytes: number }>()
  #replyBytesMean = 1024

  constructor(bytesMax: number = windowBytesDefault) {
    this.#bytesMax = bytesMax
  }

  /** What a read counts as. Whole bytes: sums of fractions would leave a rest behind, and a window that is never empty. */
  get replyBytes(): number {
    return Math.ceil(this.#replyBytesMean)
  }

  /** Learns from a reply of so many bytes. */
  replied(bytes: number): void {
    this.#replyBytesMean += (bytes - this.#replyBytesMean) * replyMeanWeight
  }

  /** Bytes under way to this owner. */
  bytesTo(to: MemberId): number {
    return this.#windows.get(to)?.bytes ?? 0
  }

  /** Counts it as under way, or holds it back until `take` returns it. */
  enter(to: MemberId, item: T, bytes: number): boolean {
    this.leave(item)
    const window = this.#window(to)
    if (window.bytes > 0 && window.bytes + bytes > this.#bytesMax) {
      window.held.add(item)
      return false
    }
    window.bytes += bytes
    this.#counted.set(item, { to, bytes })
    return true
  }

  /** No longer under way, nor held back. Returns where room was made. */
  leave(item: T): MemberId | undefined {
    const counted = this.#counted.get(item)
    if (counted === undefined) {
      for (const { held } of this.#windows.values()) held.delete(item)
      return undefined
    }
    this.#counted.delete(item)
    this.#window(counted.to).bytes -= counted.bytes
    return counted.to
  }

  /** The next one held back for this owner, if there is room at all. */
  take(to: MemberId): T | undefined {
    const window = this.#windows.get(to)
    if (window === undefined || window.held.size === 0 || window.bytes >= this.#bytesMax) return undefined
    const [item] = window.held
    if (item !== undefined) window.held.delete(item)
    return item
  }

  #window(to: MemberId): Window<T> {
    let window = this.#windows.get(to)
    if (window === undefined) {
      // One per owner ever sent to: members that are gone hold nothing and are few.
      window = { bytes: 0, held: new Set() }
      this.#windows.set(to, window)
    }
    return window
  }
}

/** Bytes of the values that operations carry: what makes a request large. */
export function valueBytes(operations: readonly Operation[]): number {
  let sum = requestBytesMin
  for (const operation of operations) {
    const fields = operation as unknown as Readonly<Record<string, unknown>>
    for (const name in fields) {
      const value = fields[name]
      if (value instanceof Uint8Array) sum += value.byteLength
      else if (Array.isArray(value)) for (const item of value) sum += item instanceof Uint8Array ? item.byteLength : 8
    }
  }
  return sum
}
