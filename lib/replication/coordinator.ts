/**
 * Transactions over several partitions, at their caller: prepare at each, then one decision at the first, the record's
 * partition. It is committed once that decision is in the record's log, so the coordinator is done then; the record's
 * owner sees to it that the participants finish. If this member dies at any point, participants that wait ask the
 * record's partition, which writes ABORT if it has no decision.
 *
 * A key held by another transaction is not waited for: this one aborts, backs off with jitter, and tries again under a
 * new identity. Results of the operations are not returned, because they are executed after the decision: a transaction
 * settles `done` with no results. With one partition alone it is an ordinary command, with results.
 */
import { Heap } from '../base/heap.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { Operation, TransactionId } from './command.ts'
import type { Answer } from './answer.ts'
import type { Request, Reserved } from './request.ts'
import type { Requests } from './requests.ts'

/** What was asked for in one partition. */
export interface TransactionPart {
  readonly partition: PartitionId
  readonly operations: readonly Operation[]
}

export interface CoordinatorOptions {
  /** Transactions between begin and decision, aborts under way included. Well below the window of calls, so that prepares find room. Default 256. */
  readonly openMax: number
  /** Transactions that wait to begin; the next is refused FULL. Default 10,000. */
  readonly waitingMax: number
  /** A transaction that is not prepared everywhere by then aborts and tries again. About what participants wait before they ask. Default 1,000. */
  readonly prepareMaxMs: number
}

export const coordinatorDefaults: CoordinatorOptions = { openMax: 256, waitingMax: 10_000, prepareMaxMs: 1000 }

/** Jitter before the next identity, times the number of tries, at most `triesMax` times. */
const conflictBackOff = { minMs: 1, maxMs: 20, triesMax: 8 }
/** Looks again whether the record's lane has room. */
const roomIntervalMs = 10
/** How long an abort is worth sending: later the participants have asked for themselves. */
const abortMaxMs = 2000

interface Part extends TransactionPart {
  /** Position of each operation in what the caller passed. */
  readonly positions: readonly number[]
}

export interface Transact {
  readonly parts: readonly Part[]
  readonly deadlineMs: number
  readonly settle: (answer: Answer) => void
  state: 'waiting' | 'preparing' | 'deciding' | 'settled'
  tries: number
  wakeMs: number
  isCancelled: boolean
  reserved: Reserved | undefined
  preparedCount: number
  readonly prepares: Request[]
  decision: Request | undefined
}

export class Coordinator {
  readonly #options: CoordinatorOptions
  readonly #prng: Prng
  readonly #requests: Requests
  readonly #waiting = new Set<Transact>()
  /** Those of the waiting that no time will wake: they need a session, or another's end. */
  readonly #blocked = new Set<Transact>()
  readonly #wakes = new Heap<Transact>()
  #openCount = 0

  constructor(options: CoordinatorOptions, prng: Prng, requests: Requests) {
    this.#options = options
    this.#prng = prng
    this.#requests = requests
  }

  get wakeMs(): number | undefined {
    return this.#wakes.peekRank()
  }

  /** `parts` of at least two different partitions, from `mergeParts`. Undefined if too many wait. */
  transact(
    nowMs: number,
    parts: readonly Part[],
    deadlineMs: number,
    settle: Transact['settle'],
  ): Transact | undefined {
    if (this.#waiting.size >= this.#options.waitingMax) return undefined
    const transact: Transact = {
      parts,
      deadlineMs,
      settle,
      state: 'waiting',
      tries: 0,
      wakeMs: 0,
      isCancelled: false,
      reserved: undefined,
      preparedCount: 0,
      prepares: [],
      decision: undefined,
    }
    this.#waiting.add(transact)
    this.#begin(nowMs, transact)
    return transact
  }

  /** Gives up: settles as what is known of it. */
  cancel(nowMs: number, transact: Transact): void {
    transact.isCancelled = true
    if (transact.state === 'deciding' && transact.decision) {
      return this.#requests.giveUp(nowMs, transact.decision, 'cancelled')
    }
    if (transact.state === 'preparing') this.#abort(nowMs, transact)
    this.#settle(transact, { kind: 'unavailable', message: 'cancelled' })
  }

  /** There is a session, or another transaction has ended: what was blocked may begin. */
  wake(nowMs: number): void {
    for (const transact of this.#blocked) {
      if (this.#isBlocked()) return
      this.#begin(nowMs, transact)
    }
  }

  tick(nowMs: number): void {
    for (let at = this.#wakes.peekRank(); at !== undefined && at <= nowMs; at = this.#wakes.peekRank()) {
      const transact = this.#wakes.pop() as Transact
      if (transact.state === 'waiting' && transact.wakeMs === at) this.#begin(nowMs, transact)
    }
  }

  #begin(nowMs: number, transact: Transact): void {
    if (nowMs >= transact.deadlineMs) {
      return this.#settle(transact, { kind: 'unavailable', message: 'no attempt could be decided within the deadline' })
    }
    if (this.#isBlocked()) {
      this.#blocked.add(transact)
      return this.#wait(nowMs, transact, Infinity)
    }
    this.#blocked.delete(transact)
    const [record] = transact.parts as readonly [Part, ...Part[]]
    // Two of room: the decision's, and that of the prepare in the same partition.
    const reserved = this.#requests.reserve(record.partition, 2)
    if (reserved === undefined) return this.#wait(nowMs, transact, roomIntervalMs)
    this.#openCount++
    this.#waiting.delete(transact)
    transact.state = 'preparing'
    transact.tries++
    transact.reserved = reserved
    transact.preparedCount = 0
    transact.prepares.length = 0
    transact.decision = undefined
    const { sequence, lane } = reserved
    const transaction = { session: lane.session, sequence, partition: record.partition }
    for (const part of transact.parts) {
      if (transact.reserved === reserved) this.#prepare(nowMs, transact, part, transaction)
    }
  }

  #prepare(nowMs: number, transact: Transact, part: Part, transaction: TransactionId): void {
    const { reserved } = transact
    const request = this.#requests.issue(nowMs, {
      partition: part.partition,
      body: { kind: 'prepare', transaction, operations: part.operations },
      deadlineMs: Math.min(transact.deadlineMs, nowMs + this.#options.prepareMaxMs),
      isLockedFinal: true,
      answered: (answer, atMs) => {
        if (transact.reserved === reserved) this.#prepared(atMs, transact, part, answer)
      },
    })
    if (request !== undefined) transact.prepares.push(request)
    else this.#tryAgain(nowMs, transact)
  }

  #prepared(nowMs: number, transact: Transact, part: Part, answer: Answer): void {
    if (transact.state !== 'preparing') return
    if (answer.kind === 'done') {
      transact.preparedCount++
      if (transact.preparedCount === transact.parts.length) this.#commit(nowMs, transact)
    } else if (answer.kind === 'refused' && answer.code !== 'SESSION_ENDED') {
      this.#abort(nowMs, transact)
      this.#settle(transact, { ...answer, operation: part.positions[answer.operation] ?? 0 })
    } else this.#tryAgain(nowMs, transact)
  }

  #commit(nowMs: number, transact: Transact): void {
    const reserved = transact.reserved as Reserved
    transact.state = 'deciding'
    transact.decision = this.#decide(nowMs, transact, reserved, true, transact.deadlineMs, (answer, atMs) => {
      transact.reserved = undefined
      this.#decided(atMs, transact, answer)
      this.#close(atMs)
    })
  }

  #decided(nowMs: number, transact: Transact, answer: Answer): void {
    if (answer.kind === 'done' && answer.results[0] === true) {
      return this.#settle(transact, { kind: 'done', results: [] })
    }
    const isAborted = answer.kind === 'done' || answer.kind === 'unavailable'
    const isEnded = answer.kind === 'refused' && answer.code === 'SESSION_ENDED'
    if (!isAborted && !isEnded) return this.#settle(transact, answer)
    if (transact.isCancelled) return this.#settle(transact, { kind: 'unavailable', message: 'cancelled' })
    this.#again(nowMs, transact)
  }

  #tryAgain(nowMs: number, transact: Transact): void {
    this.#abort(nowMs, transact)
    this.#again(nowMs, transact)
  }

  #again(nowMs: number, transact: Transact): void {
    transact.state = 'waiting'
    this.#waiting.add(transact)
    const { minMs, maxMs, triesMax } = conflictBackOff
    this.#wait(nowMs, transact, this.#prng.between(minMs, maxMs) * Math.min(transact.tries, triesMax))
  }

  #wait(nowMs: number, transact: Transact, forMs: number): void {
    transact.wakeMs = Math.min(transact.deadlineMs, nowMs + forMs)
    this.#wakes.push(transact.wakeMs, transact)
  }

  /** Nothing is committed under this identity any more. Says so at the record's partition, so that the keys come free. */
  #abort(nowMs: number, transact: Transact): void {
    const { reserved, prepares } = transact
    transact.reserved = undefined
    if (reserved === undefined) return
    const isSent = prepares.some(request => request.sentCount > 0)
    for (const request of prepares) this.#requests.drop(nowMs, request)
    const isLive = reserved.lane.session === this.#requests.session
    if (isSent && isLive) {
      this.#decide(nowMs, transact, reserved, false, nowMs + abortMaxMs, (_, atMs) => this.#close(atMs))
    } else {
      const [record] = transact.parts as readonly [Part, ...Part[]]
      this.#requests.release(nowMs, record.partition, reserved)
      this.#close(nowMs)
    }
  }

  #decide(
    nowMs: number,
    transact: Transact,
    reserved: Reserved,
    commit: boolean,
    deadlineMs: number,
    answered: Request['answered'],
  ): Request | undefined {
    const participants = transact.parts.map(part => part.partition)
    const [partition] = participants as [PartitionId, ...PartitionId[]]
    const body = { kind: 'decide', participants, commit } as const
    return this.#requests.issue(nowMs, { partition, body, deadlineMs, isLockedFinal: false, answered }, reserved)
  }

  #isBlocked(): boolean {
    return this.#openCount >= this.#options.openMax || this.#requests.session === undefined
  }

  #close(nowMs: number): void {
    this.#openCount--
    this.wake(nowMs)
  }

  #settle(transact: Transact, answer: Answer): void {
    if (transact.state === 'settled') return
    this.#waiting.delete(transact)
    this.#blocked.delete(transact)
    transact.state = 'settled'
    transact.settle(answer)
  }
}

/** Parts by partition, in the order of first mention. */
export function mergeParts(parts: readonly TransactionPart[]): readonly Part[] {
  const merged = new Map<PartitionId, { readonly operations: Operation[]; readonly positions: number[] }>()
  let position = 0
  for (const { partition, operations } of parts) {
    const into = merged.get(partition) ?? { operations: [], positions: [] }
    merged.set(partition, into)
    for (const operation of operations) {
      into.operations.push(operation)
      into.positions.push(position++)
    }
  }
  return [...merged].map(([partition, { operations, positions }]) => ({ partition, operations, positions }))
}
