/**
 * When a member stands for election and how it counts: pre-vote first (thesis, section 9.6), then votes in earnest
 * (Raft section 5.2). Owns the election timer. Terms, its own vote and the log belong to `Consensus`, reached through
 * the port; so does the other side, granting votes.
 *
 * Decision: retries come sooner than a whole election timeout, growing from one heartbeat, because a pre-vote disturbs
 * nobody and members learn of a dead leader a few milliseconds apart; and of two members that ask at once one gives way.
 */
import { hashNumber, hashText } from '../base/hash.ts'
import type { MemberId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import { Ballot } from './ballot.ts'
import type { RaftLog } from './log.ts'
import type { RequestVote, Voted } from './messages.ts'
import type { ConsensusOptions } from './options.ts'

export interface CandidacyPort {
  readonly member: MemberId
  readonly log: RaftLog
  term(): number
  say(to: MemberId, message: RequestVote): void
  /** Enters the next term with a vote for itself; `count` that vote once it is durable. */
  enterNextTerm(): void
  win(oldLeaseAgeMs: number | undefined): void
}

export class Candidacy {
  readonly #port: CandidacyPort
  readonly #options: ConsensusOptions
  readonly #random: Prng
  #phase: 'idle' | 'pre' | 'real' = 'idle'
  #ballot = new Ballot()
  #attemptCount = 0
  /** Gave way to another candidate since its own last attempt. */
  #hasYielded = false
  #dueMs: number | undefined
  /** Since a leader was heard. */
  #hasPostponed = false

  constructor(port: CandidacyPort, options: ConsensusOptions, random: Prng) {
    this.#port = port
    this.#options = options
    this.#random = random
  }

  get phase(): 'idle' | 'pre' | 'real' {
    return this.#phase
  }

  /** When to stand next; undefined: never. */
  get dueMs(): number | undefined {
    return this.#dueMs
  }

  isDue(nowMs: number): boolean {
    return this.#dueMs !== undefined && nowMs >= this.#dueMs
  }

  /** Asks who would vote for it. */
  ask(nowMs: number): void {
    if (this.#phase !== 'pre') this.#ballot = new Ballot()
    this.#phase = 'pre'
    this.#hasYielded = false
    this.#dueMs = nowMs + this.#retryMs()
    this.#attemptCount++
    this.count(nowMs, this.#port.member, undefined)
    if (this.#phase === 'pre') this.#request(this.#port.term() + 1, true, false)
  }

  /** Asks for votes in a new term. */
  stand(nowMs: number, isTransfer: boolean): void {
    this.#port.enterNextTerm()
    this.#phase = 'real'
    this.#ballot = new Ballot()
    this.#dueMs = nowMs + this.#retryMs()
    this.#request(this.#port.term(), false, isTransfer)
  }

  voted(nowMs: number, from: MemberId, { isPre, isGranted, term, ageMs }: Voted): void {
    const isCurrent = this.#phase === (isPre ? 'pre' : 'real') && term === this.#port.term() + (isPre ? 1 : 0)
    if (isGranted && isCurrent) this.count(nowMs, from, ageMs)
  }

  count(nowMs: number, voter: MemberId, ageMs: number | undefined): void {
    this.#ballot.grant(voter, nowMs, ageMs)
    if (!this.#ballot.isWon(this.#port.log.config)) return
    if (this.#phase === 'pre') return this.stand(nowMs, false)
    this.#phase = 'idle'
    this.#dueMs = undefined
    this.#port.win(this.#ballot.oldLeaseAgeMs(nowMs))
  }

  /**
   * It granted a pre-vote. Of two members that ask at the same time one gives way, or they would split the vote. Which
   * one changes with the term, and once per attempt only, so that one who cannot win never keeps another from it.
   */
  yieldTo(nowMs: number, other: MemberId): void {
    if (this.#hasYielded || this.#dueMs === undefined || this.#phase === 'real') return
    const { member } = this.#port
    const term = this.#port.term()
    if (this.#phase === 'pre' && rankOf(other, term) < rankOf(member, term)) return
    this.#hasYielded = true
    if (this.#phase === 'pre') this.#ballot = new Ballot()
    this.#dueMs = nowMs + this.#retryMs()
  }

  /**
   * The timer ran out while this process stood still, so what the leader said meanwhile is not read yet: two heartbeats'
   * time more, once, before it stands. False if it is not so.
   */
  postpone(nowMs: number): boolean {
    const { heartbeatMs } = this.#options
    const lateMs = nowMs - (this.#dueMs ?? nowMs)
    if (this.#hasPostponed || this.#phase !== 'idle' || lateMs < heartbeatMs / 2) return false
    this.#hasPostponed = true
    this.#dueMs = nowMs + 2 * heartbeatMs
    return true
  }

  /** Gives up what it asked for; the timer runs on. */
  abandon(): void {
    this.#phase = 'idle'
  }

  /** A leader lives. */
  relax(): void {
    this.#phase = 'idle'
    this.#attemptCount = 0
    this.#hasYielded = false
    this.#hasPostponed = false
  }

  /** Nothing to do about elections for one timeout. A member without a vote only notes then that nobody leads. */
  rest(nowMs: number): void {
    const { electionMinMs, electionMaxMs } = this.#options
    const isVoter = this.#port.log.config.voters.includes(this.#port.member)
    this.#dueMs = nowMs + (isVoter ? this.#random.between(electionMinMs, electionMaxMs) : electionMaxMs)
  }

  /** Stands almost at once. */
  hasten(nowMs: number): void {
    this.#hasYielded = false
    this.#dueMs = nowMs + this.#random.between(0, this.#options.linkDownJitterMs)
  }

  stop(): void {
    this.#dueMs = undefined
  }

  #request(term: number, isPre: boolean, isTransfer: boolean): void {
    const { log, member } = this.#port
    const { lastIndex, lastTerm } = log
    for (const voter of log.config.voters)
      if (voter !== member) this.#port.say(voter, { kind: 'requestVote', term, lastIndex, lastTerm, isPre, isTransfer })
  }

  #retryMs(): number {
    const { heartbeatMs, electionMinMs } = this.#options
    const baseMs = Math.min(heartbeatMs * 2 ** Math.min(this.#attemptCount, 10), electionMinMs)
    return this.#random.between(baseMs, 2 * baseMs)
  }
}

/** A different order of the members in each term. */
function rankOf(member: MemberId, term: number): number {
  return hashText(member, hashNumber(term))
}
