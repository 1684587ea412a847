/**
 * The callers' side of replication at one member: takes commands, reads and transactions of the layers above, finds the
 * partitions' owners, and settles each exactly once, by its deadline at the latest. A call settles `unavailable` only if
 * it certainly did not happen, and `indeterminate` if it may have; a retry never applies twice (see `requests.ts`).
 *
 * Nothing settles while the input that brought it is still folded.
 */
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import type { Instant } from '../base/instant.ts'
import type { Machine, Send, Tick } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import type { Operation, Outcome, Query } from './command.ts'
import {
  Coordinator,
  coordinatorDefaults,
  mergeParts,
  type CoordinatorOptions,
  type Transact,
  type TransactionPart,
} from './coordinator.ts'
import type { ReplicationMessage } from './messages.ts'
import type { Answer } from './answer.ts'
import type { Request } from './request.ts'
import { requestDefaults, Requests, type RequestOptions } from './requests.ts'

export type { TransactionPart } from './coordinator.ts'

export interface CallerOptions {
  readonly requests?: Partial<RequestOptions>
  readonly transactions?: Partial<CoordinatorOptions>
  /** Calls, reads and transactions not settled yet; the next is refused FULL. Default 100,000. */
  readonly callsMax?: number
}

export type CallerInput =
  /** One atomic command of one partition. `deadlineMs` on the monotonic clock; `id` is the driver's, never reused. */
  | {
      readonly kind: 'call'
      readonly id: number
      readonly partition: PartitionId
      readonly operations: readonly Operation[]
      readonly deadlineMs: number
    }
  /** A linearizable read. */
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly partition: PartitionId
      readonly query: Query
      readonly deadlineMs: number
    }
  /** All or none. Over several partitions it settles without results; in one it is a `call`. */
  | {
      readonly kind: 'transact'
      readonly id: number
      readonly parts: readonly TransactionPart[]
      readonly deadlineMs: number
    }
  /** Settles at once as what is known of it. */
  | { readonly kind: 'cancel'; readonly id: number }
  | {
      readonly kind: 'received'
      readonly from: MemberId
      readonly message: Extract<ReplicationMessage, { kind: 'reply' | 'oversize' }>
    }
  | { readonly kind: 'table'; readonly state: ClusterState }
  | { readonly kind: 'linkDown'; readonly member: MemberId }
  | { readonly kind: 'session'; readonly session: SessionId | undefined; readonly untilMonotonicMs: number }
  | Tick

/** What became of a call. */
export type Settled =
  | Exclude<Outcome, { kind: 'retry' }>
  /** It did not happen: no owner could take it within the deadline, or it was cancelled before. */
  | { readonly kind: 'unavailable'; readonly message: string }

export interface SettledEffect {
  readonly kind: 'settled'
  readonly id: number
  readonly outcome: Settled
}

export type CallerEffect = Send<ReplicationMessage> | SettledEffect

const callsMaxDefault = 100_000

export class Caller implements Machine<CallerInput, CallerEffect> {
  readonly #requests: Requests
  readonly #coordinator: Coordinator
  readonly #callsMax: number
  readonly #calls = new Map<number, Request | Transact>()
  #sends: Send<ReplicationMessage>[] = []
  /** Settled while an input was folded that may have brought them: told with the next tick. */
  #settled: SettledEffect[] = []

  constructor(options: { readonly member: MemberId; readonly seed: number; readonly options?: CallerOptions }) {
    const { requests, transactions, callsMax } = options.options ?? {}
    const prng = new Prng(options.seed)
    this.#callsMax = callsMax ?? callsMaxDefault
    this.#requests = new Requests({ ...requestDefaults, ...requests }, prng.fork('requests'), send => {
      this.#sends.push(send)
    })
    const coordinatorOptions = { ...coordinatorDefaults, ...transactions }
    this.#coordinator = new Coordinator(coordinatorOptions, prng.fork('coordinator'), this.#requests)
  }

  /** Calls not settled yet. */
  get openCount(): number {
    return this.#calls.size
  }

  step(now: Instant, input: CallerInput): readonly CallerEffect[] {
    const nowMs = now.monotonicMs
    this.#fold(nowMs, input)
    const sends = this.#sends
    if (sends.length > 0) this.#sends = []
    if (this.#settled.length === 0 || isCall(input)) return sends
    const settled = this.#settled
    this.#settled = []
    return sends.length === 0 ? settled : [...sends, ...settled]
  }

  deadline(): number | undefined {
    if (this.#settled.length > 0) return -Infinity
    const requestMs = this.#requests.wakeMs
    const transactMs = this.#coordinator.wakeMs
    if (requestMs === undefined || transactMs === undefined) return requestMs ?? transactMs
    return Math.min(requestMs, transactMs)
  }

  #fold(nowMs: number, input: CallerInput): void {
    switch (input.kind) {
      case 'call': {
        const { id, partition, deadlineMs, operations } = input
        return this.#open(nowMs, id, deadlineMs, () => this.#call(nowMs, id, partition, operations, deadlineMs))
      }
      case 'ask': {
        const { id, partition, deadlineMs, query } = input
        const body = { kind: 'query', query } as const
        const answered = (answer: Answer): void => this.#settle(id, answer)
        return this.#open(nowMs, id, deadlineMs, () =>
          this.#requests.issue(nowMs, { partition, body, deadlineMs, isLockedFinal: false, answered }),
        )
      }
      case 'transact': {
        const { id, parts, deadlineMs } = input
        return this.#open(nowMs, id, deadlineMs, () => this.#transact(nowMs, id, mergeParts(parts), deadlineMs))
      }
      case 'cancel': {
        const open = this.#calls.get(input.id)
        if (open === undefined) return
        if ('parts' in open) return this.#coordinator.cancel(nowMs, open)
        return this.#requests.giveUp(nowMs, open, 'cancelled')
      }
      case 'received':
        if (input.message.kind === 'oversize')
          return this.#requests.oversize(nowMs, input.message.id, input.message.bytes)
        return this.#requests.received(nowMs, input.from, input.message.id, input.message.outcome)
      case 'table':
        return this.#requests.table(nowMs, input.state)
      case 'linkDown':
        return this.#requests.linkDown(nowMs, input.member)
      case 'session':
        if (input.session === this.#requests.session) return
        this.#requests.changeSession(nowMs, input.session)
        return this.#coordinator.wake(nowMs)
      case 'tick':
        this.#requests.tick(nowMs)
        return this.#coordinator.tick(nowMs)
    }
  }

  #open(nowMs: number, id: number, deadlineMs: number, issue: () => Request | Transact | 'settled' | undefined): void {
    if (deadlineMs <= nowMs) return this.#settle(id, { kind: 'unavailable', message: 'the deadline has passed' })
    const opened = this.#calls.size < this.#callsMax ? issue() : undefined
    if (opened === undefined) {
      const message = 'too many calls of this member wait'
      return this.#settle(id, { kind: 'refused', code: 'FULL', message, operation: 0, detail: null })
    }
    if (opened !== 'settled' && opened.state !== 'answered' && opened.state !== 'settled') this.#calls.set(id, opened)
  }

  #call(
    nowMs: number,
    id: number,
    partition: PartitionId,
    operations: readonly Operation[],
    deadlineMs: number,
  ): Request | undefined {
    const answered = (answer: Answer): void => this.#settle(id, answer)
    const body = { kind: 'execute', operations } as const
    return this.#requests.issue(nowMs, { partition, body, deadlineMs, isLockedFinal: false, answered })
  }

  #transact(
    nowMs: number,
    id: number,
    parts: ReturnType<typeof mergeParts>,
    deadlineMs: number,
  ): Request | Transact | 'settled' | undefined {
    const [only] = parts
    if (only === undefined) {
      this.#settle(id, { kind: 'done', results: [] })
      return 'settled'
    }
    if (parts.length === 1) return this.#call(nowMs, id, only.partition, only.operations, deadlineMs)
    return this.#coordinator.transact(nowMs, parts, deadlineMs, answer => this.#settle(id, answer))
  }

  #settle(id: number, answer: Answer): void {
    this.#calls.delete(id)
    // Only a prepare asks for the word 'locked', and its answer goes to the coordinator.
    if (answer.kind !== 'retry') this.#settled.push({ kind: 'settled', id, outcome: answer })
  }
}

function isCall({ kind }: CallerInput): boolean {
  return kind === 'call' || kind === 'ask' || kind === 'transact'
}
