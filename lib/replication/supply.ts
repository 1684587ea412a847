/**
 * What an owner sends to its copies, by how far each is: probes, streams of entries, snapshots, announcements of the
 * commit point, and all of them again when nothing comes back.
 */
import type { Copy } from './copy.ts'
import type { LogEntry } from './command.ts'
import type { Tenure } from './tenure.ts'
import { OutgoingTransfer } from './transfer.ts'

/** A transfer whose window came back unanswered this often is begun anew. */
const repeatMax = 8

export class Supply {
  readonly #tenure: Tenure

  constructor(tenure: Tenure) {
    this.#tenure = tenure
  }

  /** The copy has taken in everything of a snapshot up to `ordinal`. True if that is news. */
  chunked(copy: Copy, transferId: number, ordinal: number): boolean {
    const { transfer } = copy
    if (transfer?.id !== transferId || !transfer.acked(ordinal)) return false
    transfer.sentAtMs = this.#tenure.turn.now.monotonicMs
    copy.heard()
    if (!transfer.isDone) copy.sent(transfer.sentAtMs)
    else {
      copy.sentIndex = transfer.index
      this.endTransfer(copy, transfer.index + 1)
    }
    return true
  }

  /** Sends whatever the copy is ready for. */
  feed(copy: Copy): void {
    const { log } = this.#tenure.held
    const { options, now } = this.#tenure.turn
    if (copy.mode !== 'snapshot' && copy.next <= log.baseIndex) copy.mode = 'snapshot'
    if (copy.mode === 'snapshot') return this.#transfer(copy)
    for (;;) {
      const parcel = copy.nextParcel(log, options, now.monotonicMs)
      if (parcel === undefined) return
      if (parcel === 'no-room') return this.#tenure.turn.inFlights.to(copy.member).wait(this.#tenure.replica)
      this.#send(copy, parcel.previousEpoch, parcel.previousIndex, parcel.entries)
    }
  }

  /** Tells the commit point after everything sent so far. */
  sendEmpty(copy: Copy): void {
    const previousIndex = copy.next - 1
    const previousEpoch = this.#tenure.held.log.epochAt(previousIndex)
    if (previousEpoch !== undefined) this.#send(copy, previousEpoch, previousIndex, [])
  }

  #send(copy: Copy, previousEpoch: number, previousIndex: number, entries: readonly LogEntry[]): void {
    const { partition, commitIndex, hashes } = this.#tenure.replica
    const newest = hashes.at(-1)
    copy.announced = commitIndex
    this.#tenure.turn.send(copy.member, 'data', {
      kind: 'append',
      partition,
      epoch: this.#tenure.epoch,
      previousEpoch,
      previousIndex,
      commitIndex,
      entries,
      hashIndex: newest?.index ?? 0,
      hash: newest?.hash ?? 0,
    })
  }

  /** Starts or goes on with a snapshot. */
  #transfer(copy: Copy): void {
    const { turn, held } = this.#tenure
    if (copy.transfer === undefined) {
      if (turn.transfers >= turn.options.transfersMax) return
      turn.transfers += 1
      const epoch = held.log.epochAt(held.state.appliedIndex) as number
      copy.sent(turn.now.monotonicMs)
      const shared = turn.bulkInFlights.to(copy.member)
      copy.transfer = new OutgoingTransfer(turn.nextTransfer(), shared, held.state, epoch, turn.now.monotonicMs)
      turn.emit('debug', 'replication.snapshot-sent', {
        partition: this.#tenure.replica.partition,
        to: copy.member,
        index: copy.transfer.index,
      })
    }
    this.#sendChunks(copy, copy.transfer, copy.transfer.next(turn.options.chunkWindow, turn.options.chunkBytes))
    if (copy.transfer.isHeld) turn.bulkInFlights.to(copy.member).wait(this.#tenure.replica)
  }

  #sendChunks(copy: Copy, transfer: OutgoingTransfer, chunks: ReturnType<OutgoingTransfer['next']>): void {
    const { partition } = this.#tenure.replica
    for (const { ordinal, isLast, records } of chunks) {
      const { id, epoch, index } = transfer
      this.#tenure.turn.send(copy.member, 'bulk', {
        kind: 'chunk',
        partition,
        epoch: this.#tenure.epoch,
        transfer: id,
        ordinal,
        isLast,
        lastEpoch: epoch,
        lastIndex: index,
        records,
      })
    }
  }

  /** Sends the window again; gives the transfer up when that has been in vain too often. */
  repeat(copy: Copy, transfer: OutgoingTransfer): void {
    transfer.sentAtMs = this.#tenure.turn.now.monotonicMs
    transfer.repeatCount += 1
    if (transfer.repeatCount <= repeatMax) return this.#sendChunks(copy, transfer, transfer.unacked)
    // A probe finds out whether the copy is there at all; its answer brings the next snapshot.
    this.endTransfer(copy, this.#tenure.held.log.lastIndex + 1)
  }

  /** Ends a transfer, done or given up, and looks for the common prefix at `next`. */
  endTransfer(copy: Copy, next: number): void {
    this.stopTransfer(copy)
    copy.probeFrom(next)
  }

  /** Makes room for another copy's snapshot. */
  stopTransfer(copy: Copy): void {
    if (copy.transfer === undefined) return
    copy.transfer.end()
    copy.transfer = undefined
    this.#tenure.turn.transfers -= 1
  }

  /** Repeats what was not answered in time. */
  retry(copy: Copy): void {
    const { now, options } = this.#tenure.turn
    const { transfer } = copy
    if (transfer !== undefined) {
      const repeatMs = Math.min(options.retransmitMaxMs, 2 * options.retransmitMs * 2 ** transfer.repeatCount)
      if (now.monotonicMs - transfer.sentAtMs < repeatMs) return
      this.repeat(copy, transfer)
    } else if (copy.mode === 'snapshot') {
      // A place among the transfers may have become free.
    } else if (copy.isRetryDue(now.monotonicMs)) {
      copy.rewind()
      copy.backOff(options)
    } else return
    this.#tenure.turn.touch(this.#tenure.replica)
  }

  /** A while after the last commit, makes sure that the copy has heard of it: the announcement may have been lost. */
  confirm(copy: Copy): void {
    const { replica } = this.#tenure
    if (
      copy.mode !== 'stream' ||
      copy.isOutstanding ||
      copy.confirmed >= replica.commitIndex ||
      copy.match < replica.commitIndex
    )
      return
    if (!copy.isConfirmDue(this.#tenure.turn.now.monotonicMs, this.#tenure.turn.options.retransmitMaxMs)) return
    copy.sent(this.#tenure.turn.now.monotonicMs)
    copy.confirming = replica.commitIndex
    copy.isWaiting = true
    this.sendEmpty(copy)
  }
}
