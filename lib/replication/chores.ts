/**
 * What an open owner logs and says of its own accord: due entries, ended sessions, and both ends of transactions. A
 * participant that waits inquires; the record's owner resolves and tells the decision until every participant has
 * finished, and then forgets. All of it needs the lease: an owner that was deposed without knowing may have missed a
 * prepare, and would acknowledge a decision that it has nothing of.
 */
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Command, LogEntry, Outcome, TransactionId } from './command.ts'
import { sessionStanding } from './sessions.ts'
import type { Tenure } from './tenure.ts'

/** Housekeeping commands logged at once; the next ones when these are applied. */
const dueMax = 64
/** Before it looks again where nothing could be logged. */
const idleMs = 20

export class Chores {
  readonly #tenure: Tenure
  // The last housekeeping entry logged: no more until it is applied.
  #loggedIndex = 0
  // Applied when it was last asked what will be due: nothing new is while nothing more is applied.
  #askedIndex = -1
  // Transactions with a resolve in the log, and who asked.
  readonly #resolving = new Map<string, Set<PartitionId>>()
  // Transactions with a finish in the log; sessions with an end in the log.
  readonly #finishing = new Set<string>()
  readonly #ending = new Set<SessionId>()

  constructor(tenure: Tenure) {
    this.#tenure = tenure
  }

  /** Logs what is due, and says what is due to be said. */
  tend(): void {
    const { turn, held, atMs, replica } = this.#tenure
    if (!this.#mayServe()) return turn.tendAt(replica, turn.now.monotonicMs + turn.options.sweepMs)
    const nowMs = turn.now.monotonicMs
    if (held.state.appliedIndex >= this.#loggedIndex) {
      for (const command of held.state.due(nowMs, atMs, dueMax)) this.#loggedIndex = this.#tenure.propose(command)
    }
    for (const transaction of held.state.openInquiries(nowMs)) turn.settlement.inquire(transaction, replica.partition)
    for (const decision of held.state.openDecisions(nowMs)) {
      for (const participant of decision.participants) turn.settlement.decide(decision, participant)
    }
    this.schedule(nowMs + idleMs)
  }

  /** Asks to be called when something will be due, `earliestMs` at the earliest. */
  schedule(earliestMs: number): void {
    const { turn, held, atMs, replica } = this.#tenure
    this.#askedIndex = held.state.appliedIndex
    const dueMs = held.state.nextDueMs(turn.now.monotonicMs, atMs)
    if (dueMs !== undefined) turn.tendAt(replica, Math.max(dueMs, earliestMs))
  }

  /** The same, if anything was applied since. */
  scheduleNew(): void {
    if (this.#askedIndex !== this.#tenure.held.state.appliedIndex) this.schedule(-Infinity)
  }

  /** Logs the end of every session that the cluster has ended and this partition still knows. */
  endSessions(): void {
    const { turn, held } = this.#tenure
    for (const session of held.state.sessions()) {
      if (this.#ending.has(session) || sessionStanding(turn.table, session) !== 'ended') continue
      this.#ending.add(session)
      this.#tenure.propose({ kind: 'end-session', session })
    }
  }

  /** A participant asks for the decision. */
  inquired(transaction: TransactionId, participant: PartitionId): void {
    if (!this.#mayServe()) return
    const { held, turn } = this.#tenure
    const decision = held.state.decision(transaction)
    if (decision !== undefined) return turn.settlement.decide({ transaction, commit: decision }, participant)
    const name = nameOf(transaction)
    const asking = this.#resolving.get(name) ?? new Set()
    asking.add(participant)
    if (asking.size === 1) this.#tenure.propose({ kind: 'resolve', transaction })
    this.#resolving.set(name, asking)
  }

  /** The record's owner tells the decision. */
  decided(transaction: TransactionId, commit: boolean): void {
    if (!this.#mayServe()) return
    const { held, turn, replica } = this.#tenure
    if (!held.state.isPrepared(transaction)) return turn.settlement.finished(transaction, replica.partition)
    const name = nameOf(transaction)
    if (this.#finishing.has(name)) return
    this.#finishing.add(name)
    this.#tenure.propose({ kind: 'finish', transaction, commit })
  }

  /** A participant has finished. */
  finished(transaction: TransactionId, participant: PartitionId): void {
    if (!this.#mayServe()) return
    const { held, turn } = this.#tenure
    const command = held.state.acknowledge(transaction, participant, turn.now.monotonicMs)
    if (command !== undefined) this.#tenure.propose(command)
  }

  applied(entry: LogEntry, outcome: Outcome | undefined): void {
    const { command } = entry
    if (command.kind === 'end-session') this.#ending.delete(command.session)
    if (command.kind === 'finish') this.#afterFinish(command)
    if (command.kind === 'resolve') this.#afterResolve(command, outcome)
  }

  #afterFinish({ transaction }: Extract<Command, { readonly kind: 'finish' }>): void {
    const { turn, replica } = this.#tenure
    if (this.#finishing.delete(nameOf(transaction)) && this.#mayServe())
      turn.settlement.finished(transaction, replica.partition)
  }

  #afterResolve({ transaction }: Extract<Command, { readonly kind: 'resolve' }>, outcome: Outcome | undefined): void {
    const asking = this.#resolving.get(nameOf(transaction))
    this.#resolving.delete(nameOf(transaction))
    if (asking === undefined || outcome?.kind !== 'done' || !this.#mayServe()) return
    const commit = outcome.results[0] === true
    for (const participant of asking) this.#tenure.turn.settlement.decide({ transaction, commit }, participant)
  }

  #mayServe(): boolean {
    return this.#tenure.isOpen && this.#tenure.turn.hasLease
  }
}

function nameOf({ session, sequence, partition }: TransactionId): string {
  return `${session}/${sequence}/${partition}`
}
