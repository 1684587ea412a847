/**
 * Snapshots on their way: the sender's end, which makes chunks lazily and keeps what is not acknowledged, and the
 * receiver's, which builds the new state beside the old one. Stop-and-wait over a small window on the bulk lane; chunks
 * are numbered, taken in order only, and acknowledged by the highest one held.
 */
import { plainBytes } from '../base/bytes.ts'
import type { MemberId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { InFlight } from './in-flight.ts'
import type { SnapshotCursor } from './partition-state.ts'
import type { LogState, StateSource } from './turn.ts'

interface Chunk {
  readonly ordinal: number
  readonly isLast: boolean
  readonly records: readonly Plain[]
  readonly bytes: number
}

export class OutgoingTransfer {
  readonly id: number
  /** Name of the last entry in the snapshot. */
  readonly epoch: number
  readonly index: number
  sentAtMs: number
  /** Times in a row that the window was sent again without an acknowledgement. */
  repeatCount = 0
  // Chunks sent and not acknowledged, in order.
  #unacked: Chunk[] = []
  #nextOrdinal = 0
  #isRead = false
  readonly #cursor: SnapshotCursor
  // Of all transfers to this member.
  readonly #shared: InFlight

  constructor(id: number, shared: InFlight, state: LogState, epoch: number, nowMs: number) {
    this.id = id
    this.#shared = shared
    this.#cursor = state.snapshot()
    this.epoch = epoch
    this.index = this.#cursor.appliedIndex
    this.sentAtMs = nowMs
  }

  /** Bytes of the chunks that are kept for repetition. */
  get bytes(): number {
    return this.#unacked.reduce((sum, chunk) => sum + chunk.bytes, 0)
  }

  get isDone(): boolean {
    return this.#isRead && this.#unacked.length === 0
  }

  /** More could be sent if others to this member had less under way. */
  get isHeld(): boolean {
    return !this.#isRead && !this.#shared.hasRoom
  }

  /** Chunks that the windows now allow: so many chunks of so many bytes each, or one with a larger record. */
  next(windowMax: number, bytesMax: number): readonly Chunk[] {
    const fresh: Chunk[] = []
    while (
      !this.#isRead &&
      this.#unacked.length < windowMax &&
      this.bytes < windowMax * bytesMax &&
      this.#shared.hasRoom
    ) {
      const records = this.#cursor.next(bytesMax)
      this.#isRead = records === undefined
      const chunk = {
        ordinal: this.#nextOrdinal++,
        isLast: this.#isRead,
        records: records ?? [],
        bytes: plainBytes(records ?? []),
      }
      this.#unacked.push(chunk)
      this.#shared.add(chunk.bytes)
      fresh.push(chunk)
    }
    return fresh
  }

  /** What to send again. */
  get unacked(): readonly Chunk[] {
    return this.#unacked
  }

  /** The receiver holds everything up to `ordinal`. True if that is news. */
  acked(ordinal: number): boolean {
    const before = this.#unacked.length
    const beforeBytes = this.bytes
    this.#unacked = this.#unacked.filter(chunk => chunk.ordinal > ordinal)
    if (this.#unacked.length === before) return false
    this.repeatCount = 0
    this.#shared.remove(beforeBytes - this.bytes)
    return true
  }

  /** Nothing counts as under way any more. */
  end(): void {
    this.#shared.remove(this.bytes)
    this.#unacked = []
  }
}

export class IncomingTransfer {
  readonly from: MemberId
  readonly id: number
  // 0 <= #expected: the next ordinal to take.
  #expected = 0
  readonly #restore: ReturnType<StateSource['restore']>

  constructor(from: MemberId, id: number, restore: ReturnType<StateSource['restore']>) {
    this.from = from
    this.id = id
    this.#restore = restore
  }

  get bytes(): number {
    return this.#restore.bytes
  }

  /** Highest ordinal held; -1 before the first. */
  get held(): number {
    return this.#expected - 1
  }

  /** Takes the next chunk; false if it is not the next. Throws MalformedError. */
  add(ordinal: number, records: readonly Plain[]): boolean {
    if (ordinal !== this.#expected) return false
    if (records.length > 0) this.#restore.add(records)
    this.#expected += 1
    return true
  }

  /** Throws MalformedError if records are missing. */
  finish(nowMonotonicMs: number): LogState {
    return this.#restore.finish(nowMonotonicMs)
  }
}
