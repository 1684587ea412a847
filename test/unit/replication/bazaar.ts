/**
 * Callers and partitions in a lawless market: messages arrive late, out of order, twice or never, owners turn requests
 * down, partitions move by snapshot, callers die. Every choice is drawn from one seed. What it knows at the end: which
 * tags each call wanted to add, what each call heard, and which tags are there.
 */
import { sessionId, type PartitionId } from '../../../lib/base/ids.ts'
import type { Plain } from '../../../lib/base/shape.ts'
import { Prng } from '../../../lib/base/prng.ts'
import { emptyClusterState, type ClusterState } from '../../../lib/consensus/cluster-state.ts'
import { Caller, type CallerEffect, type CallerInput, type Settled } from '../../../lib/replication/caller.ts'
import type { Outcome, TransactionId } from '../../../lib/replication/command.ts'
import type { ReplicationMessage } from '../../../lib/replication/messages.ts'
import { recordCodes } from '../../../lib/replication/snapshot.ts'
import { LogOf } from './log-of.ts'
import type { ToyOperation } from './toy-machine.ts'

export interface BazaarOptions {
  readonly seed: number
  readonly callerCount: number
  readonly partitionCount: number
  readonly callCount: number
  /** Share of calls that are transactions over several partitions. */
  readonly transactionRatio: number
  readonly lossRatio: number
  readonly duplicateRatio: number
  /** Share of requests that an owner turns down without logging them. */
  readonly turnDownRatio: number
  /** Chance per step that a caller dies, or that its session is replaced. */
  readonly deathRatio: number
  readonly moveRatio: number
}

export interface Wanted {
  readonly tag: string
  readonly partitions: readonly PartitionId[]
  outcome: Settled | undefined
}

interface Letter {
  readonly to: string
  readonly from: string
  readonly message: ReplicationMessage
}

interface Shopper {
  readonly member: string
  readonly caller: Caller
  ordinal: number
  isDead: boolean
}

/** Keys per partition: few, so that transactions meet. */
const keyCount = 3
/** Short, so that participants often ask while the coordinator lives. */
const inquireAfterMs = 150
/** Turns in calm: enough for whoever asks and repeats to be answered. */
const calmTurnsMax = 20_000
/** Letters on their way beyond which time stands. */
const lettersBusy = 100

export class Bazaar {
  readonly wanted: Wanted[] = []
  readonly partitions: readonly LogOf[]
  /** Transactions that a participant had to ask for, and that were aborted for it. */
  recoveredCount = 0
  movedCount = 0
  readonly #options: BazaarOptions
  readonly #prng: Prng
  readonly #shoppers: Shopper[] = []
  readonly #ended: string[] = []
  #letters: Letter[] = []
  #nowMs = 0

  constructor(options: BazaarOptions) {
    this.#options = options
    this.#prng = new Prng(options.seed)
    this.partitions = Array.from({ length: options.partitionCount }, () => new LogOf(inquireAfterMs))
    for (let i = 0; i < options.callerCount; i++) this.#arrive()
  }

  /** Runs until every call has settled or died with its caller, then until nothing is left to be said. */
  run(): void {
    const { callCount, deathRatio, moveRatio } = this.#options
    while (this.wanted.length < callCount || this.#isBusy()) {
      if (this.wanted.length < callCount && this.#prng.chance(0.2)) this.#shop()
      if (this.#prng.chance(deathRatio)) this.#disturb()
      if (this.#prng.chance(moveRatio)) this.#move()
      this.#turn(true)
    }
    // Calm: nothing is lost any more, and whoever died is known to have ended.
    for (let turn = 0; turn < calmTurnsMax && !this.#isSilent(); turn++) this.#turn(false)
  }

  /** How often the tag was added to a partition. */
  countOf(tag: string, partition: PartitionId): number {
    let count = 0
    for (const tags of this.partitions[partition]?.machine.tags.values() ?? []) {
      for (const found of tags) if (found === tag) count++
    }
    return count
  }

  /** Transactions that some partition still holds keys or a decision for. */
  unfinishedCount(): number {
    let count = 0
    for (const { state } of this.partitions) {
      const records = (state.snapshot().next(Infinity) ?? []) as readonly (readonly Plain[])[]
      count += records.filter(([code]) => code === recordCodes.prepared || code === recordCodes.decision).length
    }
    return count
  }

  #isBusy(): boolean {
    return this.#shoppers.some(({ isDead, caller }) => !isDead && caller.openCount > 0)
  }

  #isSilent(): boolean {
    return this.#letters.length === 0 && this.unfinishedCount() === 0
  }

  #turn(isLawless: boolean): void {
    const { lossRatio, duplicateRatio } = this.#options
    // Time stands while many letters lie about: the market is lawless, not overrun.
    if (this.#letters.length > lettersBusy || (this.#letters.length > 0 && this.#prng.chance(0.9))) {
      const at = this.#prng.int(0, this.#letters.length - 1)
      const [letter] =
        isLawless && this.#prng.chance(duplicateRatio) ? [this.#letters[at]] : this.#letters.splice(at, 1)
      if (letter && !(isLawless && this.#prng.chance(lossRatio))) this.#deliver(letter, isLawless)
    } else {
      this.#nowMs += this.#prng.int(1, 100)
      this.#housekeeping()
    }
    for (const shopper of this.#shoppers) {
      const dueMs = shopper.caller.deadline()
      if (!shopper.isDead && dueMs !== undefined && dueMs <= this.#nowMs) this.#step(shopper, { kind: 'tick' })
    }
  }

  #arrive(): void {
    const member = `m${this.#shoppers.length}`
    const caller = new Caller({ member, seed: this.#prng.uint32(), options: { requests: { retransmitMs: 100 } } })
    const shopper = { member, caller, ordinal: 1, isDead: false }
    this.#shoppers.push(shopper)
    this.#step(shopper, { kind: 'table', state: this.#table() })
    this.#step(shopper, { kind: 'session', session: sessionId(member, 1), untilMonotonicMs: Infinity })
  }

  #table(): ClusterState {
    const entry = { epoch: 1, bornEpoch: 1, owner: 'owner', backups: [], learners: [] }
    return { ...emptyClusterState, partitions: this.partitions.map(() => entry) }
  }

  #shop(): void {
    const shopper = this.#prng.pick(this.#shoppers.filter(({ isDead }) => !isDead))
    if (shopper === undefined) return
    const isTransaction = this.#prng.chance(this.#options.transactionRatio)
    const all = this.#prng.shuffle(this.partitions.map((_, partition) => partition))
    const partitions = all.slice(0, isTransaction ? 2 : 1)
    const id = this.wanted.length
    const tag = `t${id}`
    this.wanted.push({ tag, partitions, outcome: undefined })
    const deadlineMs = this.#nowMs + this.#prng.int(1, 4000)
    const parts = partitions.map(partition => ({ partition, operations: [this.#operation(tag)] }))
    this.#step(shopper, { kind: 'transact', id, parts, deadlineMs })
    if (this.#prng.chance(0.02)) this.#step(shopper, { kind: 'cancel', id })
  }

  #operation(tag: string): ToyOperation {
    const key = `k${this.#prng.int(1, keyCount)}`
    if (this.#prng.chance(0.1)) return { kind: 'toy.addIf', key, tag, count: this.#prng.int(0, 9) }
    return { kind: this.#prng.chance(0.1) ? 'toy.free' : 'toy.add', key, tag }
  }

  /** Someone dies or loses the session, or merely a link breaks. */
  #disturb(): void {
    const shopper = this.#prng.pick(this.#shoppers.filter(({ isDead }) => !isDead))
    if (shopper === undefined) return
    if (this.#prng.chance(0.3)) return this.#step(shopper, { kind: 'linkDown', member: 'owner' })
    this.#end(sessionId(shopper.member, shopper.ordinal))
    if (this.#prng.chance(0.5)) {
      shopper.isDead = true
      return this.#arrive()
    }
    const session = sessionId(shopper.member, ++shopper.ordinal)
    this.#step(shopper, { kind: 'session', session: undefined, untilMonotonicMs: 0 })
    this.#step(shopper, { kind: 'session', session, untilMonotonicMs: Infinity })
  }

  /** The cluster agreed that it is over: each partition that knows it logs the end in its own time. */
  #end(session: string): void {
    this.#ended.push(session)
  }

  #move(): void {
    const log = this.#prng.pick(this.partitions)
    if (log === undefined) return
    log.restore(this.#prng.int(1, 2000))
    log.epoch++
    log.state.promoted(this.#nowMs)
    this.movedCount++
  }

  #step(shopper: Shopper, input: CallerInput): void {
    const effects = shopper.caller.step({ monotonicMs: this.#nowMs, wallMs: 0 }, input)
    for (const effect of effects) this.#perform(shopper, effect)
  }

  #perform({ member }: Shopper, effect: CallerEffect): void {
    if (effect.kind === 'send') {
      this.#letters.push({ to: effect.to, from: member, message: effect.message })
      return
    }
    const wanted = this.wanted[effect.id] as Wanted
    if (wanted.outcome !== undefined) throw new Error(`${wanted.tag} settled twice`)
    wanted.outcome = effect.outcome
  }

  #deliver({ to, from, message }: Letter, isLawless: boolean): void {
    if (message.kind === 'reply') {
      const shopper = this.#shoppers.find(({ member, isDead }) => member === to && !isDead)
      if (shopper) this.#step(shopper, { kind: 'received', from, message })
    } else this.#serve(from, message, isLawless)
  }

  /** What an owner does with a message, its log being committed at once. */
  #serve(from: string, message: ReplicationMessage, isLawless: boolean): void {
    if (message.kind === 'request') {
      const log = this.#at(message.partition)
      const { call } = message.command as { readonly call: { readonly session: string } }
      const isTurnedDown = isLawless && this.#prng.chance(this.#options.turnDownRatio)
      if (isTurnedDown)
        return this.#reply(from, message.id, { kind: 'retry', reason: 'busy', owner: undefined, epoch: 1 })
      if (this.#ended.includes(call.session)) {
        return this.#reply(from, message.id, { kind: 'indeterminate', message: 'session ended' })
      }
      const outcome = log.apply(message.command)
      if (outcome) this.#reply(from, message.id, outcome)
    } else if (message.kind === 'inquire') this.#inquired(message.transaction, message.participant)
    else if (message.kind === 'decided') {
      const { transaction, participant, commit } = message
      this.#at(participant).apply({ kind: 'finish', transaction, commit })
      this.#tell({ kind: 'finished', transaction, participant })
    } else if (message.kind === 'finished') {
      const { transaction, participant } = message
      const log = this.#at(transaction.partition)
      const forget = log.state.acknowledge(transaction, participant, this.#nowMs)
      if (forget) log.apply(forget)
    }
  }

  #inquired(transaction: TransactionId, participant: PartitionId): void {
    const log = this.#at(transaction.partition)
    let commit = log.state.decision(transaction)
    if (commit === undefined) {
      const outcome = log.apply({ kind: 'resolve', transaction })
      if (outcome?.kind !== 'done') return
      commit = outcome.results[0] === true
      this.recoveredCount++
    }
    this.#tell({ kind: 'decided', transaction, participant, commit })
  }

  #housekeeping(): void {
    for (const [participant, log] of this.partitions.entries()) {
      log.nowMs = this.#nowMs
      for (const session of log.state.sessions()) {
        if (this.#ended.includes(session)) log.apply({ kind: 'end-session', session })
      }
      for (const command of log.state.due(this.#nowMs, log.atMs, 10)) log.apply(command)
      for (const transaction of log.state.openInquiries(this.#nowMs)) {
        this.#tell({ kind: 'inquire', transaction, participant })
      }
      for (const { transaction, commit, participants } of log.state.openDecisions(this.#nowMs)) {
        for (const to of participants) this.#tell({ kind: 'decided', transaction, participant: to, commit })
      }
    }
  }

  #tell(message: ReplicationMessage): void {
    this.#letters.push({ to: 'owner', from: 'owner', message })
  }

  #reply(to: string, id: number, outcome: Outcome): void {
    this.#letters.push({ to, from: 'owner', message: { kind: 'reply', id, outcome } })
  }

  #at(partition: PartitionId): LogOf {
    return this.partitions[partition] as LogOf
  }
}

/** What is wrong with how a run ended; empty if every promise was kept. */
export function complaints(bazaar: Bazaar, isExact: boolean): readonly string[] {
  const found: string[] = []
  for (const { tag, partitions, outcome } of bazaar.wanted) {
    const counts = partitions.map(partition => bazaar.countOf(tag, partition))
    const heard = outcome?.kind ?? 'nothing'
    const happened = Math.max(...counts)
    if (happened > 1) found.push(`${tag} was applied ${happened} times`)
    if (Math.min(...counts) !== happened) found.push(`${tag} was applied in part`)
    if (heard === 'done' && happened === 0) found.push(`${tag} was acknowledged and is not there`)
    const isRefused = heard === 'refused' || (isExact && heard === 'unavailable')
    if (isRefused && happened > 0) found.push(`${tag} heard ${heard} and is there`)
  }
  if (bazaar.unfinishedCount() > 0) found.push(`${bazaar.unfinishedCount()} transactions were left unfinished`)
  return found
}
