/**
 * What must hold at every step of every run: election safety, log matching, leader completeness and state machine safety
 * (Raft, figure 3); that nothing is said before it is durable, nor in a term that is left; that a majority holds what is
 * committed; and the two promises that leases rest on: a confirmed leader is no older than any other elected before the
 * question, and no later leader counts old leases from before it.
 */
import type { Applied, ConsensusEffect } from '../../../lib/consensus/interface.ts'
import { RaftLog } from '../../../lib/consensus/log.ts'
import type { ConsensusMessage, ConsensusRecord } from '../../../lib/consensus/messages.ts'
import { recoveryTermStep } from '../../../lib/consensus/recovery.ts'
import { isMajority } from '../../../lib/consensus/raft-config.ts'
import type { Node, RaftWorld } from './world.ts'

/** Two clocks differ in rate by at most twice this, 1 %. */
export const clockDrift = 0.005

/** What a member would start with again. */
interface Durable {
  term: number
  votedFor: string | undefined
  readonly log: RaftLog
}

interface Voters {
  readonly index: number
  /** Recoveries before it. */
  readonly era: number
  readonly voters: readonly string[]
}

export class RaftChecker {
  readonly #world: RaftWorld
  readonly #leaders = new Map<number, string>()
  /** Committed entries: index -> term and content, and the term of the leader that committed it. */
  readonly #committed = new Map<number, { readonly text: string; readonly inTerm: number }>()
  readonly #appliedIndex = new Map<string, number>()
  readonly #checkedTerm = new Map<string, number>()
  readonly #votes = new Map<string, string>()
  readonly #asked = new Map<number, { readonly member: string; readonly atMs: number; readonly newestTerm: number }>()
  /** Confirmed questions: when they were asked and in which term they were answered. */
  readonly #proofs: { readonly askedAtMs: number; readonly term: number }[] = []
  readonly #dropped = new Set<number>()
  readonly #durable = new Map<string, Durable>()
  #voters: Voters = { index: 0, era: 0, voters: [] }
  newestTerm = 0
  /** How often a question of an older leader was held against a newer leader's count. */
  leaseComparisonCount = 0
  /** The least time from such a question to where the newer leader counts from; at least 0. */
  leaseMarginMs: number = Infinity
  leaderCount = 0
  /** Changes of voters that were compared with the one before. */
  voterChangeCount = 0
  confirmedCount = 0

  constructor(world: RaftWorld) {
    this.#world = world
  }

  fail(what: string): never {
    throw new Error(`at ${this.#world.nowMs.toFixed(1)} ms: ${what}`)
  }

  /** Log matching, against every other log: same index and term, same entry and same predecessor. */
  stepped(node: Node): void {
    const { machine } = node
    if (machine.role === 'leader' && this.#checkedTerm.get(node.member) !== machine.term) {
      this.#checkedTerm.set(node.member, machine.term)
      this.#leaderCompleteness(node)
    }
  }

  /** Compares all logs, entry by entry. Costly: call it now and then. */
  logMatching(): void {
    const nodes = [...this.#world.nodes.values()]
    const byName = new Map<string, { readonly text: string; readonly before: number | undefined }>()
    for (const { machine, member } of nodes)
      for (let index = machine.commitIndex + 50; index > 0; index--) {
        const entry = machine.entryAt(index)
        if (entry === undefined) continue
        const before = machine.entryAt(index - 1)?.term
        const text = JSON.stringify([entry.command, entry.config])
        const name = `${entry.term}/${index}`
        const known = byName.get(name)
        if (known !== undefined && known.text !== text) this.fail(`${member}: entry ${name} differs`)
        if (known?.before !== undefined && before !== undefined && known.before !== before)
          this.fail(`${member}: the entry before ${name} differs`)
        if (known?.before === undefined) byName.set(name, { text, before })
      }
  }

  role(node: Node, effect: Extract<ConsensusEffect, { kind: 'role' }>): void {
    if (effect.role !== 'leader') return
    const known = this.#leaders.get(effect.term)
    if (known !== undefined && known !== node.member)
      this.fail(`election safety: ${known} and ${node.member} lead term ${effect.term}`)
    if (known === undefined) this.leaderCount++
    this.#leaders.set(effect.term, node.member)
    const { term, votedFor } = this.#durableOf(node.member)
    // Neither asks anybody for a vote, and commits nothing before its own is durable.
    const isForced = effect.term === 1 || effect.term % recoveryTermStep < effect.term
    const isAlone = node.machine.config.voters.length === 1 && isForced
    if (!isAlone && (term !== effect.term || votedFor !== node.member))
      this.fail(`${node.member} leads ${effect.term} before its own vote is durable`)
    this.newestTerm = Math.max(this.newestTerm, effect.term)
    this.#leaseFloor(effect.term, effect.oldLeaseAgeMs)
  }

  applied(node: Node, { index, commands, state }: Applied): void {
    const before = this.#appliedIndex.get(node.member) ?? 0
    if (index <= before) this.fail(`${node.member} applied ${index} after ${before}`)
    this.#appliedIndex.set(node.member, index)
    if (node.machine.role === 'leader') this.#heldByMajority(node, index)
    for (let at = before + 1; at <= index; at++) {
      const entry = node.machine.entryAt(at)
      if (entry === undefined) continue
      const text = JSON.stringify([entry.term, entry.command, entry.config])
      const known = this.#committed.get(at)
      if (known === undefined) {
        this.#committed.set(at, { text, inTerm: node.machine.term })
        if (entry.config !== undefined) this.#configured(at, entry.term, entry.config.voters)
      }
      if (known !== undefined && known.text !== text)
        this.fail(`state machine safety: ${node.member} applied another entry at ${at}`)
    }
    for (const command of commands)
      if (command.kind === 'define' && !state.definitions.has(command.name)) this.fail(`${command.name} did not apply`)
  }

  /**
   * Committed voters differ by one from those before them, so that their majorities meet. Not compared across entries that
   * nobody was seen to apply: a log that is compacted at once shows only its end; nor across a forced recovery.
   */
  #configured(index: number, term: number, voters: readonly string[]): void {
    const last = this.#voters
    if (index <= last.index) return
    this.#voters = { index, era: Math.floor(term / recoveryTermStep), voters }
    if (this.#voters.era !== last.era) return
    for (let at = last.index + 1; at < index; at++) if (!this.#committed.has(at)) return
    const differing = [...new Set([...last.voters, ...voters])].filter(
      one => !last.voters.includes(one) || !voters.includes(one),
    )
    this.voterChangeCount++
    if (last.index > 0 && differing.length > 1)
      this.fail(`the voters went from ${last.voters.join(',')} to ${voters.join(',')} at ${index}`)
  }

  restarted(member: string): void {
    this.#appliedIndex.set(member, this.#world.node(member).machine.commitIndex)
  }

  proposed(_node: Node, id: number, result: string): void {
    if (result === 'dropped') this.#dropped.add(id)
  }

  /** `record` outlives a crash of the member from now on. */
  durable(member: string, record: ConsensusRecord): void {
    const durable = this.#durableOf(member)
    if (record.kind === 'vote') Object.assign(durable, { term: record.term, votedFor: record.votedFor })
    else if (record.kind === 'entries') durable.log.merge(record.entries)
    else {
      const { index, term, config } = record.snapshot
      if (durable.log.termAt(index) === term) durable.log.compactTo(index)
      else durable.log.reset(index, term, config)
    }
  }

  #durableOf(member: string): Durable {
    let durable = this.#durable.get(member)
    if (durable === undefined) {
      durable = { term: 0, votedFor: undefined, log: new RaftLog() }
      this.#durable.set(member, durable)
    }
    return durable
  }

  /** The leader has committed up to `index`: a crash of all members would not undo it. */
  #heldByMajority({ machine, member }: Node, index: number): void {
    const term = machine.entryAt(index)?.term
    const holds = (voter: string): boolean => {
      const { log } = this.#durableOf(voter)
      return index <= log.baseIndex || (term !== undefined && log.termAt(index) === term)
    }
    if (!isMajority(machine.config, holds)) this.fail(`${member} committed ${index}, which no majority made durable`)
  }

  /** What is promised is durable, and no term is promised anything once a newer one is entered. */
  #promised(from: string, to: string, message: ConsensusMessage): void {
    const { machine } = this.#world.node(from)
    const { term, votedFor, log } = this.#durableOf(from)
    const isVote = message.kind === 'voted' && message.isGranted && !message.isPre
    if (isVote && (term !== message.term || votedFor !== to))
      this.fail(`${from} granted ${to} its vote in ${message.term} before that was durable`)
    if (message.kind === 'requestVote' && !message.isPre && (term !== message.term || votedFor !== from))
      this.fail(`${from} stood in ${message.term} before its vote was durable`)
    if (message.kind === 'appended' && message.isAccepted) {
      const { index } = message
      const held = machine.entryAt(index)
      if (index > log.baseIndex && held !== undefined && log.termAt(index) !== held.term)
        this.fail(`${from} acknowledged ${index} before it was durable`)
    }
    const isPromise = isVote || message.kind === 'appended' || message.kind === 'snapshotHeld'
    if (isPromise && message.term < machine.term)
      this.fail(`${from} promised something in term ${message.term} after entering ${machine.term}`)
  }

  sent(from: string, to: string, message: ConsensusMessage): void {
    this.#promised(from, to, message)
    if (message.kind === 'voted' && message.isGranted && !message.isPre) this.#votedFor(from, message.term, to)
    if (message.kind === 'requestVote' && !message.isPre) this.#votedFor(from, message.term, from)
    if (message.kind === 'appended' || message.kind === 'snapshotHeld') this.#acknowledged(from, message.term)
  }

  asked(id: number, member: string): void {
    this.#asked.set(id, { member, atMs: this.#world.nowMs, newestTerm: this.newestTerm })
  }

  /** Whoever is confirmed led at some moment after the question: nobody newer was elected before it. */
  confirmed(id: number, ok: boolean, node: Node): void {
    const asked = this.#asked.get(id)
    if (!ok || asked === undefined) return
    this.confirmedCount++
    if (node.machine.term < asked.newestTerm)
      this.fail(`${node.member} confirmed in term ${node.machine.term}, asked when ${asked.newestTerm} was led`)
    this.#proofs.push({ askedAtMs: asked.atMs, term: node.machine.term })
    this.#leaseProof(asked.atMs, node.machine.term)
  }

  /** In true time and at the worst rates: a fast clock counts more than has passed. */
  readonly #floors: { readonly term: number; readonly floorMs: number }[] = []

  /** Each later leader counts the wait from a moment not before the question. */
  #leaseProof(askedAtMs: number, term: number): void {
    for (const floor of this.#floors) if (floor.term > term) this.#compareLease(askedAtMs, term, floor)
  }

  #leaseFloor(term: number, ageMs: number | undefined): void {
    const floor = { term, floorMs: ageMs === undefined ? -Infinity : this.#world.nowMs - ageMs / (1 + clockDrift) }
    this.#floors.push(floor)
    for (const proof of this.#proofs) if (proof.term < term) this.#compareLease(proof.askedAtMs, proof.term, floor)
  }

  #compareLease(askedAtMs: number, term: number, floor: { readonly term: number; readonly floorMs: number }): void {
    this.leaseComparisonCount++
    this.leaseMarginMs = Math.min(this.leaseMarginMs, floor.floorMs - askedAtMs)
    if (floor.floorMs < askedAtMs - 1e-6)
      this.fail(
        `term ${floor.term} counts leases from ${floor.floorMs}, term ${term} confirmed what came at ${askedAtMs}`,
      )
  }

  /** A voter that voted in a term acknowledges none older. */
  #acknowledged(voter: string, term: number): void {
    const highest = this.#highestVote.get(voter) ?? 0
    if (term < highest) this.fail(`${voter} acknowledged term ${term} after voting in ${highest}`)
  }

  readonly #highestVote = new Map<string, number>()

  #voted(voter: string, term: number): void {
    this.#highestVote.set(voter, Math.max(term, this.#highestVote.get(voter) ?? 0))
  }

  #votedFor(voter: string, term: number, candidate: string): void {
    const key = `${voter}/${term}`
    if ((this.#votes.get(key) ?? candidate) !== candidate) this.fail(`${voter} voted twice in term ${term}`)
    this.#votes.set(key, candidate)
    this.#voted(voter, term)
  }

  /**
   * What was committed in older terms is there. A member whose votes reach it late (it slept) may begin to lead a term
   * that others have left behind; it need not hold what newer terms have committed, and can commit nothing itself.
   */
  #leaderCompleteness({ machine, member }: Node): void {
    for (const [index, { text, inTerm }] of this.#committed) {
      if (inTerm >= machine.term) continue
      const entry = machine.entryAt(index)
      if (entry === undefined) {
        if (index > machine.commitIndex)
          this.fail(`leader completeness: ${member} lacks ${index} in term ${machine.term}`)
        continue
      }
      if (JSON.stringify([entry.term, entry.command, entry.config]) !== text)
        this.fail(`leader completeness: ${member} holds ${JSON.stringify(entry)} at ${index}, not ${text}`)
    }
  }
}
