/**
 * One copy of a partition as its owner sees it: how much it surely holds, what is in flight, and whether to look for
 * the common prefix (probe), to stream entries, or to send a snapshot (etcd's raft calls this a Progress).
 */
import type { MemberId } from '../base/ids.ts'
import type { LogEntry } from './command.ts'
import type { OutgoingTransfer } from './transfer.ts'
import type { ReplicationOptions } from './options.ts'
import type { PartitionLog } from './partition-log.ts'
import { slowestBytesPerMs } from './send-window.ts'

export interface Parcel {
  readonly previousEpoch: number
  readonly previousIndex: number
  readonly entries: readonly LogEntry[]
}

export class Copy {
  readonly member: MemberId
  isBackup: boolean
  /** Acknowledgements of older epochs say nothing about this copy: it may have been dropped in between. */
  readonly sinceEpoch: number
  /** It acknowledged every entry up to here in this tenure. match < next. */
  match = 0
  /** First entry to send next. */
  next: number
  mode: 'probe' | 'stream' | 'snapshot' = 'probe'
  /** A probe is unanswered. */
  isWaiting = false
  /** Set for a learner that commits wait for; asked: the epoch named in the request to promote it. */
  promotion: { askedEpoch: number | undefined } | undefined
  transfer: OutgoingTransfer | undefined
  /** Last entry of the newest snapshot that it took in; the tail after it is kept for it. */
  sentIndex = 0
  /** It said that it holds nothing although it had acknowledged something: once may be an old message. */
  emptyCount = 0
  /** Commit point of the last append sent, and of one that was surely received. */
  announced = 0
  confirmed = 0
  confirming: number | undefined
  /** It refused an append because it knows a newer epoch than the owner. */
  isAhead = false
  /** The last epoch in which it refused appends of the one before: once is enough to begin again. */
  refusedEpoch = 0
  retryMs: number
  // The last sending, acknowledgement or repetition: the retransmission counts from here.
  #movedAtMs: number
  // Since when an answer is awaited and nothing at all has come; repeating a question does not begin anew.
  #quietSinceMs: number | undefined
  // Sent and not acknowledged, oldest first.
  #inFlight: { readonly upTo: number; readonly bytes: number }[] = []
  #inFlightBytes = 0

  constructor(
    member: MemberId,
    isBackup: boolean,
    sinceEpoch: number,
    next: number,
    nowMs: number,
    retransmitMs: number,
  ) {
    this.member = member
    this.isBackup = isBackup
    this.sinceEpoch = sinceEpoch
    this.next = next
    this.retryMs = retransmitMs
    this.#movedAtMs = nowMs
  }

  /** Commits wait for it. */
  get isRequired(): boolean {
    return this.isBackup || this.promotion !== undefined
  }

  get isOutstanding(): boolean {
    return this.isWaiting || this.next - 1 > this.match || this.transfer !== undefined
  }

  /** Since when it says nothing although an answer is awaited; undefined if none is. */
  get quietSinceMs(): number | undefined {
    return this.#quietSinceMs
  }

  isRetryDue(nowMs: number): boolean {
    const travelMs = Math.floor(this.#inFlightBytes / slowestBytesPerMs)
    return this.isOutstanding && nowMs - this.#movedAtMs >= this.retryMs + travelMs
  }

  /** Nothing has moved for a while. */
  isConfirmDue(nowMs: number, afterMs: number): boolean {
    return nowMs - this.#movedAtMs >= afterMs
  }

  /** The next parcel to send, or undefined: everything is sent, the window is full, or an answer is awaited. Never in mode snapshot. */
  nextParcel(log: PartitionLog, options: ReplicationOptions, nowMs: number): Parcel | undefined {
    if (
      this.mode === 'probe'
        ? this.isWaiting
        : this.next > log.lastIndex || this.#inFlightBytes >= this.#windowBytes(options)
    )
      return undefined
    const previousIndex = this.next - 1
    const bytesMax = this.mode === 'probe' || !this.isBackup ? options.catchUpBytesMax : options.appendBytesMax
    const { entries, bytes } = log.slice(this.next, bytesMax, 1_000)
    this.sent(nowMs)
    if (this.mode === 'probe') this.isWaiting = true
    else {
      this.next += entries.length
      this.#inFlight.push({ upTo: this.next - 1, bytes })
      this.#inFlightBytes += bytes
    }
    return { previousEpoch: log.epochAt(previousIndex) as number, previousIndex, entries }
  }

  /** Something goes out that must be answered. */
  sent(nowMs: number): void {
    this.#quietSinceMs ??= nowMs
    this.#movedAtMs = nowMs
  }

  /** Any answer at all. */
  heard(): void {
    this.#quietSinceMs = undefined
  }

  /** It holds everything up to `match`. */
  accepted(match: number, nowMs: number, options: ReplicationOptions): void {
    this.emptyCount = 0
    if (this.confirming !== undefined) this.confirmed = this.confirming
    this.confirming = undefined
    if (match > this.match || this.isWaiting) {
      this.#movedAtMs = nowMs
      this.retryMs = options.retransmitMs
    }
    this.isWaiting = false
    this.match = Math.max(this.match, match)
    this.next = Math.max(this.next, this.match + 1)
    while ((this.#inFlight[0]?.upTo ?? Infinity) <= this.match)
      this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0
    if (this.mode === 'probe') this.mode = 'stream'
    this.#quietSinceMs = this.isOutstanding ? nowMs : undefined
  }

  /** Its log differs; both agree up to `hint` at the most. An old answer that asks for nothing new changes nothing. */
  rejected(hint: number): boolean {
    this.heard()
    if (this.mode === 'snapshot' || hint + 1 >= this.next) return false
    this.probeFrom(Math.max(this.match, hint) + 1)
    return true
  }

  /** Asks again from `next` on, forgetting what was in flight. */
  probeFrom(next: number): void {
    this.mode = 'probe'
    this.next = next
    this.isWaiting = false
    this.#inFlight = []
    this.#inFlightBytes = 0
  }

  /** The link was cut, or nothing came back: begin again after the last acknowledgement. */
  rewind(): void {
    if (this.mode === 'stream') this.probeFrom(this.match + 1)
    else this.isWaiting = false
  }

  backOff(options: ReplicationOptions): void {
    this.retryMs = Math.min(this.retryMs * 2, options.retransmitMaxMs)
  }

  #windowBytes(options: ReplicationOptions): number {
    return this.isBackup ? options.inFlightBytesMax : options.catchUpBytesMax
  }
}
