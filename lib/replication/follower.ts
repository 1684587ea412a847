/**
 * A copy's side of replication, backup and learner alike: takes the owner's entries by name, truncates what conflicts,
 * acknowledges what is durable, applies up to the commit point that the owner announces, and takes in snapshots.
 * It accepts the highest epoch it has heard of and no lower one; what it acknowledged in an epoch it keeps.
 */
import type { MemberId } from '../base/ids.ts'
import { IncomingTransfer } from './transfer.ts'
import type { ReplicationMessage } from './messages.ts'
import type { Held, Replica } from './replica.ts'

type Append = Extract<ReplicationMessage, { readonly kind: 'append' }>
type Chunk = Extract<ReplicationMessage, { readonly kind: 'chunk' }>

export class Follower {
  /** The epoch and sender of the last append or chunk that was taken. */
  acceptedEpoch = 0
  #owner: MemberId | undefined
  // In this epoch the owner's log and this one agree up to here; 0 while unknown.
  #verified = 0
  // The highest match told to the owner in this epoch; -1 before the first.
  #told = -1
  #isAnswerDue = false
  #incoming: IncomingTransfer | undefined
  // The owner's hash of its state, to compare once this copy has got there.
  #expected: { readonly index: number; readonly hash: number } | undefined
  readonly #replica: Replica

  constructor(replica: Replica) {
    this.#replica = replica
  }

  get bytes(): number {
    return this.#incoming?.bytes ?? 0
  }

  /** The log is gone: nothing that was said about it holds. */
  forget(): void {
    this.#verified = 0
    this.#told = -1
    this.#isAnswerDue = false
    this.#expected = undefined
  }

  /** This copy becomes owner. */
  abandon(): void {
    this.forget()
    this.#incoming = undefined
    this.#owner = undefined
  }

  append(from: MemberId, message: Append): void {
    if (!this.#follow(from, message.epoch)) return
    const held = this.#agree(message)
    if (held === undefined) return
    if (!this.#take(held, message)) return
    const replica = this.#replica
    const verified = message.previousIndex + message.entries.length
    const commitIndex = Math.min(message.commitIndex, Math.max(verified, this.#verified))
    const isNews = commitIndex > replica.commitIndex
    // A mere announcement needs no answer; whatever else the owner sends, it waits for one.
    if (message.entries.length > 0 || !isNews || verified > this.#told) this.#isAnswerDue = true
    this.#verified = Math.max(this.#verified, verified)
    if (isNews) replica.commitIndex = commitIndex
    replica.applyReady()
    if (message.hashIndex > 0) {
      this.#expected = { index: message.hashIndex, hash: message.hash }
      this.compareHash()
    }
  }

  chunk(from: MemberId, message: Chunk): void {
    if (!this.#follow(from, message.epoch)) return
    const replica = this.#replica
    const isHeld = replica.held !== undefined && replica.commitIndex >= message.lastIndex
    if (isHeld) return this.#acknowledgeChunk(from, message, message.ordinal)
    if (this.#incoming?.id !== message.transfer || this.#incoming.from !== from) {
      if (message.ordinal > 0) return
      this.#incoming = new IncomingTransfer(from, message.transfer, replica.turn.states.restore(replica.partition))
    }
    const incoming = this.#incoming
    try {
      if (incoming.add(message.ordinal, message.records) && message.isLast) this.#install(incoming, message)
    } catch {
      // Malformed: the sender gives up on this transfer after a while and starts a fresh one.
      this.#incoming = undefined
      replica.turn.emit('warn', 'replication.snapshot-malformed', { partition: replica.partition, from })
      return
    }
    if (incoming.held >= 0) this.#acknowledgeChunk(from, message, incoming.held)
    replica.turn.touch(replica)
  }

  /** Tells the owner how far this copy holds its log, once that is durable. */
  acknowledge(): void {
    const { durableIndex, held } = this.#replica
    if (!this.#isAnswerDue || held === undefined || this.#verified > durableIndex) return
    this.#isAnswerDue = false
    this.#told = Math.max(this.#told, this.#verified)
    this.#answer(true, this.#verified, false)
  }

  /** Compares the owner's hash with this copy's own at the same index, if both are known. */
  compareHash(): void {
    const expected = this.#expected
    const own = this.#replica.hashes.find(({ index }) => index === expected?.index)
    if (expected === undefined || own === undefined) return
    this.#expected = undefined
    if (own.hash === expected.hash) return
    const { turn, partition } = this.#replica
    turn.emit('error', 'replication.diverged', {
      partition,
      index: own.index,
      ownHash: own.hash,
      ownerHash: expected.hash,
    })
    this.#replica.drop()
    this.#answer(false, 0, true)
  }

  /** Whether the sender is the owner in an epoch that is not old. */
  #follow(from: MemberId, epoch: number): boolean {
    const replica = this.#replica
    const { turn, partition, entry } = replica
    if (epoch < replica.seenEpoch) {
      turn.send(from, 'data', { kind: 'stale', partition, epoch: replica.seenEpoch })
      return false
    }
    if (epoch === entry?.epoch && from !== entry.owner) return false
    if (epoch === this.acceptedEpoch && this.#owner !== undefined && from !== this.#owner) return false
    replica.seenEpoch = epoch
    replica.stepDown()
    const isSameTenure = from === this.#owner && epoch <= this.acceptedEpoch + 1
    this.acceptedEpoch = epoch
    this.#owner = from
    if (!isSameTenure) this.forget()
    return true
  }

  /** Finds the entry that the owner's follow; answers and returns undefined if there is none. */
  #agree(message: Append): Held | undefined {
    const replica = this.#replica
    const { previousEpoch, previousIndex } = message
    const held = replica.held ?? (previousIndex === 0 ? replica.beginEmpty(previousEpoch) : undefined)
    if (held === undefined) return this.#answer(false, 0, true)
    const { log } = held
    if (previousIndex > log.lastIndex) return this.#answer(false, log.lastIndex, false)
    // What was cut was committed and agrees, unless it is of an older birth, which the table of that epoch will tell.
    if (previousIndex < log.baseIndex) return replica.entry?.epoch === message.epoch ? held : undefined
    if (log.epochAt(previousIndex) === previousEpoch) return held
    if (previousIndex > replica.commitIndex) return this.#answer(false, replica.commitIndex, false)
    return this.#startOver(message)
  }

  /** Takes the entries that are not held yet. False: something committed would have to go. */
  #take({ log }: Held, message: Append): boolean {
    const replica = this.#replica
    let index = message.previousIndex
    for (const entry of message.entries) {
      index += 1
      if (entry.index !== index || entry.epoch > message.epoch) return false
      if (index <= log.baseIndex) continue
      const epoch = log.epochAt(index)
      if (epoch === entry.epoch) continue
      if (epoch !== undefined) {
        if (index <= replica.commitIndex) {
          this.#startOver(message)
          return false
        }
        replica.truncateAfter(index - 1)
      }
      if (entry.epoch < log.lastEpoch) return false
      log.append(entry)
      replica.lastAtMs = entry.atMs
    }
    replica.turn.touch(replica)
    return true
  }

  /** A committed entry conflicts: what is held here is of an older birth of the partition. */
  #startOver(message: Append): Held | undefined {
    const replica = this.#replica
    replica.turn.emit('warn', 'replication.older-birth-dropped', { partition: replica.partition, epoch: message.epoch })
    replica.drop()
    this.#answer(false, 0, true)
    return undefined
  }

  #install(incoming: IncomingTransfer, message: Chunk): void {
    const replica = this.#replica
    this.#incoming = undefined
    const log = replica.held?.log
    if (log?.epochAt(message.lastIndex) === message.lastEpoch) {
      // Held already, though not known to be committed.
      replica.commitIndex = Math.max(replica.commitIndex, message.lastIndex)
      replica.applyReady()
    } else
      replica.install(
        incoming.finish(replica.turn.now.monotonicMs),
        message.lastEpoch,
        message.lastIndex,
        message.epoch,
      )
    this.#verified = Math.max(this.#verified, message.lastIndex)
    this.#isAnswerDue = true
  }

  #acknowledgeChunk(to: MemberId, message: Chunk, ordinal: number): void {
    const { partition, transfer, epoch } = message
    this.#replica.turn.send(to, 'data', { kind: 'chunked', partition, epoch, transfer, ordinal })
  }

  #answer(isAccepted: boolean, matchIndex: number, needsSnapshot: boolean): undefined {
    const { turn, partition } = this.#replica
    if (this.#owner === undefined) return
    turn.send(this.#owner, 'data', {
      kind: 'appended',
      partition,
      epoch: this.acceptedEpoch,
      isAccepted,
      matchIndex,
      needsSnapshot,
    })
  }
}
