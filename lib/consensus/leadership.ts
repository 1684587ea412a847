/**
 * One leader's term: how far each other member is, rounds of heartbeats, the way out. Lives from election to step-down
 * and knows nothing of votes. What it wants to say goes to `say`; its log and commit point belong to `Consensus`.
 *
 * A turn's proposals leave in one append per member: inputs only note that there is news, `flush` sends it. No work per
 * heartbeat depends on the length of the log.
 */
import type { MemberId } from '../base/ids.ts'
import type { Lane } from '../base/machine.ts'
import type { ClusterCommand } from './cluster-state.ts'
import type { RaftLog } from './log.ts'
import type { Append, Appended, ConsensusMessage, RaftConfig, RaftSnapshot, SnapshotHeld } from './messages.ts'
import type { ConsensusOptions } from './options.ts'
import { Progress } from './progress.ts'
import { configProblem, isMajority, majorityValue } from './raft-config.ts'
import { Rounds } from './rounds.ts'
import { OutgoingSnapshot } from './snapshot.ts'

type Say = (to: MemberId, message: ConsensusMessage, lane: Lane) => void

/** What a leader reads of its member. */
export interface LeadershipView {
  readonly log: RaftLog
  readonly commitIndex: number
  /** The end of what is durable here. */
  readonly durableIndex: number
  /** What is applied, as a snapshot. Cheap: the state is immutable. */
  snapshot(): RaftSnapshot
}

/** Entries that a member which keeps up may lack at any moment. */
const caughtUpSlack = 16

export class Leadership {
  readonly rounds: Rounds = new Rounds()
  readonly term: number
  /** Index of the empty entry that opened the term: nothing before its commit is known to be committed. */
  readonly openingIndex: number
  readonly #member: MemberId
  readonly #options: ConsensusOptions
  readonly #view: LeadershipView
  readonly #peers = new Map<MemberId, Progress>()
  /** Proposals not committed yet, index -> id; at most `uncommittedMax`. */
  readonly #proposals = new Map<number, number>()
  /** Index of the configuration that went back to the one before, 0 if none did. */
  #retractionIndex = 0
  #heartbeatAtMs: number
  #isDirty = true
  /** Since a majority was last heard: until when nobody is missed, because this process stood still itself. */
  #excusedUntilMs: number | undefined
  #transfer: { readonly to: MemberId; readonly endsAtMs: number; isTold: boolean } | undefined

  constructor(member: MemberId, term: number, options: ConsensusOptions, view: LeadershipView, nowMs: number) {
    this.#member = member
    this.term = term
    this.#options = options
    this.#view = view
    this.openingIndex = view.log.lastIndex
    this.#heartbeatAtMs = nowMs
    this.#reconfigure(nowMs)
  }

  get isOpened(): boolean {
    return this.#view.commitIndex >= this.openingIndex
  }

  deadline(nowMs: number): number {
    return this.#isDirty || this.rounds.isWanted ? nowMs : this.#heartbeatAtMs
  }

  heardAtMs(member: MemberId): number | undefined {
    return this.#peers.get(member)?.heardAtMs
  }

  /** Whether it holds all up to there, or lacks no more than what is always under way. */
  isCaughtUp(member: MemberId, index: number): boolean {
    return (this.matchIndex(member) ?? -Infinity) >= index - caughtUpSlack
  }

  matchIndex(member: MemberId): number | undefined {
    return member === this.#member ? this.#view.durableIndex : this.#peers.get(member)?.matchIndex
  }

  /** There is something to send at the end of this turn. */
  touch(): void {
    this.#isDirty = true
  }

  /** Appends an entry; false if it may not be now. `config` must be one step from the newest one, which is committed. */
  propose(nowMs: number, id: number, command: ClusterCommand | undefined, config: RaftConfig | undefined): boolean {
    const { log } = this.#view
    // While handing over none: the successor must have everything.
    if (this.#transfer !== undefined || log.lastIndex - this.#view.commitIndex >= this.#options.uncommittedMax)
      return false
    if (config !== undefined && !this.#mayFollow(config)) return false
    const index = log.lastIndex + 1
    log.append({ term: this.term, index, ...(config && { config }), ...(command && { command }) })
    this.#proposals.set(index, id)
    if (config === undefined) this.#isDirty = true
    else this.#reconfigure(nowMs)
    return true
  }

  /**
   * Goes back to the configuration before one that cannot be committed: a process that dies as it is made a voter, or as
   * another one is let go, would leave too few for ever. Both configurations may be uncommitted then, but as one step
   * lies between them their majorities meet, so whoever commits this has been heard by whoever could commit that. False
   * if there is no such change.
   */
  retract(nowMs: number): boolean {
    const { log, commitIndex } = this.#view
    if (!this.isOpened || log.configIndex <= commitIndex || log.configIndex === this.#retractionIndex) return false
    const { voters, learners } = log.configAt(commitIndex)
    const members = [...voters, ...learners, ...log.config.voters, ...log.config.learners]
    const others = [...new Set(members)].filter(member => !voters.includes(member))
    const isSame =
      voters.length === log.config.voters.length && voters.every(voter => log.config.voters.includes(voter))
    if (isSame) return false
    // Not to be gone back on: the change may be committed by the voters that this brings back, and is not what they need.
    this.#retractionIndex = log.lastIndex + 1
    log.append({ term: this.term, index: this.#retractionIndex, config: { voters, learners: others } })
    this.#reconfigure(nowMs)
    return true
  }

  /** Ids of the proposals up to `index`, which are settled with this. */
  takeProposals(index: number = Infinity): readonly number[] {
    const ids: number[] = []
    for (const [at, id] of this.#proposals) {
      if (at > index) break
      this.#proposals.delete(at)
      ids.push(id)
    }
    return ids
  }

  /** One change at a time, and none before an entry of the own term is committed (Ongaro, raft-dev 2015). */
  #mayFollow(config: RaftConfig): boolean {
    const { log, commitIndex } = this.#view
    return this.isOpened && log.configIndex <= commitIndex && configProblem(log.config, config) === undefined
  }

  /** Follows the newest configuration in the log. */
  #reconfigure(nowMs: number): void {
    const { voters, learners } = this.#view.log.config
    const wanted = new Set([...voters, ...learners])
    for (const member of this.#peers.keys()) if (!wanted.has(member)) this.#peers.delete(member)
    // One entry back, so that the first append brings the opening entry along.
    const nextIndex = Math.max(this.#view.log.baseIndex, this.#view.log.lastIndex - 1) + 1
    for (const member of wanted)
      if (member !== this.#member && !this.#peers.has(member)) this.#peers.set(member, new Progress(nextIndex, nowMs))
    this.touch()
  }

  /** What is committed by counting: only what ends with an entry of the own term (section 5.4.2). */
  committableIndex(): number {
    const index = majorityValue(this.#view.log.config.voters, voter => this.matchIndex(voter) ?? 0)
    return this.#view.log.termAt(index) === this.term ? index : 0
  }

  /** Check-quorum (thesis, section 6.2): a majority answered within one election timeout. */
  hasQuorum(nowMs: number): boolean {
    const sinceMs = nowMs - this.#options.electionMaxMs
    return isMajority(
      this.#view.log.config,
      voter => voter === this.#member || (this.heardAtMs(voter) ?? -Infinity) >= sinceMs,
    )
  }

  /**
   * Looked at with each heartbeat. A leader that comes to that late has heard nobody because it did not listen, as on a
   * machine that stood still: it gives all `electionMinMs` to answer, once. What it may grant is proved by rounds anyway.
   */
  isQuorumLost(nowMs: number): boolean {
    if (!this.isHeartbeatDue(nowMs)) return false
    if (this.hasQuorum(nowMs)) {
      this.#excusedUntilMs = undefined
      return false
    }
    const { heartbeatMs, electionMinMs } = this.#options
    if (nowMs - this.#heartbeatAtMs > heartbeatMs) this.#excusedUntilMs ??= nowMs + electionMinMs
    return nowMs >= (this.#excusedUntilMs ?? -Infinity)
  }

  isHeartbeatDue(nowMs: number): boolean {
    return nowMs >= this.#heartbeatAtMs
  }

  appended(nowMs: number, from: MemberId, answer: Appended): void {
    const peer = this.#hear(nowMs, from, answer.round)
    if (peer === undefined) return
    if (answer.isAccepted) peer.accepted(Math.min(answer.index, this.#view.log.lastIndex))
    else peer.refused(answer, this.#view.log)
    if (this.#transfer !== undefined || this.#isNews(peer)) this.touch()
  }

  snapshotHeld(nowMs: number, from: MemberId, answer: SnapshotHeld): void {
    const peer = this.#hear(nowMs, from, answer.round)
    const { outgoing } = peer ?? {}
    if (peer === undefined || outgoing?.snapshot.index !== answer.index) return
    outgoing.held(answer.next, nowMs)
    if (outgoing.isComplete) peer.accepted(answer.index)
    this.touch()
  }

  linkUp(member: MemberId): void {
    const peer = this.#peers.get(member)
    if (peer === undefined) return
    peer.probe()
    this.touch()
  }

  /** Begins a round if one is due or wanted, and sends what is new. Returns whether a round began. */
  flush(nowMs: number, say: Say): boolean {
    const isHeartbeat = this.isHeartbeatDue(nowMs)
    const isRound = isHeartbeat || this.rounds.isWanted
    if (isRound) this.rounds.begin()
    if (isHeartbeat) this.#heartbeatAtMs = nowMs + this.#options.heartbeatMs
    const { voters } = this.#view.log.config
    for (const [member, peer] of this.#peers) {
      const isAsked = isHeartbeat || (isRound && voters.includes(member))
      if (isAsked || (this.#isDirty && this.#isNews(peer))) this.#sendTo(nowMs, member, peer, say)
      if (peer.outgoing !== undefined) this.#sendParts(nowMs, member, peer, peer.outgoing, say)
    }
    this.#isDirty = false
    this.#acknowledge()
    this.#continueTransfer(nowMs, say)
    return isRound
  }

  /** A round of the only voter is acknowledged as it begins; false if there are others. */
  beginAlone(): boolean {
    const { voters } = this.#view.log.config
    if (voters.length !== 1 || voters[0] !== this.#member) return false
    this.rounds.begin()
    this.#acknowledge()
    return true
  }

  /** Hands over to the voter that has most (thesis, section 3.10). Returns false if there is none. */
  transfer(nowMs: number): boolean {
    if (this.#transfer !== undefined) return true
    // The successor could not go back on a change that it cannot commit.
    if (this.#view.log.configIndex > this.#view.commitIndex) return false
    const sinceMs = nowMs - this.#options.electionMaxMs
    let best: MemberId | undefined
    for (const voter of this.#view.log.config.voters) {
      const peer = this.#peers.get(voter)
      if (peer === undefined || peer.heardAtMs < sinceMs) continue
      if (best === undefined || peer.matchIndex > (this.matchIndex(best) ?? 0)) best = voter
    }
    if (best === undefined) return false
    this.#transfer = { to: best, endsAtMs: nowMs + this.#options.electionMaxMs, isTold: false }
    this.touch()
    return true
  }

  #hear(nowMs: number, from: MemberId, round: number): Progress | undefined {
    const peer = this.#peers.get(from)
    if (peer === undefined) return undefined
    peer.heardAtMs = nowMs
    peer.ackedRound = Math.max(peer.ackedRound, Math.min(round, this.rounds.current))
    this.#acknowledge()
    return peer
  }

  #acknowledge(): void {
    const { current } = this.rounds
    this.rounds.acknowledged(
      majorityValue(this.#view.log.config.voters, voter =>
        voter === this.#member ? current : (this.#peers.get(voter)?.ackedRound ?? 0),
      ),
    )
  }

  #isNews(peer: Progress): boolean {
    return peer.isNews(this.#view.log, this.#view.commitIndex, this.#options.windowEntriesMax)
  }

  #sendTo(nowMs: number, to: MemberId, peer: Progress, say: Say): void {
    const { log, commitIndex } = this.#view
    const header = { term: this.term, round: this.rounds.current, commitIndex }
    let message = peer.append(log, header, this.#options)
    if (message === undefined) {
      // Only to one that answers: a snapshot for a dead member would be kept for nothing.
      if (nowMs - peer.heardAtMs <= this.#options.electionMaxMs) this.#startSnapshot(nowMs, peer)
      message = bareHeartbeat(header, log)
    }
    say(to, message, 'control')
    while (message.entries.length > 0 && this.#isNews(peer)) {
      message = peer.append(log, header, this.#options)
      if (message === undefined) return
      say(to, message, 'control')
    }
  }

  #startSnapshot(nowMs: number, peer: Progress): void {
    peer.mode = 'snapshot'
    peer.outgoing = new OutgoingSnapshot(this.#view.snapshot(), this.#options.itemsPerPartMax, nowMs)
  }

  #sendParts(nowMs: number, to: MemberId, peer: Progress, outgoing: OutgoingSnapshot, say: Say): void {
    if (nowMs - outgoing.progressAtMs > this.#options.electionMaxMs) {
      if (nowMs - peer.heardAtMs > this.#options.electionMaxMs) return peer.probe()
      outgoing.rewind(nowMs)
    }
    for (const part of outgoing.next(this.term, this.rounds.current)) say(to, part, 'bulk')
  }

  #continueTransfer(nowMs: number, say: Say): void {
    const transfer = this.#transfer
    if (transfer === undefined) return
    if (nowMs >= transfer.endsAtMs || !this.#peers.has(transfer.to)) {
      this.#transfer = undefined
    } else if (!transfer.isTold && this.matchIndex(transfer.to) === this.#view.log.lastIndex) {
      transfer.isTold = true
      say(transfer.to, { kind: 'timeoutNow', term: this.term }, 'control')
    }
  }
}

/** Says only that there is a leader; refused unless the receiver has everything. */
function bareHeartbeat(header: Pick<Append, 'term' | 'round' | 'commitIndex'>, log: RaftLog): Append {
  return { kind: 'append', ...header, prevIndex: log.lastIndex, prevTerm: log.lastTerm, entries: [] }
}
