/**
 * What a partition's log is applied to: sessions with their recorded results, prepared transactions, decisions, and the
 * structures' state machine. Everything that `apply` does is a function of the entries before it; only what is named
 * "owner only" is volatile, and no copy needs it to stay equal.
 *
 * A command of several operations is one step: all conditions are judged against the state before it, then all
 * operations are executed in order, or none. So at most one of them may change a given key (see `conflicting`).
 *
 * Decision: the operations of a transaction are executed as of the time of their prepare entry, because what they were
 * checked against must still hold: an entry whose TTL ends between the two is still there for them.
 *
 * Decision: a commit is remembered twice, as the recorded result of the deciding call (for its caller, until the mark
 * passes) and as a decision (for the participants, until all have finished). An abort that no one can undo needs no
 * record: a deciding call below the mark, or of an ended session, never applies, so the answer is abort for ever.
 */
import { assert } from '../base/assert.ts'
import { hashSeed } from '../base/hash.ts'
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Plain, Shape } from '../base/shape.ts'
import type { CallId, Command, LogEntry, Operation, Outcome, Query, TransactionId } from './command.ts'
import type { PartitionStateOptions } from './partition-options.ts'
import { PartitionRestore as Restore, type RestoredParts } from './partition-restore.ts'
import { foldHash } from './running-hash.ts'
import { Sessions } from './sessions.ts'
import { cursorOf, type SnapshotCursor } from './snapshot.ts'
import type { ApplyContext, Refusal, StateMachine } from './state-machine.ts'
import { decisionsMax, preparedMax, Transactions, type Decision } from './transactions.ts'

export type { PartitionStateOptions } from './partition-options.ts'
export type { SnapshotCursor } from './snapshot.ts'
export type { Decision as OpenDecision } from './transactions.ts'

/** Records of a snapshot on their way to a state. */
export type PartitionRestore = Restore<PartitionState>

export type QueryAnswer =
  | { readonly kind: 'answer'; readonly outcome: Outcome }
  /** Commit these as a `maintain` first, then ask again. */
  | { readonly kind: 'due'; readonly operations: readonly Operation[] }

type EntryTime = Pick<ApplyContext, 'epoch' | 'index' | 'atMs' | 'monotonicMs'>

const nothing: Outcome = { kind: 'done', results: [] }
const locked: Outcome = { kind: 'retry', reason: 'locked', owner: undefined, epoch: 0 }
const busy: Outcome = { kind: 'retry', reason: 'busy', owner: undefined, epoch: 0 }

export class PartitionState {
  readonly #machine: StateMachine
  readonly #operationShape: Shape<Operation>
  readonly #sessions: Sessions
  readonly #transactions: Transactions
  #epoch: number
  #index: number
  #atMs: number
  #hash: number
  #repeatCount = 0

  /** `restored` is for `PartitionState.restore` alone. */
  constructor(options: PartitionStateOptions, restored?: RestoredParts) {
    this.#machine = options.machine
    this.#operationShape = options.operationShape
    this.#sessions = restored?.sessions ?? new Sessions()
    this.#transactions =
      restored?.transactions ?? new Transactions(options.inquireAfterMs ?? 1000, options.decideIntervalMs ?? 200)
    this.#epoch = restored?.applied.epoch ?? 0
    this.#index = restored?.applied.index ?? 0
    this.#atMs = restored?.applied.atMs ?? 0
    this.#hash = restored?.applied.hash ?? hashSeed
  }

  /** Takes a snapshot into an empty machine. */
  static restore(options: PartitionStateOptions): PartitionRestore {
    return new Restore(options, parts => new PartitionState(options, parts))
  }

  /** Running hash of what was applied; equal on all copies at equal `appliedIndex`. */
  get hash(): number {
    return this.#hash
  }

  /** Structures, sessions, transactions: exact by the formulas of `size.ts` and the store. */
  get bytes(): number {
    return this.#machine.bytes + this.#sessions.bytes + this.#transactions.bytes
  }

  get appliedEpoch(): number {
    return this.#epoch
  }

  get appliedIndex(): number {
    return this.#index
  }

  /** Calls that this copy answered from a record instead of applying them again. Volatile, for metrics. */
  get repeatCount(): number {
    return this.#repeatCount
  }

  /** Hybrid logical time of the last applied entry. */
  get appliedAtMs(): number {
    return this.#atMs
  }

  /**
   * Applies the entry after `appliedIndex`. Returns the outcome of execute, prepare, decide and resolve: of the last two
   * `done` with `[isCommitted]`.
   */
  apply(entry: LogEntry, monotonicMs: number): Outcome | undefined {
    assert(entry.index === this.#index + 1, 'entries are applied in order, without gaps')
    assert(entry.epoch >= this.#epoch, 'epochs grow along the log')
    assert(entry.atMs >= this.#atMs, 'time grows along the log')
    this.#epoch = entry.epoch
    this.#index = entry.index
    this.#atMs = entry.atMs
    const { epoch, index, atMs } = entry
    const outcome = this.#fold(entry.command, { epoch, index, atMs, monotonicMs })
    this.#hash = foldHash(this.#hash, entry, outcome, this.bytes)
    return outcome
  }

  /** Reads the applied state. Keys of prepared transactions answer retry 'locked'. */
  query(query: Query, atMs: number): QueryAnswer {
    if (this.#meetsLock([query])) return { kind: 'answer', outcome: locked }
    const found = this.#machine.query(query, atMs)
    switch (found.kind) {
      case 'found':
        return { kind: 'answer', outcome: { kind: 'done', results: [found.result] } }
      case 'due': {
        // What a transaction holds can not be maintained now: without this, a scan would ask for it for ever.
        const operations = found.operations.filter(operation => !this.#meetsLock([operation]))
        return operations.length > 0 ? { kind: 'due', operations } : { kind: 'answer', outcome: locked }
      }
      case 'refused':
        return { kind: 'answer', outcome: refused(found.refusal, 0) }
    }
  }

  /** What a call was answered, if it is recorded: an owner may say it again without logging, also when it is full. */
  recorded(call: CallId): Outcome | undefined {
    const fate = this.#sessions.fate(call.session, call.sequence)
    return fate === 'never' ? undefined : fate
  }

  /** Whether the command may make the state larger. */
  grows(command: Command): boolean {
    if (command.kind !== 'execute' && command.kind !== 'prepare') return false
    return command.operations.some(operation => this.#machine.grows(operation))
  }

  /** The refusal of a command that must not be logged, since copies could not read it; undefined if it may. */
  validate(command: Command): Outcome | undefined {
    if (command.kind !== 'execute' && command.kind !== 'prepare') return undefined
    for (const [ordinal, operation] of command.operations.entries()) {
      const refusal = this.#machine.validate?.(operation)
      if (refusal !== undefined) return refused(refusal, ordinal)
    }
    return undefined
  }

  snapshot(): SnapshotCursor {
    return cursorOf({
      applied: { epoch: this.#epoch, index: this.#index, atMs: this.#atMs, hash: this.#hash, bytes: this.bytes },
      ended: this.#sessions.ended(),
      sessions: this.#sessions.images(),
      prepared: this.#transactions.preparedImages(),
      decisions: this.#transactions.decisionImages(),
      structures: this.#machine.snapshot(),
    })
  }

  /** Sessions with marks or results here: those that have ended (`sessionStanding`) are to be ended by an entry. */
  sessions(): Iterable<SessionId> {
    return this.#sessions.ids()
  }

  /**
   * The decision: true commit, false abort (recorded, or certain because the deciding call can never apply any more);
   * undefined: none, log a `resolve`. Final once known.
   */
  decision(transaction: TransactionId): boolean | undefined {
    const decision = this.#transactions.decision(transaction)
    if (decision !== undefined) return decision.commit
    const fate = this.#sessions.fate(transaction.session, transaction.sequence)
    if (fate === undefined) return undefined
    return fate !== 'never' && fate.kind === 'done' && fate.results[0] === true
  }

  /** Participant: whether a `finish` has something to change. If not, acknowledge a `decided` at once. */
  isPrepared(transaction: TransactionId): boolean {
    return this.#transactions.prepared(transaction) !== undefined
  }

  /** Owner only: this copy now serves. Leases run in full again, decisions are sent again, inquiries wait anew. */
  promoted(nowMonotonicMs: number): void {
    this.#machine.restartLeases(nowMonotonicMs)
    this.#transactions.promoted(nowMonotonicMs)
  }

  /** Owner only: when `due`, `openInquiries` or `openDecisions` may return something, in monotonic ms; undefined if never. */
  nextDueMs(nowMonotonicMs: number, atMs: number): number | undefined {
    const machineMs = this.#machine.nextDueMs(nowMonotonicMs, atMs)
    const transactionsMs = this.#transactions.nextDueMs()
    if (machineMs === undefined || transactionsMs === undefined) return machineMs ?? transactionsMs
    return Math.min(machineMs, transactionsMs)
  }

  /** Owner only: what to log now. May be returned again until it is applied; all of it is idempotent. */
  due(nowMonotonicMs: number, atMs: number, countMax: number): readonly Command[] {
    const isLocked = (key: string): boolean => this.#transactions.isLocked(key)
    const operations = this.#machine.due(nowMonotonicMs, atMs, countMax, isLocked)
    const forgets = this.#transactions.forgettable(nowMonotonicMs)
    const commands: Command[] = forgets.map(transaction => ({ kind: 'forget', transaction }))
    if (operations.length > 0) commands.push({ kind: 'maintain', operations })
    return commands
  }

  /** Owner only: transactions whose decision to ask for now. Each is returned once per `inquireAfterMs`. */
  openInquiries(nowMonotonicMs: number): readonly TransactionId[] {
    return this.#transactions.openInquiries(nowMonotonicMs)
  }

  /** Owner only: decisions to send now, each with its unacknowledged participants: at once, then from `decideIntervalMs` on. */
  openDecisions(nowMonotonicMs: number): readonly Decision[] {
    return this.#transactions.openDecisions(nowMonotonicMs)
  }

  /** Owner only: a participant has finished. Returns the `forget` to log when this was the last one. */
  acknowledge(transaction: TransactionId, participant: PartitionId, nowMonotonicMs: number): Command | undefined {
    const isLast = this.#transactions.acknowledge(transaction, participant, nowMonotonicMs)
    return isLast ? { kind: 'forget', transaction } : undefined
  }

  #fold(command: Command, time: EntryTime): Outcome | undefined {
    switch (command.kind) {
      case 'barrier':
        return undefined
      case 'execute':
        return this.#answer(command.call, () => this.#execute(command, time))
      case 'prepare':
        return this.#answer(command.call, () => this.#prepare(command, time))
      case 'decide':
        return this.#answer(command.call, () => this.#decide(command, time))
      case 'resolve':
        return this.#resolve(command.transaction)
      case 'finish':
        return this.#finish(command.transaction, command.commit, time)
      case 'forget':
        this.#transactions.forget(command.transaction)
        return undefined
      case 'end-session':
        return this.#endSession(command.session, time)
      case 'maintain':
        return this.#maintain(command.operations, time)
    }
  }

  /** A call that was answered hears that again; a new one is applied, and what is final is recorded. */
  #answer(call: CallId, fresh: () => Outcome): Outcome {
    const known = this.#sessions.admit(call)
    if (known !== undefined) {
      if (known.kind === 'done' || known.kind === 'refused') this.#repeatCount++
      return known
    }
    const outcome = fresh()
    if (outcome.kind !== 'retry') this.#sessions.record(call.session, call.sequence, outcome)
    return outcome
  }

  #execute({ call, operations }: Extract<Command, { kind: 'execute' }>, time: EntryTime): Outcome {
    return this.#check(operations, call.session, time) ?? this.#run(operations, call.session, time)
  }

  #prepare(command: Extract<Command, { kind: 'prepare' }>, time: EntryTime): Outcome {
    const { call, transaction, operations } = command
    if (this.isPrepared(transaction)) return nothing
    if (this.#transactions.preparedCount >= preparedMax) return busy
    const answer = this.#check(operations, call.session, time)
    if (answer !== undefined) return answer
    const keys = [...new Set(operations.flatMap(operation => this.#machine.locks(operation)))]
    const packed = operations.map(operation => this.#operationShape.pack(operation) as Plain)
    const prepared = { transaction, operations, packed, keys, atMs: time.atMs, isOrphan: false }
    this.#transactions.hold(prepared, time.monotonicMs)
    return nothing
  }

  #decide(command: Extract<Command, { kind: 'decide' }>, time: EntryTime): Outcome {
    const { call, participants, commit } = command
    const [partition] = participants
    if (partition === undefined) return refused({ code: 'INVALID', message: 'no participants', detail: null }, 0)
    if (this.#transactions.decisionCount >= decisionsMax) return busy
    const transaction = { session: call.session, sequence: call.sequence, partition }
    this.#transactions.decide({ transaction, commit, participants }, time.monotonicMs)
    return { kind: 'done', results: [commit] }
  }

  #resolve(transaction: TransactionId): Outcome {
    const decision = this.decision(transaction)
    if (decision !== undefined) return { kind: 'done', results: [decision] }
    const aborted: Outcome = { kind: 'done', results: [false] }
    return this.#sessions.foreclose(transaction.session, transaction.sequence, aborted) ? aborted : busy
  }

  #finish(transaction: TransactionId, commit: boolean, time: EntryTime): undefined {
    const prepared = this.#transactions.prepared(transaction)
    if (prepared === undefined) return
    this.#transactions.release(prepared)
    const { session } = transaction
    if (commit) this.#run(prepared.operations, session, { ...time, atMs: prepared.atMs })
    if (prepared.isOrphan && !this.#transactions.hasPrepared(session)) this.#releaseHeld(session, time)
  }

  #endSession(session: SessionId, time: EntryTime): undefined {
    this.#sessions.end(session)
    if (!this.#transactions.orphan(session)) this.#releaseHeld(session, time)
  }

  #releaseHeld(session: SessionId, time: EntryTime): void {
    const isLocked = (key: string): boolean => this.#transactions.isLocked(key)
    this.#machine.endSession(session, { ...time, session, ordinal: 0 }, isLocked)
  }

  /** Each for itself: what a transaction holds or what no longer applies is left out. */
  #maintain(operations: readonly Operation[], time: EntryTime): undefined {
    for (const [ordinal, operation] of operations.entries()) {
      const context: ApplyContext = { ...time, session: '', ordinal }
      if (this.#meetsLock([operation]) || this.#machine.check(operation, context) !== undefined) continue
      this.#machine.execute(operation, context)
    }
  }

  /** Why the operations can not be executed as one step now; undefined if they can. */
  #check(operations: readonly Operation[], session: SessionId, time: EntryTime): Outcome | undefined {
    if (this.#meetsLock(operations)) return locked
    const twice = conflicting(operations, this.#machine)
    if (twice !== undefined) return refused(twice.refusal, twice.operation)
    for (let ordinal = 0; ordinal < operations.length; ordinal++) {
      const refusal = this.#machine.check(operations[ordinal] as Operation, contextOf(time, session, ordinal))
      if (refusal !== undefined) return refused(refusal, ordinal)
    }
    return undefined
  }

  #run(operations: readonly Operation[], session: SessionId, time: EntryTime): Outcome {
    const run = (operation: Operation, ordinal: number): Plain =>
      this.#machine.execute(operation, contextOf(time, session, ordinal))
    return { kind: 'done', results: operations.map(run) }
  }

  #meetsLock(operations: readonly (Operation | Query)[]): boolean {
    if (this.#transactions.preparedCount === 0) return false
    return operations.some(operation => this.#machine.locks(operation).some(key => this.#transactions.isLocked(key)))
  }
}

function contextOf({ epoch, index, atMs, monotonicMs }: EntryTime, session: SessionId, ordinal: number): ApplyContext {
  return { epoch, index, ordinal, atMs, session, monotonicMs }
}

/**
 * The first operation that changes a key which another of the same command changes: the second would be checked before
 * the first is executed. Kinds that end in `.check` or `.verify` change nothing and may stand beside one that does;
 * `queue.put` locks its message group for order's sake alone and depends on nothing in it.
 */
function conflicting(
  operations: readonly Operation[],
  machine: StateMachine,
): { readonly refusal: Refusal; readonly operation: number } | undefined {
  if (operations.length < 2 || machine.areApart?.(operations) === true) return undefined
  const changed = new Set<string>()
  for (let ordinal = 0; ordinal < operations.length; ordinal++) {
    const operation = operations[ordinal] as Operation
    const { kind } = operation
    if (kind === 'queue.put' || kind.endsWith('.check') || kind.endsWith('.verify')) continue
    const locks = machine.locks(operation)
    for (const key of locks.length > 1 ? new Set(locks) : locks) {
      const sizeBefore = changed.size
      if (changed.add(key).size > sizeBefore) continue
      const message = `two operations of one command change ${key}`
      return { refusal: { code: 'INVALID', message, detail: key }, operation: ordinal }
    }
  }
  return undefined
}

function refused(refusal: Refusal, operation: number): Outcome {
  return { kind: 'refused', code: refusal.code, message: refusal.message, operation, detail: refusal.detail }
}
