/**
 * One copy of a partition as its owner sees it: how much it surely holds, what is in flight, and whether to look for
 * the common prefix (probe), to stream entries, or to send a snapshot (etcd's raft calls this a Progress).
 */
import type { MemberId } from '../base/ids.ts'
import type { LogEntry } from './command.ts'
import type { InFlight } from './in-flight.ts'
import type { OutgoingTransfer } from './transfer.ts'
import type { ReplicationOptions } from './options.ts'
import type { PartitionLog } from './partition-log.ts'
import { slowestBytesPerMs } from './send-window.ts'

/** What a link carries while both ends are busy, 8 MiB/s. */
const busyBytesPerMs = 8_192

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
  // There is something to send, and no room at the member.
  #isHeld = false
  // Of all partitions to this member.
  readonly #shared: InFlight

  constructor(
    member: MemberId,
    shared: InFlight,
    isBackup: boolean,
    sinceEpoch: number,
    next: number,
    nowMs: number,
    retransmitMs: number,
  ) {
    this.member = member
    this.#shared = shared
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
    return this.#isHeld || this.#isAwaited
  }

  /**
   * Since when it says nothing although an answer is awaited; undefined if none is. One that is held back is as quiet as
   * its member.
   */
  get quietSinceMs(): number | undefined {
    if (this.#quietSinceMs === undefined || !this.#isHeld) return this.#quietSinceMs
    return Math.max(this.#quietSinceMs, this.#shared.movedAtMs)
  }

  /** How long what is under way to its member may take: so long its silence says nothing. */
  get travelMs(): number {
    return Math.floor(this.#shared.bytes / busyBytesPerMs)
  }

  isRetryDue(nowMs: number): boolean {
    const travelMs = Math.floor(this.#shared.bytes / slowestBytesPerMs)
    return this.#isAwaited && nowMs - this.#movedAtMs >= this.retryMs + travelMs
  }

  /** Nothing has moved for a while. */
  isConfirmDue(nowMs: number, afterMs: number): boolean {
    return nowMs - this.#movedAtMs >= afterMs
  }

  /**
   * The next parcel to send; undefined if everything is sent, the partition's window is full, or an answer is awaited;
   * 'no-room' if the member has enough under way. Never in mode snapshot.
   */
  nextParcel(log: PartitionLog, options: ReplicationOptions, nowMs: number): Parcel | 'no-room' | undefined {
    const isProbe = this.mode === 'probe'
    if (isProbe ? this.isWaiting : this.next > log.lastIndex || this.#inFlightBytes >= options.inFlightBytesMax)
      return undefined
    if (!this.#shared.hasRoom) {
      this.#isHeld = true
      this.#quietSinceMs ??= nowMs
      return 'no-room'
    }
    const previousIndex = this.next - 1
    const { entries, bytes } = log.slice(this.next, isProbe ? options.probeBytesMax : options.appendBytesMax, 1_000)
    this.sent(nowMs)
    if (isProbe) this.isWaiting = true
    else this.next += entries.length
    this.#inFlight.push({ upTo: previousIndex + entries.length, bytes })
    this.#inFlightBytes += bytes
    this.#shared.add(bytes)
    return { previousEpoch: log.epochAt(previousIndex) as number, previousIndex, entries }
  }

  /** Something goes out that must be answered. */
  sent(nowMs: number): void {
    this.#isHeld = false
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
    let arrivedBytes = 0
    while ((this.#inFlight[0]?.upTo ?? Infinity) <= this.match) arrivedBytes += this.#inFlight.shift()?.bytes ?? 0
    this.#shared.movedAtMs = nowMs
    this.#arrived(arrivedBytes)
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
    this.end()
  }

  /** Nothing counts as under way any more. */
  end(): void {
    this.#inFlight = []
    this.#arrived(this.#inFlightBytes)
  }

  /** The link was cut, or nothing came back: begin again after the last acknowledgement. */
  rewind(): void {
    if (this.mode === 'stream') this.probeFrom(this.match + 1)
    else {
      this.isWaiting = false
      this.end()
    }
  }

  backOff(options: ReplicationOptions): void {
    this.retryMs = Math.min(this.retryMs * 2, options.retransmitMaxMs)
  }

  get #isAwaited(): boolean {
    return this.isWaiting || this.next - 1 > this.match || this.transfer !== undefined
  }

  #arrived(bytes: number): void {
    this.#inFlightBytes -= bytes
    if (bytes > 0) this.#shared.remove(bytes)
  }
}
