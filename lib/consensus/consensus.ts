/**
 * Raft over the cluster's small shared state: one member's copy of the log and of what it amounts to. Pre-vote,
 * check-quorum and loyalty to a live leader together (Ongaro's thesis, sections 6.2, 6.4, 9.6), so that a member that
 * was cut off disturbs nobody; learners before voters; one voter changes at a time, none before an entry of the own term
 * is committed (Ongaro, raft-dev 2015); leadership transfer (3.10); proof of leadership by rounds (6.4).
 *
 * Decision: a candidate whose log is older than a voter's fetches the difference from that voter (`pull`), because with
 * partial connections the only member that reaches a majority may be one that missed the last entries (the
 * constrained-election scenario of OmniPaxos, Ng et al. 2023), and Raft alone would wait for ever. It is safe: a log
 * that ends newer holds every committed entry that the older one holds (leader completeness and log matching), what it
 * replaces was never committed, and nothing fetched is acknowledged to any leader. It does not reach behind compaction.
 *
 * It does not choose voters (`planVoters`), relay, or start again under an old identity with an empty log: a member id
 * is fresh each start.
 */
import { assert } from '../base/assert.ts'
import type { MemberId } from '../base/ids.ts'
import type { Instant } from '../base/instant.ts'
import type { Emit, Lane, Machine } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'
import { Candidacy, type CandidacyPort } from './candidacy.ts'
import { answerPull, isSound, pullAfterEnd, takePulled } from './catch-up.ts'
import type { ClusterCommand, ClusterState } from './cluster-state.ts'
import type { ConsensusEffect, ConsensusInput, Role } from './interface.ts'
import { Leadership } from './leadership.ts'
import { Ledger } from './ledger.ts'
import type {
  Append,
  ConsensusMessage,
  ConsensusRecord,
  Pull,
  Pulled,
  RaftConfig,
  RaftEntry,
  RequestVote,
  SnapshotPart,
  Voted,
} from './messages.ts'
import { consensusDefaults, type ConsensusOptions } from './options.ts'
import { configProblem } from './raft-config.ts'
import { restore } from './restore.ts'
import { IncomingSnapshot } from './snapshot.ts'

export type { ConsensusEffect, ConsensusInput, Role } from './interface.ts'

export class Consensus implements Machine<ConsensusInput, ConsensusEffect> {
  readonly #member: MemberId
  readonly #options: ConsensusOptions
  readonly #ledger: Ledger
  readonly #incoming = new IncomingSnapshot()
  #effects: ConsensusEffect[] = []
  #nowMs = 0

  #term: number
  #votedFor: MemberId | undefined
  #leader: MemberId | undefined
  #leadership: Leadership | undefined
  /** Proposals of this leadership: index -> id; at most `uncommittedMax`. */
  readonly #proposals = new Map<number, number>()
  #heardLeaderAtMs = -Infinity
  /** Its link closed: nothing is owed to it. */
  #isLeaderLost = false
  /** When this member last acknowledged any leader, itself included. Set no later than the acknowledgement leaves. */
  #ackedLeaderAtMs = -Infinity
  /** It may have acknowledged up to its start, in a life whose clock is gone. */
  #isRestored: boolean

  readonly #candidacy: Candidacy
  #announced = ''

  constructor({
    member,
    seed,
    options = {},
    records = [],
  }: {
    readonly member: MemberId
    readonly seed: number
    readonly options?: Partial<ConsensusOptions>
    /** What this very member made durable before, in order. */
    readonly records?: readonly ConsensusRecord[]
  }) {
    this.#member = member
    this.#options = { ...consensusDefaults, ...options }
    const { term, votedFor } = restore(records)
    this.#term = term
    this.#votedFor = votedFor
    this.#ledger = new Ledger(this.#options.logLengthMax, records)
    this.#isRestored = records.length > 0
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
    return this.#leader
  }

  get term(): number {
    return this.#term
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

  /** On the leader: whether the member holds all that is committed. */
  isCaughtUp(member: MemberId): boolean {
    return (this.#leadership?.matchIndex(member) ?? -1) >= this.#ledger.commitIndex
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
    this.#effects = []
    if (this.#isRestored) this.#resume()
    this.#fold(input)
    this.#announce(undefined)
    return this.#effects
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
      case 'linkDown':
        if (input.member === this.#leader) this.#loseLeader()
        return
      case 'linkUp':
        this.#leadership?.linkUp(input.member)
        return
      case 'resign':
        if (this.#leadership?.transfer(this.#nowMs) === true) this.#emit('info', 'consensus.resigning')
        return
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
        if (from === this.#leader && message.term === this.#term && this.#isVoter)
          this.#candidacy.stand(this.#nowMs, true)
        return
    }
  }

  // --- elections ---

  #candidacyPort(): CandidacyPort {
    const self = this
    return {
      member: this.#member,
      log: this.#ledger.log,
      get term() {
        return self.#term
      },
      say: (to, message) => this.#say(to, message),
      enterNextTerm: () => this.#enterTerm(this.#term + 1, this.#member),
      win: oldLeaseAgeMs => this.#lead({ term: this.#term, index: this.#ledger.log.lastIndex + 1 }, oldLeaseAgeMs),
    }
  }

  #tickElection(): void {
    if (!this.#candidacy.isDue(this.#nowMs)) return
    this.#leader = undefined
    if (this.#isVoter) this.#candidacy.ask(this.#nowMs)
    else this.#candidacy.stop()
  }

  #requestVote(from: MemberId, request: RequestVote): void {
    const { term, isPre, isTransfer } = request
    const isLoyal = !isTransfer && this.#isLoyal
    const isCovered = this.#ledger.log.compareEnd(request) >= 0
    let isGranted = !isLoyal && isCovered && term > this.#term
    if (!isPre && !isLoyal) {
      const isFree = this.#leader === undefined && (this.#votedFor === undefined || this.#votedFor === from)
      isGranted ||= isCovered && term === this.#term && isFree
      if (term > this.#term) this.#enterTerm(term, isGranted ? from : undefined)
      else if (isGranted && this.#votedFor === undefined) this.#vote(from)
      if (isGranted) this.#candidacy.rest(this.#nowMs)
    }
    const ageMs = this.#ackAgeMs
    const own = this.#ledger.log
    this.#say(from, {
      kind: 'voted',
      term: isGranted ? term : this.#term,
      isPre,
      isGranted,
      ageMs,
      lastIndex: own.lastIndex,
      lastTerm: own.lastTerm,
    })
    if (isPre && isGranted) this.#candidacy.yieldTo(this.#nowMs, from)
  }

  #voted(from: MemberId, answer: Voted): void {
    const { log } = this.#ledger
    if (!answer.isGranted) {
      if (answer.term > this.#term) this.#enterTerm(answer.term, undefined)
      if (this.#leader === undefined && log.compareEnd(answer) > 0) this.#say(from, pullAfterEnd(log, this.#term))
    }
    this.#candidacy.voted(this.#nowMs, from, answer)
  }

  #lead(opening: RaftEntry, oldLeaseAgeMs: number | undefined): void {
    this.#leader = this.#member
    this.#candidacy.stop()
    this.#ledger.log.append(opening)
    this.#leadership = new Leadership(this.#member, this.#term, this.#options, this.#ledger, this.#nowMs)
    this.#announce(oldLeaseAgeMs)
    this.#emit('info', 'consensus.leader-elected')
  }

  #found(command: ClusterCommand): void {
    if (this.#term > 0) return
    this.#enterTerm(1, this.#member)
    this.#lead({ term: 1, index: 1, config: { voters: [this.#member], learners: [] }, command }, undefined)
  }

  #loseLeader(): void {
    this.#isLeaderLost = true
    if (this.#isVoter && this.#leadership === undefined) this.#candidacy.hasten(this.#nowMs)
  }

  /** Votes are refused while this is true: a leader lives (thesis, sections 4.2.3 and 6.4). */
  get #isLoyal(): boolean {
    if (this.#leadership !== undefined) return true
    if (this.#leader === undefined || this.#isLeaderLost) return false
    return this.#nowMs - this.#heardLeaderAtMs < this.#options.electionMinMs
  }

  get #isVoter(): boolean {
    return this.config.voters.includes(this.#member)
  }

  get #ackAgeMs(): number | undefined {
    return this.#ackedLeaderAtMs === -Infinity ? undefined : this.#nowMs - this.#ackedLeaderAtMs
  }

  // --- terms ---

  /** From here on nothing that was promised in older terms is said any more (figure 2, rules for all servers). */
  #enterTerm(term: number, votedFor: MemberId | undefined): void {
    assert(term > this.#term, 'terms grow')
    this.#stepDown()
    this.#term = term
    this.#votedFor = votedFor
    this.#leader = undefined
    this.#candidacy.abandon()
    this.#ledger.dropHeld()
    this.#effects.push(this.#ledger.persistVote(term, votedFor))
    if (this.#candidacy.dueMs === undefined && this.#isVoter) this.#candidacy.rest(this.#nowMs)
  }

  #vote(candidate: MemberId): void {
    this.#votedFor = candidate
    this.#effects.push(this.#ledger.persistVote(this.#term, candidate))
  }

  /** Ends this member's leadership, if it has one. */
  #stepDown(): void {
    const leadership = this.#leadership
    if (leadership === undefined) return
    this.#persistTail()
    this.#leadership = undefined
    this.#leader = undefined
    this.#candidacy.rest(this.#nowMs)
    for (const id of leadership.rounds.takeAll()) this.#effects.push({ kind: 'confirmed', id, ok: false })
    for (const id of this.#proposals.values())
      this.#effects.push({ kind: 'proposed', id, result: 'unknown', leader: undefined })
    this.#proposals.clear()
    this.#emit('info', 'consensus.stepped-down')
  }

  /** Takes `from` for the leader of `term`, which is not older than the own. False if that cannot be. */
  #follow(from: MemberId, term: number): boolean {
    if (term > this.#term) this.#enterTerm(term, undefined)
    if (this.#leader !== undefined && this.#leader !== from) {
      this.#emit('error', 'consensus.two-leaders')
      return false
    }
    this.#leader = from
    this.#heardLeaderAtMs = this.#ackedLeaderAtMs = this.#nowMs
    this.#isLeaderLost = false
    this.#candidacy.relax()
    this.#candidacy.rest(this.#nowMs)
    return true
  }

  /** In an earlier life it may have acknowledged until its start; the clock of that life is gone. */
  #resume(): void {
    this.#isRestored = false
    this.#ackedLeaderAtMs = this.#nowMs
    this.#candidacy.rest(this.#nowMs)
  }

  // --- following ---

  #append(from: MemberId, message: Append): void {
    const { term, round, prevIndex, prevTerm, commitIndex, entries } = message
    const refusal = { kind: 'appended', round, index: prevIndex, isAccepted: false } as const
    if (term < this.#term) return this.#say(from, { ...refusal, term: this.#term, hintIndex: 0, hintTerm: 0 })
    if (!isSound(message) || !this.#follow(from, term)) return
    const index = this.#ledger.splice(prevIndex, prevTerm, entries)
    if (index === undefined) {
      const hint = this.#ledger.log.meetingPoint(prevIndex, prevTerm)
      return this.#say(from, { ...refusal, term, hintIndex: hint.index, hintTerm: hint.term })
    }
    this.#persistTail()
    this.#commit(Math.min(commitIndex, index))
    this.#say(from, { kind: 'appended', term, round, index, isAccepted: true, hintIndex: 0, hintTerm: 0 })
  }

  #snapshot(from: MemberId, part: SnapshotPart): void {
    const { term, round, index, partCount } = part
    const isOld = term < this.#term
    if (!isOld && !this.#follow(from, term)) return
    let next = 0
    if (!isOld && index <= this.#ledger.commitIndex) next = partCount
    else if (!isOld) {
      const taken = this.#incoming.take(from, part)
      next = taken.next
      const installed = taken.snapshot && this.#ledger.install(taken.snapshot)
      if (installed !== undefined) {
        this.#effects.push(...installed)
        this.#emit('info', 'consensus.snapshot-installed')
      }
    }
    this.#say(from, { kind: 'snapshotHeld', term: this.#term, round, index, next })
  }

  /** Serves a candidate that is behind; while a leader lives that is the leader's work. */
  #pull(from: MemberId, pull: Pull): void {
    if (this.#isLoyal) return
    const answer = answerPull(this.#ledger.log, pull, this.#term, this.#options.entriesPerAppendMax)
    if (answer !== undefined) this.#say(from, answer)
  }

  #pulled(from: MemberId, answer: Pulled): void {
    if (this.#leader !== undefined || this.#ledger.log.compareEnd(answer) <= 0 || !isSound(answer)) return
    if (answer.term > this.#term) this.#enterTerm(answer.term, undefined)
    const next = takePulled(this.#ledger, answer, this.#term)
    this.#persistTail()
    if (next !== undefined) return this.#say(from, next)
    if (this.#ledger.log.compareEnd(answer) > 0) return
    // Votes were asked for with the log as it was.
    this.#candidacy.abandon()
    this.#candidacy.hasten(this.#nowMs)
  }

  // --- leading ---

  #tickLeader(leadership: Leadership): void {
    if (leadership.isHeartbeatDue(this.#nowMs) && !leadership.hasQuorum(this.#nowMs)) {
      this.#emit('warn', 'consensus.quorum-lost')
      return this.#stepDown()
    }
    this.#flush(leadership)
    this.#advance()
  }

  #flush(leadership: Leadership): void {
    this.#persistTail()
    const isRound = leadership.flush(this.#nowMs, (to, message, lane) =>
      this.#effects.push({ kind: 'send', to, lane, message }),
    )
    if (isRound) this.#ackedLeaderAtMs = this.#nowMs
  }

  /** Follows an answer of the term's members; one from a newer term ends this one. */
  #answered(term: number, fold: (leadership: Leadership) => void): void {
    if (term > this.#term) return this.#enterTerm(term, undefined)
    if (this.#leadership === undefined || term < this.#term) return
    fold(this.#leadership)
    this.#advance()
  }

  /** Commits what a majority holds: by counting, entries of the own term only (section 5.4.2). */
  #advance(): void {
    const leadership = this.#leadership
    if (leadership === undefined) return
    const index = leadership.majorityIndex()
    if (index > this.#ledger.commitIndex && this.#ledger.log.termAt(index) === this.#term) {
      this.#commit(index)
      leadership.touch()
    }
    if (leadership.isOpened)
      for (const id of leadership.rounds.takeConfirmed()) this.#effects.push({ kind: 'confirmed', id, ok: true })
    if (!this.#isVoter && this.#ledger.log.configIndex <= this.#ledger.commitIndex) this.#retire(leadership)
  }

  /** The configuration without it is committed: the last word is to whom to turn (thesis, section 4.2.2). */
  #retire(leadership: Leadership): void {
    leadership.transfer(this.#nowMs)
    this.#flush(leadership)
    this.#stepDown()
  }

  #propose({ id, command, config }: Extract<ConsensusInput, { kind: 'propose' }>): void {
    const leadership = this.#leadership
    if (leadership === undefined || !this.#mayAppend(leadership, config)) {
      this.#effects.push({ kind: 'proposed', id, result: 'dropped', leader: this.#leader })
      return
    }
    const index = this.#ledger.log.lastIndex + 1
    this.#ledger.log.append({ term: this.#term, index, ...(config && { config }), ...(command && { command }) })
    this.#proposals.set(index, id)
    if (config === undefined) leadership.touch()
    else leadership.reconfigure(this.#nowMs)
  }

  #mayAppend(leadership: Leadership, config: RaftConfig | undefined): boolean {
    const { log, commitIndex } = this.#ledger
    if (leadership.isTransferring || log.lastIndex - commitIndex >= this.#options.uncommittedMax) return false
    if (config === undefined) return true
    return leadership.isOpened && log.configIndex <= commitIndex && configProblem(log.config, config) === undefined
  }

  #confirm(id: number): void {
    const leadership = this.#leadership
    if (leadership?.rounds.ask(id) !== true) {
      this.#effects.push({ kind: 'confirmed', id, ok: false })
    } else if (this.#isVoter && this.config.voters.length === 1) {
      leadership.beginAlone()
      this.#ackedLeaderAtMs = this.#nowMs
      this.#advance()
    }
  }

  // --- effects ---

  #persisted(token: number): void {
    this.#effects.push(...this.#ledger.persisted(token))
    if (this.#candidacy.phase === 'real' && this.#ledger.isSettled)
      this.#candidacy.count(this.#nowMs, this.#member, this.#ackAgeMs)
    this.#advance()
  }

  #persistTail(): void {
    const persist = this.#ledger.persistTail()
    if (persist !== undefined) this.#effects.push(persist)
  }

  #commit(index: number): void {
    const applied = this.#ledger.commit(index)
    if (applied === undefined) return
    this.#effects.push(applied)
    for (const [at, id] of this.#proposals) {
      if (at > index) break
      this.#proposals.delete(at)
      this.#effects.push({ kind: 'proposed', id, result: 'committed', leader: this.#leader })
    }
    const compacted = this.#ledger.compact()
    if (compacted !== undefined) this.#effects.push(compacted)
  }

  /** Sends once all that was handed to `persist` before is durable. */
  #say(to: MemberId, message: ConsensusMessage, lane: Lane = 'control'): void {
    const send = { kind: 'send', to, lane, message } as const
    if (!this.#ledger.hold(send)) this.#effects.push(send)
  }

  #announce(oldLeaseAgeMs: number | undefined): void {
    const { role } = this
    const text = `${role}/${this.#term}/${this.#leader ?? ''}`
    if (text === this.#announced) return
    this.#announced = text
    this.#effects.push({ kind: 'role', role, term: this.#term, leader: this.#leader, oldLeaseAgeMs })
  }

  #emit(level: Emit['level'], event: string): void {
    this.#effects.push({ kind: 'emit', level, event, fields: { member: this.#member, term: this.#term } })
  }
}
