/**
 * Calls of the handles as promises over whichever peer this member currently is. Every call has a deadline, which the
 * peer keeps; only while there is no peer or no table yet (joining, or coming back under a fresh id) the wait is here.
 */
import type { Env } from '../base/env.ts'
import { AbortedError, ClosedError, UnavailableError } from '../base/errors.ts'
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import type { RecoveryPlan } from '../consensus/recovery.ts'
import { partitionOf } from '../placement/hashing.ts'
import type { Definition } from '../placement/placement.ts'
import type { Safety } from '../placement/safety.ts'
import type { Settled, TransactionPart } from '../replication/caller.ts'
import type { Operation } from '../replication/command.ts'
import type { Hint } from '../peer/hint.ts'
import type { StructureOperation, StructureQuery } from '../structures/operations.ts'
import { durationMs } from './duration.ts'
import type { OperationOptions, WriteOptions } from './handles.ts'
import { errorOf, resultsOf } from './outcomes.ts'
import { checkOperations, checkQuery } from './validity.ts'

/** What handles need of a peer: `Peer` has it all; a test may stand in for it. */
export interface GridPeer {
  readonly member: MemberId
  readonly state: ClusterState
  readonly safety: Safety
  readonly session: SessionId | undefined
  readonly addresses: readonly string[]
  /** As far as known. */
  readonly leader: MemberId | undefined
  readonly voters: readonly MemberId[]
  /** Monotonic: until then it has heard of a quorum. */
  readonly leaseUntilMs: number
  /** Of the lease that it holds, or held last. */
  readonly leaseEndMs: number
  /** Memory held by data, logs and transfers. */
  readonly bytes: number
  call(
    options: { readonly partition: PartitionId; readonly deadlineMs: number },
    operations: readonly Operation[],
    settle: (outcome: Settled) => void,
  ): number
  ask(
    options: { readonly partition: PartitionId; readonly deadlineMs: number },
    query: StructureQuery,
    settle: (outcome: Settled) => void,
  ): number
  transact(parts: readonly TransactionPart[], deadlineMs: number, settle: (outcome: Settled) => void): number
  cancel(id: number): void
  define(command: Definition): void
  tell(member: MemberId, hint: Hint): void
  leave(): void
  survey(): void
  recovery(): RecoveryPlan | string
  recover(plan: RecoveryPlan): void
}

const deadlineMsDefault = 5_000
const rememberMsDefault = 3_600_000

export interface Timed {
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
}

export class Calls {
  readonly env: Env
  #peer: GridPeer | undefined
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  constructor(env: Env) {
    this.env = env
  }

  get peer(): GridPeer | undefined {
    return this.#peer
  }

  get partitionCount(): number {
    return this.#peer?.state.settings.partitionCount ?? 0
  }

  get isOpen(): boolean {
    return !this.#isClosed
  }

  get nowMs(): number {
    return this.env.now().monotonicMs
  }

  /** The peer came, went or heard something new: whoever waits looks again. */
  changed(peer: GridPeer | undefined): void {
    this.#peer = peer
    this.look()
  }

  /** Something may have changed. */
  look(): void {
    for (const look of this.#waiting) look()
  }

  close(): void {
    this.#isClosed = true
    this.changed(undefined)
  }

  timed(options?: OperationOptions): Timed {
    const ms = options?.deadline === undefined ? deadlineMsDefault : durationMs(options.deadline, 'deadline')
    return { deadlineMs: this.nowMs + ms, signal: options?.signal }
  }

  /** Resolves once `look` finds something; looks again whenever the peer or the agreed state changed. */
  until<T>(timed: Timed, what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      let cancel: (() => void) | undefined
      const settle = (end: () => void): void => {
        this.#waiting.delete(attempt)
        cancel?.()
        timed.signal?.removeEventListener('abort', aborted)
        end()
      }
      const attempt = (): void => {
        if (this.#isClosed) return settle(() => reject(new ClosedError('this member is closed')))
        const found = look()
        if (found !== undefined) settle(() => resolve(found))
      }
      const aborted = (): void =>
        settle(() => reject(new AbortedError(`aborted while waiting for ${what}`, { cause: timed.signal?.reason })))
      this.#waiting.add(attempt)
      attempt()
      if (!this.#waiting.has(attempt)) return
      if (timed.signal?.aborted === true) return aborted()
      timed.signal?.addEventListener('abort', aborted)
      cancel = this.env.at(timed.deadlineMs, () =>
        settle(() => reject(new UnavailableError(`no ${what} within the deadline`))),
      )
    })
  }

  /** The partition of a key, once the table is known. */
  async partitionOf(key: string, timed: Timed): Promise<PartitionId> {
    if (this.partitionCount === 0) await this.until(timed, 'cluster', () => this.partitionCount || undefined)
    return partitionOf(key, this.partitionCount)
  }

  async count(timed: Timed): Promise<number> {
    return this.partitionCount || (await this.until(timed, 'cluster', () => this.partitionCount || undefined))
  }

  /** What became of one atomic command. */
  async settle(partition: PartitionId, operations: readonly StructureOperation[], timed: Timed): Promise<Settled> {
    checkOperations(partition, this.partitionCount, operations)
    return await this.settleChecked(partition, operations, timed)
  }

  /** The same for operations that `checkOperations` has seen. */
  settleChecked(partition: PartitionId, operations: readonly StructureOperation[], timed: Timed): Promise<Settled> {
    return this.#settled(timed, (peer, settle) =>
      peer.call({ partition, deadlineMs: timed.deadlineMs }, operations, settle),
    )
  }

  async run(
    partition: PartitionId,
    operations: readonly StructureOperation[],
    timed: Timed,
    options?: WriteOptions,
  ): Promise<readonly Plain[]> {
    const key = options?.idempotencyKey
    if (key === undefined) return resultsOf(await this.settle(partition, operations, timed), timed.signal)
    const rememberMs = options?.remember === undefined ? rememberMsDefault : durationMs(options.remember, 'remember')
    const once = { kind: 'once.run', key: onceKey(operations, key), rememberMs, operations } as const
    const [result] = resultsOf(await this.settle(partition, [once], timed), timed.signal)
    return (result as readonly [boolean, readonly Plain[]])[1]
  }

  /** One operation on the thing that `key` names. */
  async runAt(key: string, operation: StructureOperation, timed: Timed, options?: WriteOptions): Promise<Plain> {
    const partition = this.#knownPartitionOf(key) ?? (await this.partitionOf(key, timed))
    if (options?.idempotencyKey !== undefined)
      return (await this.run(partition, [operation], timed, options))[0] as Plain
    checkOperations(partition, this.partitionCount, [operation])
    return resultsOf(await this.settleChecked(partition, [operation], timed), timed.signal)[0] as Plain
  }

  async ask(partition: PartitionId, query: StructureQuery, timed: Timed): Promise<Plain> {
    checkQuery(partition, this.partitionCount, query)
    const settled = await this.#settled(timed, (peer, settle) =>
      peer.ask({ partition, deadlineMs: timed.deadlineMs }, query, settle),
    )
    // A read changes nothing, so there is nothing that may have happened.
    if (settled.kind === 'indeterminate') throw errorOf({ kind: 'unavailable', message: settled.message }, timed.signal)
    return resultsOf(settled, timed.signal)[0] as Plain
  }

  async askAt(key: string, query: StructureQuery, timed: Timed): Promise<Plain> {
    return await this.ask(this.#knownPartitionOf(key) ?? (await this.partitionOf(key, timed)), query, timed)
  }

  async transact(parts: readonly TransactionPart[], timed: Timed): Promise<Settled> {
    for (const { partition, operations } of parts)
      checkOperations(partition, this.partitionCount, operations as readonly StructureOperation[])
    return await this.#settled(timed, (peer, settle) => peer.transact(parts, timed.deadlineMs, settle))
  }

  /** Asks every partition, several at once; answers in the order of partitions. */
  async askAll(query: StructureQuery, timed: Timed): Promise<Plain[]> {
    const count = await this.count(timed)
    const answers = Array.from<Plain>({ length: count })
    let next = 0
    const ask = async (): Promise<void> => {
      while (next < count) {
        const partition = next++
        answers[partition] = await this.ask(partition, query, timed)
      }
    }
    await Promise.all(Array.from({ length: asksAtOnce }, ask))
    return answers
  }

  /** Resolves at or after the moment, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        cancel()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.env.at(this.nowMs + ms, done)
      if (signal?.aborted === true) done()
      else signal?.addEventListener('abort', done)
    })
  }

  /** Resolves at the end of this turn of the event loop. */
  turn(): Promise<void> {
    return new Promise(resolve => this.env.turn(resolve))
  }

  /** Each promise on the way of a call costs a microtask and its closures: where nothing is to be waited for, none is made. */
  #knownPartitionOf(key: string): PartitionId | undefined {
    const count = this.partitionCount
    return count === 0 ? undefined : partitionOf(key, count)
  }

  #settled(timed: Timed, issue: (peer: GridPeer, settle: (outcome: Settled) => void) => number): Promise<Settled> {
    const peer = this.#peer
    if (peer === undefined || timed.signal !== undefined) return this.#settledLater(timed, issue)
    return new Promise(resolve => void issue(peer, resolve))
  }

  async #settledLater(
    timed: Timed,
    issue: (peer: GridPeer, settle: (outcome: Settled) => void) => number,
  ): Promise<Settled> {
    const { signal } = timed
    if (signal?.aborted === true) throw new AbortedError('aborted before it was sent', { cause: signal.reason })
    const peer = this.#peer ?? (await this.until(timed, 'peer', () => this.#peer))
    return await new Promise(resolve => {
      if (signal === undefined) return void issue(peer, resolve)
      const abort = (): void => peer.cancel(id)
      const id = issue(peer, settled => {
        signal.removeEventListener('abort', abort)
        resolve(settled)
      })
      signal.addEventListener('abort', abort)
    })
  }
}

const asksAtOnce = 32

/** The same idempotency key for another thing is another key. */
function onceKey(operations: readonly StructureOperation[], key: string): string {
  return `${operations.map(targetOf).join(',')}#${key}`
}

function targetOf(operation: StructureOperation): string {
  const fields = operation as unknown as Readonly<Record<string, unknown>>
  const structure = operation.kind.slice(0, operation.kind.indexOf('.'))
  return [operation.kind, fields[structure], fields['key']].filter(part => typeof part === 'string').join('/')
}
