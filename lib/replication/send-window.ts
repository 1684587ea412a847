/**
 * How much a caller may have under way to each owner: bytes of requests sent, and bytes of replies expected, not answered
 * yet. What does not fit waits here in its order. Without it one burst of large values overruns the lane to an owner,
 * the lane is reset, and everything is sent again at once, for ever.
 *
 * The size of a reply is not known before it comes: each request counts with twice the recent average (an exponential
 * mean), and with room for small results of all its operations, and says so; an owner whose reply is larger answers how
 * large, and is asked again when there is room for it. The average alone was too small for every tenth command under
 * load, where such of few operations and of many come in turn: those travelled, were logged and answered twice. An
 * average of single operations is too large where those that bring many messages come between those that put many.
 */
import type { MemberId } from '../base/ids.ts'
import type { Operation } from './command.ts'

/** Bytes under way to one owner; a single larger one goes alone. Smaller: less memory and shorter stalls; larger: more throughput of large values. */
export const windowBytesDefault: number = 2 * 1024 * 1024
/** What a busy link carries at the least, 1 MiB/s: nothing is repeated while it may be under way. */
export const slowestBytesPerMs: number = 1_024
/** What a small request and its frame count at least. */
const requestBytesMin = 128
const replyMeanWeight = 1 / 16
/** What the reply to a request is taken for at least, for each of its operations. */
const replyBytesMin: Readonly<Record<'query' | 'command', number>> = { query: 1024, command: 256 }

interface Window<T> {
  bytes: number
  /** In the order in which they came, and what each counts as. */
  readonly held: Map<T, number>
}

/** An item keeps its own place here, so that there is nothing to look up. */
export interface Placed<T> {
  /** Under way or held back; undefined: neither. Of `SendWindow` alone. */
  place: { readonly to: MemberId; readonly window: Window<T>; readonly bytes: number } | undefined
}

export class SendWindow<T extends Placed<T>> {
  readonly #bytesMax: number
  readonly #windows = new Map<MemberId, Window<T>>()
  readonly #replyBytesMean = { query: 0, command: 0 }

  constructor(bytesMax: number = windowBytesDefault) {
    this.#bytesMax = bytesMax
  }

  /**
   * What the reply to a request of so many operations counts as. Whole bytes: sums of fractions would leave a rest
   * behind, and a window that is never empty.
   */
  replyBytes(kind: string, count = 1): number {
    const of = kind === 'query' ? 'query' : 'command'
    return Math.max(replyBytesMin[of] * count, Math.ceil(2 * this.#replyBytesMean[of]))
  }

  /** Learns from a reply of so many bytes. */
  replied(kind: string, bytes: number): void {
    const of = kind === 'query' ? 'query' : 'command'
    this.#replyBytesMean[of] += (bytes - this.#replyBytesMean[of]) * replyMeanWeight
  }

  /** Bytes under way to this owner. */
  bytesTo(to: MemberId): number {
    return this.#windows.get(to)?.bytes ?? 0
  }

  /** Counts it as under way, or holds it back until `take` returns it: in turn, so that a large one is not passed by for ever. */
  enter(to: MemberId, item: T, bytes: number): boolean {
    this.leave(item)
    const window = this.#window(to)
    item.place = { to, window, bytes }
    const isAdmitted = window.held.size === 0 && this.#fits(window, bytes)
    if (isAdmitted) window.bytes += bytes
    else window.held.set(item, bytes)
    return isAdmitted
  }

  /** No longer under way, nor held back. Returns where room was made. */
  leave(item: T): MemberId | undefined {
    const { place } = item
    if (place === undefined) return undefined
    item.place = undefined
    if (!place.window.held.delete(item)) place.window.bytes -= place.bytes
    return place.to
  }

  /** The next one held back for this owner, if there is room for it: it counts as under way now. */
  take(to: MemberId): T | undefined {
    const window = this.#windows.get(to)
    const first = window?.held.entries().next().value
    if (window === undefined || first === undefined) return undefined
    const [item, bytes] = first
    if (!this.#fits(window, bytes)) return undefined
    window.held.delete(item)
    window.bytes += bytes
    return item
  }

  #fits(window: Window<T>, bytes: number): boolean {
    return window.bytes === 0 || window.bytes + bytes <= this.#bytesMax
  }

  #window(to: MemberId): Window<T> {
    let window = this.#windows.get(to)
    if (window === undefined) {
      // One per owner ever sent to: members that are gone hold nothing and are few.
      window = { bytes: 0, held: new Map() }
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
