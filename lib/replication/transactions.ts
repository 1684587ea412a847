/**
 * Transactions as one partition sees them: what is prepared here (as participant), with the keys it holds, and which
 * decisions are not yet acknowledged by all (as the record's partition). Two-phase commit with the record in a replicated
 * log, so that no coordinator has to come back (Gray & Lamport 2006, section 3; RIFL, Lee et al. 2015, section 6).
 * Keys are held without waiting: who meets one is told 'locked' and tries again, so there is no deadlock to detect.
 *
 * What is marked volatile only paces messages of an owner; it is in no snapshot and no hash.
 */
import { plainBytes } from '../base/bytes.ts'
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Operation, TransactionId } from './command.ts'

/** Prepared transactions in one partition; the next is answered retry 'busy'. */
export const preparedMax = 4096
/** Decisions that wait for acknowledgements in one partition; the next is answered retry 'busy'. */
export const decisionsMax = 16_384
/** Longest pause between two sendings of one decision: keeps a participant's long absence cheap. */
const decideIntervalMaxMs = 2000
/** A `forget` that was not applied for this long is returned again. */
const forgetIntervalMs = 1000

/** One participant's part. Immutable. */
export interface Prepared {
  readonly transaction: TransactionId
  readonly operations: readonly Operation[]
  /** The operations as snapshots carry them. */
  readonly packed: readonly Plain[]
  /** Held until it is finished. */
  readonly keys: readonly string[]
  /** Time of the prepare entry: the operations are executed as of the moment at which they were checked. */
  readonly atMs: number
  /** Its session has ended in this partition meanwhile: what it holds is released with the last of its transactions. */
  readonly isOrphan: boolean
}

export interface Decision {
  readonly transaction: TransactionId
  readonly commit: boolean
  readonly participants: readonly PartitionId[]
}

interface Delivery {
  readonly decision: Decision
  /** Participants that have not finished, as far as this owner has heard. */
  readonly waiting: Set<PartitionId>
  sendAtMs: number
  /** Doubles with each sending, up to `decideIntervalMaxMs`: participants ask for themselves meanwhile. */
  intervalMs: number
}

export class Transactions {
  readonly #prepared = new Map<string, Prepared>()
  readonly #holders = new Map<string, string>()
  readonly #decisions = new Map<string, Decision>()
  #bytes = 0
  /** Volatile: when to ask for the decision, by transaction. */
  readonly #inquireAtMs = new Map<string, number>()
  #inquireNextMs: number | undefined
  /** Volatile: what the participants have not acknowledged, by transaction. */
  readonly #deliveries = new Map<string, Delivery>()
  #deliverNextMs: number | undefined
  readonly #inquireAfterMs: number
  readonly #decideIntervalMs: number

  constructor(inquireAfterMs: number, decideIntervalMs: number) {
    this.#inquireAfterMs = inquireAfterMs
    this.#decideIntervalMs = decideIntervalMs
  }

  get bytes(): number {
    return this.#bytes
  }

  get preparedCount(): number {
    return this.#prepared.size
  }

  get decisionCount(): number {
    return this.#decisions.size
  }

  isLocked(key: string): boolean {
    return this.#holders.has(key)
  }

  prepared(transaction: TransactionId): Prepared | undefined {
    return this.#prepared.get(nameOf(transaction))
  }

  decision(transaction: TransactionId): Decision | undefined {
    return this.#decisions.get(nameOf(transaction))
  }

  hold(prepared: Prepared, monotonicMs: number): void {
    const name = nameOf(prepared.transaction)
    this.#prepared.set(name, prepared)
    for (const key of prepared.keys) this.#holders.set(key, name)
    this.#bytes += preparedBytes(prepared)
    this.#inquireAt(name, monotonicMs + this.#inquireAfterMs)
  }

  release(prepared: Prepared): void {
    const name = nameOf(prepared.transaction)
    this.#prepared.delete(name)
    this.#inquireAtMs.delete(name)
    for (const key of prepared.keys) this.#holders.delete(key)
    this.#bytes -= preparedBytes(prepared)
  }

  /** True if the session has prepared transactions here: they are orphans from now on. */
  orphan(session: SessionId): boolean {
    let isHolding = false
    for (const [name, prepared] of this.#prepared) {
      if (prepared.transaction.session !== session) continue
      this.#prepared.set(name, { ...prepared, isOrphan: true })
      isHolding = true
    }
    return isHolding
  }

  hasPrepared(session: SessionId): boolean {
    for (const prepared of this.#prepared.values()) if (prepared.transaction.session === session) return true
    return false
  }

  decide(decision: Decision, monotonicMs: number): void {
    const name = nameOf(decision.transaction)
    this.#decisions.set(name, decision)
    this.#bytes += decisionBytes(decision)
    this.#deliver(name, decision, monotonicMs)
  }

  forget(transaction: TransactionId): void {
    const name = nameOf(transaction)
    const decision = this.#decisions.get(name)
    if (decision === undefined) return
    this.#decisions.delete(name)
    this.#deliveries.delete(name)
    this.#bytes -= decisionBytes(decision)
  }

  preparedImages(): readonly Prepared[] {
    return [...this.#prepared.values()]
  }

  decisionImages(): readonly Decision[] {
    return [...this.#decisions.values()]
  }

  /** Owner only: begins the pacing anew. */
  promoted(nowMonotonicMs: number): void {
    for (const name of this.#prepared.keys()) this.#inquireAt(name, nowMonotonicMs + this.#inquireAfterMs)
    for (const [name, decision] of this.#decisions) this.#deliver(name, decision, nowMonotonicMs)
  }

  /** Owner only: at or before the next inquiry, decision or forgetting, in monotonic ms. */
  nextDueMs(): number | undefined {
    if (this.#inquireNextMs === undefined || this.#deliverNextMs === undefined) {
      return this.#inquireNextMs ?? this.#deliverNextMs
    }
    return Math.min(this.#inquireNextMs, this.#deliverNextMs)
  }

  openInquiries(nowMonotonicMs: number): readonly TransactionId[] {
    if (this.#inquireNextMs === undefined || nowMonotonicMs < this.#inquireNextMs) return []
    this.#inquireNextMs = undefined
    const open: TransactionId[] = []
    for (const [name, prepared] of this.#prepared) {
      const at = this.#inquireAtMs.get(name) ?? nowMonotonicMs
      if (at <= nowMonotonicMs) open.push(prepared.transaction)
      this.#inquireAt(name, at <= nowMonotonicMs ? nowMonotonicMs + this.#inquireAfterMs : at)
    }
    return open
  }

  /** Decisions to send now, each with the participants that have not acknowledged it. */
  openDecisions(nowMonotonicMs: number): readonly Decision[] {
    return this.#dueDeliveries(nowMonotonicMs, false).map(({ decision, waiting }) => ({
      ...decision,
      participants: [...waiting],
    }))
  }

  /** Decisions that all have acknowledged and whose `forget` was not applied for a while. */
  forgettable(nowMonotonicMs: number): readonly TransactionId[] {
    return this.#dueDeliveries(nowMonotonicMs, true).map(({ decision }) => decision.transaction)
  }

  /** True if this was the last participant. */
  acknowledge(transaction: TransactionId, participant: PartitionId, nowMonotonicMs: number): boolean {
    const delivery = this.#deliveries.get(nameOf(transaction))
    if (delivery === undefined || !delivery.waiting.delete(participant) || delivery.waiting.size > 0) return false
    delivery.sendAtMs = nowMonotonicMs + forgetIntervalMs
    return true
  }

  #dueDeliveries(nowMonotonicMs: number, isComplete: boolean): readonly Delivery[] {
    if (this.#deliverNextMs === undefined || nowMonotonicMs < this.#deliverNextMs) return []
    this.#deliverNextMs = undefined
    const due: Delivery[] = []
    for (const delivery of this.#deliveries.values()) {
      if (delivery.sendAtMs <= nowMonotonicMs && (delivery.waiting.size === 0) === isComplete) {
        due.push(delivery)
        delivery.sendAtMs = nowMonotonicMs + (isComplete ? forgetIntervalMs : delivery.intervalMs)
        delivery.intervalMs = Math.min(2 * delivery.intervalMs, decideIntervalMaxMs)
      }
      this.#deliverNextMs = Math.min(this.#deliverNextMs ?? Infinity, delivery.sendAtMs)
    }
    return due
  }

  #inquireAt(name: string, atMs: number): void {
    this.#inquireAtMs.set(name, atMs)
    this.#inquireNextMs = Math.min(this.#inquireNextMs ?? Infinity, atMs)
  }

  #deliver(name: string, decision: Decision, atMs: number): void {
    const waiting = new Set(decision.participants)
    this.#deliveries.set(name, { decision, waiting, sendAtMs: atMs, intervalMs: this.#decideIntervalMs })
    this.#deliverNextMs = Math.min(this.#deliverNextMs ?? Infinity, atMs)
  }
}

function nameOf(transaction: TransactionId): string {
  return `${transaction.session}/${transaction.sequence}@${transaction.partition}`
}

function preparedBytes(prepared: Prepared): number {
  return 128 + prepared.transaction.session.length + plainBytes(prepared.packed) + plainBytes(prepared.keys)
}

function decisionBytes(decision: Decision): number {
  return 96 + decision.transaction.session.length + 8 * decision.participants.length
}
