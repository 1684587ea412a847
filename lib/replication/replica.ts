/**
 * One partition at one member: its log, the state the log is applied to, and which part it plays. As owner it has a
 * `Tenure`, otherwise it follows (`Follower`). Primary-backup under an external configuration (PacificA, Lin et al.
 * 2008): the table in consensus says who is who in which epoch.
 *
 * Decision: a copy discards an entry only when an owner of a newer epoch writes another one in its place, or when the
 * table has given its copy up; not already on becoming a learner. Names make that enough to return by the tail, and an
 * acknowledgement given in an epoch then stays true for as long as that owner's tenure lasts.
 *
 * Decision: a member that the table names as owner or backup when it first hears of a birth begins empty; whoever was
 * a learner first, or lost its state, does not, and refuses to serve if the table should ever name it.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { PartitionEntry } from '../consensus/cluster-state.ts'
import { Follower } from './follower.ts'
import { PartitionLog } from './partition-log.ts'
import { Tenure } from './tenure.ts'
import type { Driven, LogState, ReplicationRecord, Turn } from './turn.ts'
import { WaitingLine, type CallerMessage } from './waiting-line.ts'

const hashesKept = 4

/** A log, and the state that its entries up to `state.appliedIndex` made. */
export interface Held {
  readonly log: PartitionLog
  readonly state: LogState
  /** The state derives from a birth of this epoch or a later one. */
  readonly rootEpoch: number
}

export class Replica implements Driven {
  readonly partition: PartitionId
  readonly turn: Turn
  /** The newest known one. */
  entry: PartitionEntry | undefined
  /** Undefined: holds nothing. */
  held: Held | undefined
  /** Highest configuration epoch heard of, from the table or a message; lower ones are refused. */
  seenEpoch = 0
  /** appliedIndex <= commitIndex <= lastIndex; applied <= durable <= handed <= last. */
  commitIndex = 0
  durableIndex = 0
  lastAtMs = 0
  tenure: Tenure | undefined
  readonly follower: Follower
  readonly waiting: WaitingLine = new WaitingLine()
  /** Newest last: hashes of the state at multiples of `hashInterval`. */
  readonly hashes: { readonly index: number; readonly hash: number }[] = []
  #handedIndex = 0
  #isInstalled = false
  #birthSeen = 0

  constructor(partition: PartitionId, turn: Turn) {
    this.partition = partition
    this.turn = turn
    this.follower = new Follower(this)
  }

  /** Log, state, and transfers on their way in or out. */
  get bytes(): number {
    return (
      (this.held === undefined ? 0 : this.held.log.bytes + this.held.state.bytes) +
      this.follower.bytes +
      (this.tenure?.bytes ?? 0)
    )
  }

  /** Folds what the table says now. */
  configure(entry: PartitionEntry): void {
    const before = this.entry
    if (before !== undefined && entry.epoch <= before.epoch) return
    this.entry = entry
    this.seenEpoch = Math.max(this.seenEpoch, entry.epoch)
    this.#birth(entry)
    const isOwner = entry.owner === this.turn.member && entry.epoch === this.seenEpoch
    if (!isOwner) {
      this.stepDown()
      this.#dropIfUnwanted(entry)
    } else if (this.tenure !== undefined && before?.epoch === entry.epoch - 1) this.tenure.configure(entry)
    else {
      this.stepDown()
      this.#takeOffice(entry, before?.owner)
    }
    this.#recall()
  }

  /** Somebody else owns the partition now. Callers of what was logged hear nothing: it may still be committed. */
  stepDown(): void {
    if (this.tenure === undefined) return
    this.tenure.end()
    this.tenure = undefined
    this.turn.emit('debug', 'replication.stepped-down', { partition: this.partition, epoch: this.seenEpoch })
  }

  /** A caller's word. */
  receive(from: MemberId, message: CallerMessage): void {
    const { options, now } = this.turn
    if (this.tenure?.isOpen === true) this.tenure.admit(from, message)
    else if (this.tenure === undefined && message.epoch <= (this.entry?.epoch ?? 0))
      this.sendBack(from, message.id, 'not-owner')
    else if (this.waiting.length >= options.waitingMax) this.sendBack(from, message.id, 'not-open')
    else {
      this.waiting.add(from, message, now.monotonicMs + options.waitMs)
      this.turn.watched.add(this)
    }
  }

  /** It did not happen; where to go instead. */
  sendBack(to: MemberId, id: number, reason: 'not-owner' | 'not-open' | 'busy' | 'no-lease' | 'few-copies'): void {
    this.turn.reply(to, id, { kind: 'retry', reason, owner: this.entry?.owner, epoch: this.entry?.epoch ?? 0 })
  }

  /** Those who waited for the partition to open. */
  admitWaiting(): void {
    for (const { from, message } of this.waiting.takeAll()) this.receive(from, message)
  }

  /** Begins with nothing, as at a birth. */
  beginEmpty(bornEpoch: number): Held {
    return this.#hold({
      log: new PartitionLog(bornEpoch, 0),
      state: this.turn.states.empty(this.partition),
      rootEpoch: bornEpoch,
    })
  }

  /** Replaces whatever it held by a complete snapshot whose last entry is (epoch, index). */
  install(state: LogState, epoch: number, index: number, rootEpoch: number): void {
    this.#hold({ log: new PartitionLog(epoch, index), state, rootEpoch })
    this.commitIndex = index
    this.lastAtMs = state.appliedAtMs
    this.#handedIndex = index
    this.#isInstalled = true
    this.turn.emit('debug', 'replication.snapshot-installed', { partition: this.partition, index })
  }

  /** Forgets log and state. */
  drop(): void {
    this.held = undefined
    this.#reset()
  }

  truncateAfter(index: number): void {
    this.held?.log.truncateAfter(index)
    this.#handedIndex = Math.min(this.#handedIndex, index)
    this.durableIndex = Math.min(this.durableIndex, index)
  }

  /** The entries that the store has not been given yet. */
  unpersisted(): ReplicationRecord | undefined {
    const log = this.held?.log
    if (log === undefined || (this.#handedIndex === log.lastIndex && !this.#isInstalled)) return undefined
    const snapshot = this.#isInstalled
      ? { epoch: log.epochAt(log.baseIndex) as number, index: log.baseIndex }
      : undefined
    const afterIndex = this.#handedIndex
    this.#handedIndex = log.lastIndex
    this.#isInstalled = false
    const { entries } = log.slice(afterIndex + 1, Infinity, Infinity)
    return { partition: this.partition, epoch: this.seenEpoch, afterIndex, entries, snapshot }
  }

  /** The store holds everything up to the entry of this name, if that is still in the log. */
  persisted(epoch: number, index: number): void {
    if (this.held?.log.epochAt(index) !== epoch || index <= this.durableIndex) return
    this.durableIndex = index
    if (this.tenure !== undefined) this.tenure.advance()
    else this.applyReady()
    this.follower.acknowledge()
  }

  /** Applies what is committed and durable, a bounded stretch at a time. */
  applyReady(): void {
    const { held, turn } = this
    if (held === undefined) return
    const readyIndex = Math.min(this.commitIndex, this.durableIndex)
    const end = Math.min(readyIndex, held.state.appliedIndex + turn.options.applyMax)
    while (held.state.appliedIndex < end) {
      const entry = held.log.at(held.state.appliedIndex + 1)
      if (entry === undefined) break
      const outcome = held.state.apply(entry, turn.now.monotonicMs)
      if (entry.index % turn.options.hashInterval === 0) this.#remember(entry.index, held.state.hash)
      this.tenure?.applied(entry, outcome)
      if (this.held !== held) return
    }
    turn.touch(this)
    this.#cut(held)
  }

  flush(): void {
    if (this.held !== undefined && this.held.state.appliedIndex < Math.min(this.commitIndex, this.durableIndex))
      this.applyReady()
    if (this.tenure !== undefined) this.tenure.flush()
    else this.follower.acknowledge()
  }

  announce(): void {
    this.tenure?.announce()
  }

  sweep(): boolean {
    for (const { from, message } of this.waiting.takeOverdue(this.turn.now.monotonicMs))
      this.sendBack(from, message.id, 'not-open')
    const isBusy = this.tenure?.sweep() ?? false
    return isBusy || this.waiting.length > 0
  }

  tend(): void {
    this.tenure?.tend()
  }

  #birth(entry: PartitionEntry): void {
    if (entry.bornEpoch <= this.#birthSeen) return
    this.#birthSeen = entry.bornEpoch
    if (this.held !== undefined && this.held.rootEpoch >= entry.bornEpoch) return
    this.stepDown()
    this.drop()
    const { member } = this.turn
    if (entry.owner === member || entry.backups.includes(member)) this.beginEmpty(entry.bornEpoch)
  }

  /** While nobody owns the partition nothing is given up: this may be the last copy. */
  #dropIfUnwanted(entry: PartitionEntry): void {
    const { member } = this.turn
    const isWanted =
      entry.owner === undefined ||
      entry.owner === member ||
      entry.backups.includes(member) ||
      entry.learners.includes(member)
    if (!isWanted && entry.epoch > this.follower.acceptedEpoch) this.drop()
  }

  #takeOffice(entry: PartitionEntry, formerOwner: MemberId | undefined): void {
    if (this.held === undefined) {
      this.turn.emit('error', 'replication.owner-without-state', { partition: this.partition, epoch: entry.epoch })
      return
    }
    this.follower.abandon()
    this.tenure = new Tenure(this, this.held, entry, formerOwner)
  }

  /** Those who waited hear where to go, now that the table says so. */
  #recall(): void {
    if (this.waiting.length > 0 && this.tenure === undefined) this.admitWaiting()
  }

  #hold(held: Held): Held {
    this.#reset()
    this.held = held
    this.turn.touch(this)
    return held
  }

  #reset(): void {
    this.commitIndex = this.durableIndex = this.#handedIndex = this.lastAtMs = 0
    this.#isInstalled = false
    this.hashes.length = 0
    this.follower.forget()
    this.turn.touch(this)
  }

  #remember(index: number, hash: number): void {
    this.hashes.push({ index, hash })
    if (this.hashes.length > hashesKept) this.hashes.shift()
    this.follower.compareHash()
  }

  /** Keeps the log within its bounds; applied entries alone go, and at first none that a copy still needs. */
  #cut({ log, state }: Held): void {
    const { logBytesMax, logLengthMax, logCatchUpFactor } = this.turn.options
    if (log.bytes <= logBytesMax && log.length <= logLengthMax) return
    const needed = this.tenure?.neededAfter() ?? Infinity
    const isOverfull = log.bytes > logBytesMax * logCatchUpFactor || log.length > logLengthMax * logCatchUpFactor
    const limit = isOverfull ? state.appliedIndex : Math.min(state.appliedIndex, needed)
    // Half of the bound stays, so that a cut is rare and a short sleep returns by the tail.
    while (log.baseIndex < limit && (log.bytes > logBytesMax / 2 || log.length > logLengthMax / 2))
      log.cutTo(log.baseIndex + 1)
  }
}
