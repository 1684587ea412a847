/**
 * Who waits for what at an owner: callers for the outcome of an entry, readers for a due entry to be gone. Admits
 * commands (before anything is logged: session, copies, room, memory) and answers them, with a look at the lease when it
 * answers. Without a lease, or below `minCopies`, a write that was committed gets no answer at all: its caller asks
 * again and finds the recorded result (P5), or gives up without knowing.
 */
import type { MemberId, SessionId } from '../base/ids.ts'
import type { CallId, Command, LogEntry, Outcome, Query } from './command.ts'
import { sessionStanding } from './sessions.ts'
import type { Tenure } from './tenure.ts'
import type { CallerMessage } from './waiting-line.ts'

/** Attempts of one call that are answered together; of more, the newest. */
const attemptsMax = 4

interface Waiter {
  readonly to: MemberId
  readonly id: number
  readonly replyBytesMax: number
}

interface Reader extends Waiter {
  readonly query: Query
}

export class OpenCalls {
  readonly #tenure: Tenure
  // Index of the logged entry -> who waits for its outcome, and the name of the call.
  readonly #waiters = new Map<number, { readonly call: CallId; readonly attempts: Waiter[] }>()
  // Session -> sequence of the call -> index of its entry that is not applied yet.
  readonly #logged = new Map<SessionId, Map<number, number>>()
  // Index of a maintain entry -> reads that come after it.
  readonly #readers = new Map<number, Reader[]>()
  #readerCount = 0

  constructor(tenure: Tenure) {
    this.#tenure = tenure
  }

  admit(from: MemberId, message: CallerMessage): void {
    const waiter = { to: from, id: message.id, replyBytesMax: message.replyBytesMax }
    if (message.kind === 'query') this.#read({ ...waiter, query: message.query })
    else this.#write(waiter, message.command)
  }

  /** The entry was applied. */
  applied(entry: LogEntry, outcome: Outcome | undefined): void {
    const waiting = this.#waiters.get(entry.index)
    if (waiting !== undefined) {
      this.#waiters.delete(entry.index)
      this.#unlog(waiting.call)
      const { turn, hasCopies } = this.#tenure
      if (outcome !== undefined && turn.hasLease && hasCopies)
        for (const { replyBytesMax, to, id } of waiting.attempts) turn.replyWithin(replyBytesMax, to, id, outcome)
    }
    const readers = this.#readers.get(entry.index)
    if (readers === undefined) return
    this.#readers.delete(entry.index)
    this.#readerCount -= readers.length
    for (const reader of readers) this.#read(reader)
  }

  /** The tenure is over: readers may ask elsewhere; nobody can tell writers anything. */
  end(): void {
    for (const readers of this.#readers.values())
      for (const { to, id } of readers) this.#tenure.replica.sendBack(to, id, 'not-owner')
    this.#readers.clear()
    this.#waiters.clear()
    this.#logged.clear()
  }

  #read(reader: Reader): void {
    const { turn, replica, held, atMs } = this.#tenure
    if (!turn.hasLease) return replica.sendBack(reader.to, reader.id, 'no-lease')
    const answer = held.state.query(reader.query, atMs)
    if (answer.kind === 'answer') return turn.replyWithin(reader.replyBytesMax, reader.to, reader.id, answer.outcome)
    if (this.#readerCount >= turn.options.openMax) return replica.sendBack(reader.to, reader.id, 'busy')
    this.#readerCount += 1
    const index = this.#tenure.propose({ kind: 'maintain', operations: answer.operations })
    this.#readers.set(index, [reader])
  }

  #write(waiter: Waiter, command: Command): void {
    const { turn, replica } = this.#tenure
    const { to: from, id } = waiter
    if (command.kind !== 'execute' && command.kind !== 'prepare' && command.kind !== 'decide') {
      return turn.reply(from, id, refused('INVALID', `callers may not log ${command.kind}`))
    }
    // What came over the wire has been held against the shapes there.
    const invalid = from === turn.member ? this.#tenure.held.state.validate(command) : undefined
    if (invalid !== undefined) return turn.reply(from, id, invalid)
    if (!turn.hasLease) return replica.sendBack(from, id, 'no-lease')
    const standing = sessionStanding(turn.table, command.call.session)
    if (standing === 'unknown') return replica.sendBack(from, id, 'not-open')
    if (standing === 'ended') return turn.reply(from, id, { kind: 'indeterminate', message: 'the session has ended' })
    if (!this.#tenure.hasCopies) return replica.sendBack(from, id, 'few-copies')
    const { call } = command
    const logged = this.#logged.get(call.session)
    const attempts = this.#waiters.get(logged?.get(call.sequence) ?? 0)?.attempts
    if (attempts !== undefined) {
      if (attempts.length >= attemptsMax) attempts.shift()
      attempts.push(waiter)
      return
    }
    if (this.#tenure.isCrowded) return replica.sendBack(from, id, 'busy')
    if (turn.isFull && this.#tenure.held.state.grows(command)) {
      return turn.reply(from, id, refused('GRID_FULL', 'the memory budget is at its refusal mark'))
    }
    const index = this.#tenure.propose(command)
    this.#waiters.set(index, { call, attempts: [waiter] })
    if (logged === undefined) this.#logged.set(call.session, new Map([[call.sequence, index]]))
    else logged.set(call.sequence, index)
  }

  #unlog({ session, sequence }: CallId): void {
    const logged = this.#logged.get(session)
    logged?.delete(sequence)
    if (logged?.size === 0) this.#logged.delete(session)
  }
}

function refused(code: 'INVALID' | 'GRID_FULL', message: string): Outcome {
  return { kind: 'refused', code, message, operation: 0, detail: null }
}
