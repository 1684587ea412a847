/** What must hold at every step of every run (Raft, figure 3), plus the two promises that leases rest on. */
import type { Applied, ConsensusEffect } from '../../../lib/consensus/interface.ts'
import type { ConsensusMessage } from '../../../lib/consensus/messages.ts'
import type { Node, RaftWorld } from './world.ts'

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
  newestTerm = 0
  leaderCount = 0
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
    this.newestTerm = Math.max(this.newestTerm, effect.term)
    this.#leaseFloor(effect.term, effect.oldLeaseAgeMs)
  }

  applied(node: Node, { index, commands, state }: Applied): void {
    const before = this.#appliedIndex.get(node.member) ?? 0
    if (index <= before) this.fail(`${node.member} applied ${index} after ${before}`)
    this.#appliedIndex.set(node.member, index)
    for (let at = before + 1; at <= index; at++) {
      const entry = node.machine.entryAt(at)
      if (entry === undefined) continue
      const text = JSON.stringify([entry.term, entry.command, entry.config])
      const known = this.#committed.get(at)
      if (known === undefined) this.#committed.set(at, { text, inTerm: node.machine.term })
      else if (known.text !== text) this.fail(`state machine safety: ${node.member} applied another entry at ${at}`)
    }
    for (const command of commands)
      if (command.kind === 'define' && !state.definitions.has(command.name)) this.fail(`${command.name} did not apply`)
  }

  restarted(member: string): void {
    this.#appliedIndex.set(member, this.#world.node(member).machine.commitIndex)
  }

  proposed(_node: Node, id: number, result: string): void {
    if (result === 'dropped') this.#dropped.add(id)
  }

  sent(from: string, to: string, message: ConsensusMessage): void {
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

  readonly #floors: { readonly term: number; readonly floorMs: number }[] = []

  /** Each later leader counts the wait from a moment not before the question. */
  #leaseProof(askedAtMs: number, term: number): void {
    for (const floor of this.#floors)
      if (floor.term > term && floor.floorMs < askedAtMs - 1e-6)
        this.fail(`term ${floor.term} counts leases from ${floor.floorMs}, term ${term} confirmed ${askedAtMs}`)
  }

  #leaseFloor(term: number, ageMs: number | undefined): void {
    const floorMs = ageMs === undefined ? -Infinity : this.#world.nowMs - ageMs
    this.#floors.push({ term, floorMs })
    for (const proof of this.#proofs) {
      if (proof.term < term && floorMs < proof.askedAtMs - 1e-6)
        this.fail(`term ${term} counts leases from ${floorMs}, term ${proof.term} had confirmed ${proof.askedAtMs}`)
    }
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
