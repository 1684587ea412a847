/**
 * Raft over the cluster's small shared state: one member's copy of the log and of what it amounts to. Pre-vote,
 * check-quorum and loyalty to a live leader together (Ongaro's thesis, sections 6.2, 6.4, 9.6), so that a member that
 * was cut off disturbs nobody; learners before voters; one voter changes at a time, none before an entry of the own term
 * is committed (Ongaro, raft-dev 2015); leadership transfer (3.10); proof of leadership by rounds (6.4).
 *
 * A candidate with an old log catches up with its voters first (catch-up.ts). It does not choose voters (`planVoters`),
 * relay, or start again under an old identity with an empty log: a member id is fresh each start.
 */
import { assert } from '../base/assert.ts'
import type { MemberId } from '../base/ids.ts'
import type { Instant } from '../base/instant.ts'
import type { Lane, Machine } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'
import { Allegiance } from './allegiance.ts'
import { Candidacy, type CandidacyPort } from './candidacy.ts'
import { answerPull, isSound, pullAfterEnd, takePulled } from './catch-up.ts'
import type { ClusterCommand, ClusterState } from './cluster-state.ts'
import type { ConsensusEffect, ConsensusInput, ConsensusSetup, Role } from './interface.ts'
import { Leadership } from './leadership.ts'
import { Ledger, refuse } from './ledger.ts'
import type { Append, ConsensusMessage, Pull, Pulled, RaftConfig, RaftEntry } from './messages.ts'
import type { RequestVote, SnapshotPart, Voted } from './messages.ts'
import { consensusDefaults, type ConsensusOptions } from './options.ts'
import { Outbox } from './outbox.ts'
import { Survey } from './recovery.ts'
import { restore } from './restore.ts'

export type { ConsensusEffect, ConsensusInput, Role } from './interface.ts'

export class Consensus implements Machine<ConsensusInput, ConsensusEffect> {
  readonly #member: MemberId
  readonly #options: ConsensusOptions
  readonly #ledger: Ledger
  readonly #outbox: Outbox
  readonly #allegiance: Allegiance
  readonly #candidacy: Candidacy
  /** How far the logs of others reach, as of the last input 'survey'. */
  readonly survey: Survey
  #leadership: Leadership | undefined
  /** It may have acknowledged up to its start, in a life whose clock is gone. */
  #isRestored: boolean
  #nowMs = 0

  constructor({ member, seed, options = {}, records = [] }: ConsensusSetup) {
    this.#member = member
    this.#options = { ...consensusDefaults, ...options }
    const { term, votedFor } = restore(records)
    this.#outbox = new Outbox(member)
    this.#allegiance = new Allegiance(term, votedFor)
    this.#ledger = new Ledger(this.#options.logLengthMax, records)
    this.#isRestored = records.length > 0
    this.survey = new Survey(this.#candidacyPort())
    this.#candidacy = new Candidacy(this.#candidacyPort(), this.#options, new Prng(seed))
    if (this.#isRestored) this.#candidacy.rest(-Infinity)
  }

  /** What is agreed, as far as this member knows. */
  get state(): ClusterState {
    return this.#ledger.state
  }

  /** The newest configuration in the log, committed or not. */
  get config(): RaftConfig {
    return this.#ledger.log.config
  }

  get leader(): MemberId | undefined {
    return this.#allegiance.leader
  }

  get term(): number {
    return this.#allegiance.term
  }

  get role(): Role {
    if (this.#leadership !== undefined) return 'leader'
    if (this.#candidacy.phase !== 'idle') return 'candidate'
    return this.#isVoter ? 'follower' : 'learner'
  }

  get commitIndex(): number {
    return this.#ledger.commitIndex
  }

  /** On the leader: when the member last answered, now for itself (monotonic ms); undefined of strangers, and on others. */
  lastHeardMs(member: MemberId): number | undefined {
    if (this.#leadership === undefined) return undefined
    return member === this.#member ? this.#nowMs : this.#leadership.heardAtMs(member)
  }

  /** On the leader: whether the member holds all that is committed, or lacks no more than what is always under way. */
  isCaughtUp(member: MemberId): boolean {
    return this.#leadership?.isCaughtUp(member, this.#ledger.commitIndex) ?? false
  }

  /** An entry of the log; undefined where it is compacted or beyond the end. */
  entryAt(index: number): RaftEntry | undefined {
    return this.#ledger.log.entryAt(index)
  }

  deadline(): number | undefined {
    return this.#leadership?.deadline(this.#nowMs) ?? this.#candidacy.dueMs
  }

  step(now: Instant, input: ConsensusInput): readonly ConsensusEffect[] {
    this.#nowMs = now.monotonicMs
    if (this.#isRestored) this.#allegiance.acknowledge(this.#nowMs)
    this.#isRestored = false
    this.#fold(input)
    this.#outbox.role(this.role, this.term, this.leader)
    return this.#outbox.take()
  }

  #fold(input: ConsensusInput): void {
    switch (input.kind) {
      case 'tick':
        return this.#leadership === undefined ? this.#tickElection() : this.#tickLeader(this.#leadership)
      case 'received':
        return this.#receive(input.from, input.message)
      case 'persisted':
        return this.#persisted(input.token)
      case 'propose':
        return this.#propose(input)
      case 'confirm':
        return this.#confirm(input.id)
      case 'found':
        return this.#found(input.command)
      case 'survey':
        return this.survey.ask(input.members)
      case 'recover':
        return this.#recover(input)
      case 'linkDown':
        return input.member === this.leader ? this.#loseLeader() : undefined
      case 'linkUp':
        return this.#leadership?.linkUp(input.member)
      case 'resign':
        return this.#leadership?.transfer(this.#nowMs) === true
          ? this.#outbox.emit('info', 'consensus.resigning', this.term)
          : undefined
    }
  }

  #receive(from: MemberId, message: ConsensusMessage): void {
    switch (message.kind) {
      case 'requestVote':
        return this.#requestVote(from, message)
      case 'voted':
        return this.#voted(from, message)
      case 'append':
        return this.#append(from, message)
      case 'appended':
        return this.#answered(message.term, leadership => leadership.appended(this.#nowMs, from, message))
      case 'snapshot':
        return this.#snapshot(from, message)
      case 'snapshotHeld':
        return this.#answered(message.term, leadership => leadership.snapshotHeld(this.#nowMs, from, message))
      case 'pull':
        return this.#pull(from, message)
      case 'pulled':
        return this.#pulled(from, message)
      case 'timeoutNow':
        if (from === this.leader && message.term === this.term && this.#isVoter)
          this.#candidacy.stand(this.#nowMs, true)
        return
    }
  }

  // --- elections ---

  #candidacyPort(): CandidacyPort {
    return {
      member: this.#member,
      log: this.#ledger.log,
      term: () => this.term,
      say: (to, message) => this.#say(to, message),
      enterNextTerm: () => this.#enterTerm(this.term + 1, this.#member),
      win: oldLeaseAgeMs => this.#lead({ term: this.term, index: this.#ledger.log.lastIndex + 1 }, oldLeaseAgeMs),
    }
  }

  #tickElection(): void {
    if (!this.#candidacy.isDue(this.#nowMs)) return
    if (this.#allegiance.isFollowing && this.#candidacy.postpone(this.#nowMs)) return
    this.#allegiance.leader = undefined
    return this.#isVoter ? this.#candidacy.ask(this.#nowMs) : this.#candidacy.stop()
  }

  #requestVote(from: MemberId, request: RequestVote): void {
    const { term, isPre, isTransfer } = request
    const { log } = this.#ledger
    const isLoyal = !isTransfer && this.#isLoyal
    const isGranted = !isLoyal && this.#allegiance.grants(from, request, log)
    if (!isPre && !isLoyal) {
      if (term > this.term) this.#enterTerm(term, isGranted ? from : undefined)
      else if (isGranted && this.#allegiance.vote(from)) this.#outbox.push(this.#ledger.persistVote(term, from))
      if (isGranted) this.#candidacy.rest(this.#nowMs)
    }
    const ageMs = this.#allegiance.ackAgeMs(this.#nowMs)
    const answer = { kind: 'voted', term: isGranted ? term : this.term, isPre, isGranted, ageMs } as const
    this.#say(from, { ...answer, lastIndex: log.lastIndex, lastTerm: log.lastTerm })
    if (isPre && isGranted) this.#candidacy.yieldTo(this.#nowMs, from)
  }

  #voted(from: MemberId, answer: Voted): void {
    this.survey.heard(from, answer)
    const { log } = this.#ledger
    if (!answer.isGranted) {
      if (answer.term > this.term) this.#enterTerm(answer.term, undefined)
      if (this.leader === undefined && log.compareEnd(answer) > 0) this.#say(from, pullAfterEnd(log, this.term))
    }
    this.#candidacy.voted(this.#nowMs, from, answer)
  }

  #lead(opening: RaftEntry, oldLeaseAgeMs: number | undefined): void {
    this.#allegiance.leader = this.#member
    this.#candidacy.stop()
    this.#ledger.log.append(opening)
    this.#leadership = new Leadership(this.#member, this.term, this.#options, this.#ledger, this.#nowMs)
    this.#outbox.role('leader', this.term, this.#member, oldLeaseAgeMs)
    this.#outbox.emit('info', 'consensus.leader-elected', this.term)
  }

  #found(command: ClusterCommand): void {
    if (this.term > 0) return
    this.#enterTerm(1, this.#member)
    this.#lead({ term: 1, index: 1, config: { voters: [this.#member], learners: [] }, command }, undefined)
  }

  #recover(input: Extract<ConsensusInput, { kind: 'recover' }>): void {
    if (this.leader !== undefined || this.state.cluster === '') return
    this.#enterTerm(this.survey.recoveryTerm, this.#member)
    this.#lead(this.survey.opening(input), 0)
  }

  #loseLeader(): void {
    this.#allegiance.lose()
    if (this.#isVoter && this.#leadership === undefined) this.#candidacy.hasten(this.#nowMs)
  }

  // Votes are refused while this is true.
  get #isLoyal(): boolean {
    return this.#leadership !== undefined || this.#allegiance.isLoyal(this.#nowMs, this.#options.electionMinMs)
  }

  get #isVoter(): boolean {
    return this.config.voters.includes(this.#member)
  }

  /** From here on nothing that was promised in older terms is said any more (figure 2, rules for all servers). */
  #enterTerm(term: number, votedFor: MemberId | undefined): void {
    assert(term > this.term, 'terms grow')
    this.#stepDown()
    this.#allegiance.enter(term, votedFor)
    this.#candidacy.abandon()
    this.#ledger.dropHeld()
    this.#outbox.push(this.#ledger.persistVote(term, votedFor))
    if (this.#candidacy.dueMs === undefined && this.#isVoter) this.#candidacy.rest(this.#nowMs)
  }

  /** Ends this member's leadership, if it has one. */
  #stepDown(): void {
    const leadership = this.#leadership
    if (leadership === undefined) return
    this.#outbox.push(this.#ledger.persistTail())
    this.#leadership = undefined
    this.#allegiance.leader = undefined
    this.#candidacy.rest(this.#nowMs)
    this.#outbox.confirmed(leadership.rounds.takeAll(), false)
    this.#outbox.proposed(leadership.takeProposals(), 'unknown', undefined)
    this.#outbox.emit('info', 'consensus.stepped-down', this.term)
  }

  /** Takes `from` for the leader of `term`, which is not older than the own. False if that cannot be. */
  #follow(from: MemberId, term: number): boolean {
    if (term > this.term) this.#enterTerm(term, undefined)
    if (!this.#allegiance.follow(from, this.#nowMs)) {
      this.#outbox.emit('error', 'consensus.two-leaders', term)
      return false
    }
    this.#candidacy.relax()
    this.#candidacy.rest(this.#nowMs)
    return true
  }

  // --- following ---

  #append(from: MemberId, message: Append): void {
    if (message.term < this.term) return this.#say(from, refuse(message, this.term, { index: 0, term: 0 }))
    if (!isSound(message) || !this.#follow(from, message.term)) return
    const answer = this.#ledger.append(message)
    this.#outbox.push(this.#ledger.persistTail())
    if (answer.isAccepted) this.#commit(Math.min(message.commitIndex, answer.index))
    this.#say(from, answer)
  }

  #snapshot(from: MemberId, part: SnapshotPart): void {
    if (part.term >= this.term && !this.#follow(from, part.term)) return
    const { next, effects } = part.term < this.term ? { next: 0, effects: [] } : this.#ledger.takePart(from, part)
    this.#outbox.push(...effects)
    this.#say(from, { kind: 'snapshotHeld', term: this.term, round: part.round, index: part.index, next })
  }

  /** Serves a candidate that is behind; while a leader lives that is the leader's work. */
  #pull(from: MemberId, pull: Pull): void {
    if (this.#isLoyal) return
    const answer = answerPull(this.#ledger.log, pull, this.term, this.#options.entriesPerAppendMax)
    if (answer !== undefined) this.#say(from, answer)
  }

  #pulled(from: MemberId, answer: Pulled): void {
    if (this.leader !== undefined || this.#ledger.log.compareEnd(answer) <= 0 || !isSound(answer)) return
    if (answer.term > this.term) this.#enterTerm(answer.term, undefined)
    const next = takePulled(this.#ledger, answer, this.term)
    this.#outbox.push(this.#ledger.persistTail())
    if (next !== undefined) return this.#say(from, next)
    if (this.#ledger.log.compareEnd(answer) > 0) return
    // Votes were asked for with the log as it was.
    this.#candidacy.abandon()
    this.#candidacy.hasten(this.#nowMs)
  }

  // --- leading ---

  #tickLeader(leadership: Leadership): void {
    const isQuorumLost = leadership.isQuorumLost(this.#nowMs)
    if (isQuorumLost && leadership.retract(this.#nowMs)) {
      this.#outbox.emit('info', 'consensus.change-retracted', this.term)
    } else if (isQuorumLost) {
      this.#outbox.emit('warn', 'consensus.quorum-lost', this.term)
      return this.#stepDown()
    }
    this.#flush(leadership)
    this.#advance()
  }

  #flush(leadership: Leadership): void {
    this.#outbox.push(this.#ledger.persistTail())
    const isRound = leadership.flush(this.#nowMs, (to, message, lane) => this.#outbox.send(to, message, lane))
    if (isRound) this.#allegiance.acknowledge(this.#nowMs)
  }

  /** Follows an answer of the term's members; one from a newer term ends this one. */
  #answered(term: number, fold: (leadership: Leadership) => void): void {
    if (term > this.term) return this.#enterTerm(term, undefined)
    if (this.#leadership === undefined || term < this.term) return
    fold(this.#leadership)
    this.#advance()
  }

  /** Commits, answers and leaves as far as the answers so far allow. */
  #advance(): void {
    const leadership = this.#leadership
    if (leadership === undefined) return
    const index = leadership.committableIndex()
    if (index > this.#ledger.commitIndex) {
      this.#commit(index)
      leadership.touch()
      this.#outbox.proposed(leadership.takeProposals(index), 'committed', this.#member)
    }
    if (leadership.isOpened) this.#outbox.confirmed(leadership.rounds.takeConfirmed(), true)
    if (!this.#isVoter && this.#ledger.log.configIndex <= this.#ledger.commitIndex) this.#retire(leadership)
  }

  /** The configuration without it is committed: the last word is to whom to turn (thesis, section 4.2.2). */
  #retire(leadership: Leadership): void {
    leadership.transfer(this.#nowMs)
    this.#flush(leadership)
    this.#stepDown()
  }

  #propose({ id, command, config }: Extract<ConsensusInput, { kind: 'propose' }>): void {
    if (this.#leadership?.propose(this.#nowMs, id, command, config) !== true)
      this.#outbox.proposed([id], 'dropped', this.leader)
  }

  #confirm(id: number): void {
    if (this.#leadership?.rounds.ask(id) !== true) return this.#outbox.confirmed([id], false)
    if (!this.#leadership.beginAlone()) return
    this.#allegiance.acknowledge(this.#nowMs)
    this.#advance()
  }

  #persisted(token: number): void {
    this.#outbox.push(...this.#ledger.persisted(token))
    if (this.#candidacy.phase === 'real' && this.#ledger.isSettled)
      this.#candidacy.count(this.#nowMs, this.#member, this.#allegiance.ackAgeMs(this.#nowMs))
    this.#advance()
  }

  #commit(index: number): void {
    this.#outbox.push(this.#ledger.commit(index), this.#ledger.compact())
  }

  /** Sends once all that was handed to `persist` before is durable. */
  #say(to: MemberId, message: ConsensusMessage, lane: Lane = 'control'): void {
    const send = { kind: 'send', to, lane, message } as const
    if (!this.#ledger.hold(send)) this.#outbox.push(send)
  }
}
