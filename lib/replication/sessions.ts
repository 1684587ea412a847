/**
 * Sessions of a partition: which calls were answered, and what (RIFL, Lee et al. 2015, sections 3 and 4). Lives in the
 * partition's state, so that it is replicated, moved and restored with what the calls changed: a retry at the next owner
 * finds its result. A result goes when its caller's mark has passed it, or when the session has ended.
 *
 * A call of an ended session is answered indeterminate, not refused: its result went with the session, so nobody can
 * tell whether an earlier copy of it was applied. The ended sessions kept here cover the time until the owner's copy of
 * the cluster state names them (`sessionStanding`); member ids and session ordinals are never used again.
 */
import { sessionMember, type SessionId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import type { CallId, Outcome } from './command.ts'
import { outcomeBytes } from './size.ts'

/** Calls of one session that may be unanswered in one partition: the width of the window above the mark. */
export const openCallsMax = 1024
/** Sessions known to one partition; a new one beyond is answered retry 'busy'. */
const sessionsMax = 10_000
/** Ended sessions remembered by a partition; the oldest go first. */
const endedMax = 1024

const sessionBytes = 96
const resultBytes = 48
const endedBytes = 32

interface Recorded {
  readonly outcome: Outcome
  /** `resultBytes`, and those of the outcome. */
  readonly bytes: number
}

interface Session {
  /** Every sequence below is answered at the caller; grows only. */
  mark: number
  /** By sequence; mark <= sequence. */
  readonly results: Map<number, Recorded>
}

/** A session as a snapshot carries it. */
export interface SessionImage {
  readonly session: SessionId
  readonly mark: number
  readonly results: readonly (readonly [sequence: number, outcome: Outcome])[]
}

export class Sessions {
  readonly #sessions = new Map<SessionId, Session>()
  readonly #ended = new Set<SessionId>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  ids(): Iterable<SessionId> {
    return this.#sessions.keys()
  }

  isEnded(session: SessionId): boolean {
    return this.#ended.has(session)
  }

  /** Takes note of the call's mark. Returns what to answer at once; undefined if the call is new and is to be applied. */
  admit(call: CallId): Outcome | undefined {
    if (this.#ended.has(call.session)) return { kind: 'indeterminate', message: `session ${call.session} has ended` }
    const session = this.#sessions.get(call.session) ?? this.open(call.session, 1)
    if (session === undefined) return { kind: 'retry', reason: 'busy', owner: undefined, epoch: 0 }
    if (call.mark > session.mark) this.#advance(session, call.mark)
    if (call.sequence < session.mark) {
      return { kind: 'indeterminate', message: `call ${call.sequence} is below the mark ${session.mark}` }
    }
    const recorded = session.results.get(call.sequence)
    if (recorded !== undefined) return recorded.outcome
    if (call.sequence - session.mark < openCallsMax) return undefined
    const message = `more than ${openCallsMax} calls of ${call.session} are open`
    return { kind: 'refused', code: 'TOO_MANY_OPEN', message, operation: 0, detail: null }
  }

  /** Keeps the outcome of an admitted call. */
  record(id: SessionId, sequence: number, outcome: Outcome): void {
    const session = this.#sessions.get(id)
    if (session === undefined || session.results.has(sequence)) return
    const bytes = resultBytes + outcomeBytes(outcome)
    session.results.set(sequence, { outcome, bytes })
    this.#bytes += bytes
  }

  /**
   * What became of a call, whether or not it ever arrived: its outcome; 'never' if it can not be applied any more and
   * left no outcome; undefined while it may still arrive.
   */
  fate(id: SessionId, sequence: number): Outcome | 'never' | undefined {
    if (this.#ended.has(id)) return 'never'
    const session = this.#sessions.get(id)
    if (session === undefined) return undefined
    return sequence < session.mark ? 'never' : session.results.get(sequence)?.outcome
  }

  /** Answers a call before it arrives, so that it will not be applied when it does. False at a limit: nothing changed. */
  foreclose(id: SessionId, sequence: number, outcome: Outcome): boolean {
    const session = this.#sessions.get(id) ?? this.open(id, 1)
    // The mark may lag here behind the caller's, so the window does not apply; twice its width bounds the results.
    if (session === undefined || session.results.size >= 2 * openCallsMax) return false
    this.record(id, sequence, outcome)
    return true
  }

  /** Idempotent. Later calls of the session are not applied. */
  end(id: SessionId): void {
    if (this.#ended.has(id)) return
    const session = this.#sessions.get(id)
    if (session !== undefined) {
      this.#advance(session, Infinity)
      this.#sessions.delete(id)
      this.#bytes -= sessionBytes + id.length
    }
    this.remember(id)
  }

  /** Starts a session; undefined at the limit. */
  open(id: SessionId, mark: number): Session | undefined {
    if (this.#sessions.size >= sessionsMax) return undefined
    const session = { mark, results: new Map<number, Recorded>() }
    this.#sessions.set(id, session)
    this.#bytes += sessionBytes + id.length
    return session
  }

  /** Notes an ended session, dropping the oldest at the limit. */
  remember(id: SessionId): void {
    this.#ended.add(id)
    this.#bytes += endedBytes + id.length
    if (this.#ended.size <= endedMax) return
    for (const oldest of this.#ended) {
      this.#ended.delete(oldest)
      this.#bytes -= endedBytes + oldest.length
      break
    }
  }

  images(): readonly SessionImage[] {
    return [...this.#sessions].map(([session, { mark, results }]) => ({
      session,
      mark,
      results: [...results].map(([sequence, { outcome }]) => [sequence, outcome] as const),
    }))
  }

  ended(): readonly SessionId[] {
    return [...this.#ended]
  }

  #advance(session: Session, mark: number): void {
    const drop = (sequence: number): void => {
      const recorded = session.results.get(sequence)
      if (recorded === undefined) return
      session.results.delete(sequence)
      this.#bytes -= recorded.bytes
    }
    if (mark - session.mark <= session.results.size) for (let at = session.mark; at < mark; at++) drop(at)
    else for (const sequence of session.results.keys()) if (sequence < mark) drop(sequence)
    session.mark = mark
  }
}

/**
 * What the cluster says of a session, for owners, before anything is logged: 'live' admit; 'ended' answer indeterminate
 * (an earlier copy of the command may have been applied); 'unknown' answer retry 'not-open' (a newcomer that this member
 * has not heard of yet, or one that left long ago; certainly not applied now).
 */
export function sessionStanding(state: ClusterState, session: SessionId): 'live' | 'ended' | 'unknown' {
  const member = sessionMember(session)
  const ordinal = Number(session.slice(member.length + 1))
  const current = state.members.get(member)?.session ?? 0
  if (ordinal === current && current > 0) return 'live'
  return ordinal < current || state.endedSessions.includes(session) ? 'ended' : 'unknown'
}
