/**
 * An owner's side of replication, from the epoch in which it became owner until somebody else does. It commits what all
 * backups of the newest known configuration hold, and every learner that it asked to promote; never by majority.
 *
 * A new owner logs a barrier in its own epoch and serves nothing, reads included, until that is applied: then its whole
 * tail is committed in its epoch. If the table moves on with the same owner and no epoch skipped, it goes on serving;
 * new entries carry the new epoch.
 */
import type { Instant } from '../base/instant.ts'
import type { MemberId } from '../base/ids.ts'
import type { PartitionEntry } from '../consensus/cluster-state.ts'
import { Chores } from './chores.ts'
import type { Command, LogEntry, Outcome } from './command.ts'
import { Copy } from './copy.ts'
import { OpenCalls } from './open-calls.ts'
import type { ReplicationMessage } from './messages.ts'
import type { Held, Replica } from './replica.ts'
import { Petitions } from './petitions.ts'
import { Supply } from './supply.ts'
import type { Turn } from './turn.ts'
import type { CallerMessage } from './waiting-line.ts'

type Appended = Extract<ReplicationMessage, { readonly kind: 'appended' }>
type Chunked = Extract<ReplicationMessage, { readonly kind: 'chunked' }>

export class Tenure {
  readonly replica: Replica
  readonly turn: Turn
  readonly held: Held
  /** The barrier is applied: requests are served while the lease holds. */
  isOpen = false
  readonly chores: Chores
  readonly #calls: OpenCalls
  readonly #barrierIndex: number
  readonly #copies = new Map<MemberId, Copy>()
  readonly #petitions: Petitions
  readonly #supply: Supply
  readonly #beganAtMs: number
  readonly #beganEpoch: number
  // Who owned the partition before and has not been heard of in this tenure: it may still hold a lease and serve.
  #formerOwner: MemberId | undefined
  #entry: PartitionEntry
  /** The latest hybrid logical time that was told, and when. */
  #told: Instant

  constructor(replica: Replica, held: Held, entry: PartitionEntry, formerOwner: MemberId | undefined) {
    this.replica = replica
    this.turn = replica.turn
    this.held = held
    this.#entry = entry
    this.#calls = new OpenCalls(this)
    this.chores = new Chores(this)
    this.#petitions = new Petitions(this)
    this.#supply = new Supply(this)
    this.#beganAtMs = this.turn.now.monotonicMs
    this.#beganEpoch = entry.epoch
    this.#told = { wallMs: replica.lastAtMs, monotonicMs: this.#beganAtMs }
    this.#formerOwner = formerOwner === this.turn.member ? undefined : formerOwner
    const tailLength = held.log.lastIndex - replica.commitIndex
    this.turn.emit('debug', 'replication.owner-promoted', {
      partition: replica.partition,
      epoch: entry.epoch,
      tailLength,
    })
    this.#barrierIndex = this.propose({ kind: 'barrier' })
    this.#sync(this.#barrierIndex)
    this.#petitions.consider()
  }

  get bytes(): number {
    let bytes = 0
    for (const copy of this.#copies.values()) bytes += copy.transfer?.bytes ?? 0
    return bytes
  }

  /** The configuration's epoch, which new entries carry. */
  get epoch(): number {
    return this.#entry.epoch
  }

  get copies(): Iterable<Copy> {
    return this.#copies.values()
  }

  /**
   * Hybrid logical time: the wall clock, but never before the last entry, and never slower than the monotonic clock: with a
   * wall clock that was put back, delays and expiries would wait until it is where it was.
   */
  get atMs(): number {
    const { wallMs, monotonicMs } = this.turn.now
    const ranMs = this.#told.wallMs + monotonicMs - this.#told.monotonicMs
    const atMs = Math.max(this.replica.lastAtMs, Math.floor(wallMs), Math.floor(ranMs))
    if (atMs > ranMs) this.#told = { wallMs: atMs, monotonicMs }
    return atMs
  }

  /** As many copies as a write needs. */
  get hasCopies(): boolean {
    return 1 + this.#entry.backups.length >= this.turn.table.settings.minCopies
  }

  /** Too much is logged and not committed. */
  get isCrowded(): boolean {
    const { openMax, openBytesMax, logBytesMax } = this.turn.options
    const { log } = this.held
    return log.lastIndex - this.replica.commitIndex >= openMax || log.bytes > openBytesMax + logBytesMax
  }

  /** Members changed: some backup may have fallen silent. */
  membersChanged(): void {
    if (this.isOpen) this.chores.endSessions()
    this.#petitions.consider()
    this.turn.watched.add(this.replica)
  }

  /** The table has this backup silent or parting: it goes as soon as the owner says that it knows. */
  isParting({ member, isBackup }: Copy): boolean {
    if (!isBackup) return false
    return this.#entry.parting?.includes(member) === true || this.turn.table.members.get(member)?.state === 'silent'
  }

  /** The table moved on by one epoch and this member is still the owner. */
  configure(entry: PartitionEntry): void {
    this.#entry = entry
    this.#petitions.epochMoved()
    this.#sync(this.held.log.lastIndex + 1)
    this.advance()
    this.#petitions.consider()
    this.turn.touch(this.replica)
  }

  /** Appends a command to the log; returns its index. */
  propose(command: Command): number {
    const { log } = this.held
    const entry: LogEntry = { epoch: this.#entry.epoch, index: log.lastIndex + 1, atMs: this.atMs, command }
    log.append(entry)
    this.replica.lastAtMs = entry.atMs
    this.turn.touch(this.replica)
    return entry.index
  }

  admit(from: MemberId, message: CallerMessage): void {
    this.#calls.admit(from, message)
  }

  /** Moves the commit point to what every required copy holds. */
  advance(): void {
    let index = this.replica.durableIndex
    for (const copy of this.#copies.values()) if (copy.isRequired) index = Math.min(index, copy.match)
    if (index <= this.replica.commitIndex) return
    this.replica.commitIndex = index
    if (this.#copies.size > 0) this.turn.announce(this.replica)
    this.replica.applyReady()
  }

  /** An entry of the log was applied. */
  applied(entry: LogEntry, outcome: Outcome | undefined): void {
    this.#calls.applied(entry, outcome)
    this.chores.applied(entry, outcome)
    if (entry.index >= this.#barrierIndex) this.#open()
  }

  /** A copy's answer to an append. */
  appended(from: MemberId, message: Appended): void {
    if (from === this.#formerOwner && message.epoch >= this.#beganEpoch) this.#hearFormerOwner()
    const copy = this.#copies.get(from)
    if (copy === undefined || message.epoch < copy.sinceEpoch || message.epoch > this.#entry.epoch) return
    const nowMs = this.turn.now.monotonicMs
    if (message.needsSnapshot) this.#emptied(copy)
    else if (message.isAccepted) {
      if (message.matchIndex > this.held.log.lastIndex) return
      copy.accepted(message.matchIndex, nowMs, this.turn.options)
      if (copy.mode === 'snapshot' && copy.match >= (copy.transfer?.index ?? this.held.log.baseIndex))
        this.#supply.endTransfer(copy, copy.match + 1)
      this.#petitions.consider()
      this.advance()
    } else if (!copy.rejected(message.matchIndex)) return
    if (copy.mode !== 'stream' || copy.next <= this.held.log.lastIndex) this.turn.touch(this.replica)
  }

  /** A copy knows a newer epoch, or has just learnt of this one and refused what was on its way. */
  refused(from: MemberId, epoch: number): void {
    const copy = this.#copies.get(from)
    if (copy === undefined || !copy.isOutstanding) return
    copy.heard()
    copy.isAhead = epoch > this.#entry.epoch
    if (copy.isAhead || copy.refusedEpoch === epoch) return
    copy.refusedEpoch = epoch
    copy.rewind()
    this.turn.touch(this.replica)
  }

  chunked(from: MemberId, message: Chunked): void {
    const copy = this.#copies.get(from)
    if (copy !== undefined && this.#supply.chunked(copy, message.transfer, message.ordinal))
      this.turn.touch(this.replica)
  }

  /** The link to a member came back, or a lane of it was reset: what was in flight is lost. */
  linked(member: MemberId): void {
    const copy = this.#copies.get(member)
    if (copy === undefined) return
    copy.rewind()
    if (copy.transfer !== undefined) this.#supply.repeat(copy, copy.transfer)
    this.turn.touch(this.replica)
  }

  /** Sends what the copies are ready for. */
  flush(): void {
    for (const copy of this.#copies.values()) this.#supply.feed(copy)
    if (this.isOpen) this.chores.scheduleNew()
  }

  /** Tells the commit point to those that have not heard it with an entry. */
  announce(): void {
    for (const copy of this.#copies.values()) {
      if (copy.mode === 'stream' && copy.announced < this.replica.commitIndex) this.#supply.sendEmpty(copy)
    }
  }

  /** Logs what is due. */
  tend(): void {
    if (this.isOpen) this.chores.tend()
  }

  /** Looks at the copies' timers; false if there is nothing left to look at. */
  sweep(): boolean {
    if (this.held.state.appliedIndex >= this.#barrierIndex) this.#open()
    let isBusy = !this.isOpen
    for (const copy of this.#copies.values()) {
      this.#supply.retry(copy)
      this.#supply.confirm(copy)
      isBusy ||=
        copy.isOutstanding || !copy.isBackup || copy.mode !== 'stream' || copy.confirmed < this.replica.commitIndex
      isBusy ||= this.isParting(copy)
    }
    this.#petitions.consider()
    return this.#petitions.repeat() || isBusy
  }

  /** Copies that still catch up need the entries after this one. */
  neededAfter(): number {
    let index = Infinity
    for (const copy of this.#copies.values()) {
      const heldIndex = copy.transfer?.index ?? Math.max(copy.match, copy.sentIndex)
      if (heldIndex > 0) index = Math.min(index, heldIndex)
    }
    return index
  }

  end(): void {
    for (const copy of this.#copies.values()) this.#drop(copy)
    this.#calls.end()
  }

  /**
   * Opens once the former owner cannot be serving any more: it answered in this tenure, the table has it silent or gone
   * (placement waited for its lease then), or a whole lease went by. A swap of roles does not wait for the lease.
   */
  #open(): void {
    const { turn, replica } = this
    if (this.isOpen) return
    const isOver = turn.now.monotonicMs - this.#beganAtMs >= turn.options.silentAfterMs
    const former = this.#formerOwner === undefined ? undefined : turn.table.members.get(this.#formerOwner)
    if (former !== undefined && former.state !== 'silent' && !isOver) return
    this.isOpen = true
    this.held.state.promoted(turn.now.monotonicMs)
    turn.effects.push({ kind: 'opened', partition: replica.partition, epoch: this.#entry.epoch })
    turn.emit('debug', 'replication.opened', {
      partition: replica.partition,
      epoch: this.#entry.epoch,
      gapMs: turn.now.monotonicMs - this.#beganAtMs,
    })
    this.chores.endSessions()
    replica.admitWaiting()
    turn.touch(replica)
  }

  #hearFormerOwner(): void {
    this.#formerOwner = undefined
    if (this.held.state.appliedIndex >= this.#barrierIndex) this.#open()
  }

  /** Makes the copies those of the entry. `next`: where to look for the common prefix with newcomers. */
  #sync(next: number): void {
    const { backups, learners, epoch } = this.#entry
    for (const [member, copy] of this.#copies) {
      if (backups.includes(member) || learners.includes(member)) continue
      this.#drop(copy)
      this.#copies.delete(member)
    }
    for (const member of [...backups, ...learners]) {
      const isBackup = backups.includes(member)
      const copy = this.#copies.get(member) ?? this.#newCopy(member, isBackup, next)
      copy.isBackup = isBackup
      if (copy.isAhead) copy.rewind()
      copy.isAhead = false
      const askedEpoch = copy.promotion?.askedEpoch
      if (isBackup || (askedEpoch !== undefined && askedEpoch < epoch)) copy.promotion = undefined
    }
  }

  #drop(copy: Copy): void {
    this.#supply.stopTransfer(copy)
    copy.end()
  }

  #newCopy(member: MemberId, isBackup: boolean, next: number): Copy {
    const { now, options, inFlights } = this.turn
    const shared = inFlights.to(member)
    const copy = new Copy(member, shared, isBackup, this.#entry.epoch, next, now.monotonicMs, options.retransmitMs)
    this.#copies.set(member, copy)
    return copy
  }

  /** The copy says that it holds nothing. With the whole log at hand that begins at the start; else by a snapshot. */
  #emptied(copy: Copy): void {
    copy.heard()
    if (copy.transfer !== undefined) return
    copy.emptyCount += 1
    if (copy.match > 0 && copy.emptyCount < 2) return copy.probeFrom(copy.match + 1)
    copy.match = 0
    copy.probeFrom(this.held.log.baseIndex === 0 ? 1 : 0)
    if (copy.isBackup) this.#petitions.askRemoval(copy)
  }
}
