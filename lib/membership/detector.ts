/**
 * The detecting half of SWIM (section 3.1) with Lifeguard's local health: whom to probe, whom to ask for help, what a
 * closed or refused connection proves. Its conclusions are claims like anybody's.
 */
import type { MemberId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { Claim } from './claim.ts'
import { isCut, type Dissemination } from './dissemination.ts'
import type { Knowledge } from './knowledge.ts'
import type { MemberRecord } from './member-record.ts'
import type { MembershipMessage, Verdict } from './messages.ts'
import type { MembershipOptions } from './options.ts'
import { Probes, type Probe } from './probes.ts'
import { Relays, type Asked } from './relays.ts'
import type { Member, Roster } from './roster.ts'

export class Detector {
  readonly #self: MemberId
  readonly #knowledge: Knowledge
  readonly #roster: Roster
  readonly #dissemination: Dissemination
  readonly #random: Prng
  readonly #options: MembershipOptions
  readonly #send: (to: MemberId, message: MembershipMessage) => void
  readonly #probes: Probes = new Probes()
  readonly #relays: Relays
  #nowMs = -Infinity

  constructor(init: {
    readonly self: MemberId
    readonly knowledge: Knowledge
    readonly dissemination: Dissemination
    readonly random: Prng
    readonly options: MembershipOptions
    readonly send: (to: MemberId, message: MembershipMessage) => void
  }) {
    this.#self = init.self
    this.#knowledge = init.knowledge
    this.#roster = init.knowledge.roster
    this.#dissemination = init.dissemination
    this.#random = init.random
    this.#options = init.options
    this.#send = init.send
    this.#relays = new Relays(
      init.options,
      (target, sequence) => this.#ping(target, sequence),
      (asked, verdict) => this.#say(asked, verdict),
    )
  }

  /** When `advance` has something to do. */
  get dueMs(): number {
    return Math.min(this.#probes.dueMs, this.#relays.dueMs)
  }

  /** All that follows happens at this moment. */
  set nowMs(nowMs: number) {
    this.#nowMs = nowMs
  }

  /** This process slept: what it missed meanwhile does not count against others. */
  putOff(lagMs: number): void {
    this.#probes.putOff(lagMs)
    this.#relays.putOff(lagMs)
  }

  /** Asks neighbours and ends periods that are due. */
  advance(): void {
    for (const probe of this.#probes.all()) this.#advanceProbe(probe)
    this.#relays.advance(this.#nowMs)
  }

  /** Begins a probe of the next in the round. */
  probeNext(): void {
    const member = this.#roster.nextProbed(this.#random)
    if (member !== undefined && this.#probes.of(member.record.member) === undefined) this.#probe(member)
  }

  linkUp(record: MemberRecord): void {
    const known = this.#roster.get(record.member)
    if (known === undefined) return
    known.link = 'up'
    known.refusedMs = known.witnessedMs = -Infinity
    this.heard(known)
  }

  /** A peer that came back as a new member is no longer its old one: as good as a refusal. */
  findPredecessor(record: MemberRecord): void {
    for (const other of this.#roster.members()) {
      if (other.record.peer === record.peer && other.link !== 'up') this.linkDown(other.record.member, true)
    }
  }

  linkDown(member: MemberId, refused: boolean): void {
    const known = this.#roster.get(member)
    if (known === undefined) return
    const isNews = refused && known.link !== 'refused'
    if (refused || known.link !== 'refused') known.link = refused ? 'refused' : 'down'
    if (refused) {
      known.refusedMs = this.#nowMs
      this.#relays.refused(member)
    }
    const probe = this.#probes.of(member)
    if (probe === undefined) this.#probe(known)
    else if (isNews || !refused) this.#ask(probe)
    this.#weighRefusals(known)
  }

  heard(known: Member | undefined): void {
    if (known === undefined) return
    known.heardMs = this.#nowMs
    // Whatever was said of its link before, something came through since.
    if (isCut(known)) known.link = 'up'
    if (known.status !== 'alive' && this.#nowMs - known.calledMs >= this.#options.probeTimeoutMs) this.call(known)
  }

  /** Tells a suspect or silent member what is thought of it, so that it can refute (Lifeguard's buddy notice). */
  call(known: Member): void {
    known.calledMs = this.#nowMs
    this.#ping(known.record.member, 0)
  }

  #weighRefusals(known: Member): void {
    const sinceMs = Math.max(this.#nowMs - this.#options.refusalKeepMs, known.heardMs)
    if (known.link !== 'refused' || known.refusedMs < sinceMs || known.witnessedMs < sinceMs) return
    const { record, incarnation } = known
    this.#knowledge.learn({ member: record.member, status: 'gone', incarnation }, this.#nowMs, false)
  }

  #probe(member: Member): void {
    if (this.#knowledge.selfStatus !== 'alive') return
    const { probeIntervalMs, probeTimeoutMs } = this.#options
    const { factor } = this.#knowledge.health
    const askMs = this.#nowMs + probeTimeoutMs * factor
    const probe = this.#probes.start(member.record.member, this.#nowMs, askMs, this.#nowMs + probeIntervalMs * factor)
    this.#ping(probe.target, probe.sequence)
    if (isCut(member)) this.#ask(probe)
  }

  #ask(probe: Probe): void {
    probe.askMs = Infinity
    const fits = (member: Member): boolean =>
      member.record.member !== probe.target && member.status === 'alive' && !isCut(member)
    const isRefused = this.#roster.get(probe.target)?.link === 'refused'
    for (const { record } of this.#roster.sample(this.#options.indirectProbeCount, this.#random, fits)) {
      const { sequence, target } = probe
      probe.verdicts.set(record.member, undefined)
      const claims = this.#dissemination.claimsFor(record.member)
      this.#send(record.member, { kind: 'pingRequest', sequence, target, isRefused, claims })
    }
  }

  #advanceProbe(probe: Probe): void {
    const member = this.#roster.get(probe.target)
    if (member === undefined) return this.#probes.end(probe)
    if (member.heardMs > probe.startedMs && !isCut(member)) return this.#succeed(probe)
    if (probe.askMs <= this.#nowMs) this.#ask(probe)
    if (probe.endMs <= this.#nowMs) this.#fail(probe, member)
  }

  #succeed(probe: Probe): void {
    this.#probes.end(probe)
    this.#knowledge.health.improve()
  }

  /** Mute helpers speak against this member, not against the target (Lifeguard, section IV-A). */
  #fail(probe: Probe, member: Member): void {
    this.#probes.end(probe)
    const mute = [...probe.verdicts.values()].filter(verdict => verdict === undefined).length
    if (probe.verdicts.size > 0) this.#knowledge.health.worsen(mute)
    else if (!isCut(member)) this.#knowledge.health.worsen()
    if (member.status === 'silent') return
    const { record, incarnation } = member
    const claim: Claim = { member: record.member, status: 'suspect', incarnation, by: this.#self, record }
    this.#knowledge.learn(claim, this.#nowMs, false)
  }

  #say({ asker, askerSequence }: Asked, verdict: Verdict): void {
    const claims = this.#dissemination.claimsFor(asker)
    this.#send(asker, { kind: 'answered', sequence: askerSequence, verdict, claims })
  }

  acked(from: MemberId, sequence: number): void {
    const probe = this.#probes.get(sequence)
    if (probe?.target === from) this.#succeed(probe)
    this.#relays.acked(from, sequence)
  }

  probeFor(asker: MemberId, askerSequence: number, target: MemberId, isRefused: boolean): void {
    const known = this.#roster.get(target)
    const asked = { asker, askerSequence, target }
    if (known === undefined) {
      const stone = this.#roster.tombstone(target)
      if (stone !== undefined) this.#send(asker, { kind: 'gossip', claims: [stone.claim] })
      return this.#say(asked, target === this.#self ? 'alive' : 'unreachable')
    }
    if (known.link === 'refused') this.#say(asked, 'refused')
    else this.#relays.start(asked, this.#nowMs)
    if (isRefused) {
      known.witnessedMs = this.#nowMs
      this.#weighRefusals(known)
    }
  }

  answered(from: MemberId, sequence: number, verdict: Verdict): void {
    const probe = this.#probes.get(sequence)
    if (probe === undefined || !probe.verdicts.has(from)) return
    probe.verdicts.set(from, verdict)
    if (verdict === 'alive') return this.#succeed(probe)
    const known = this.#roster.get(probe.target)
    if (verdict !== 'refused' || known === undefined) return
    known.witnessedMs = this.#nowMs
    this.#weighRefusals(known)
  }

  #ping(to: MemberId, sequence: number): void {
    this.#send(to, { kind: 'ping', sequence, claims: this.#dissemination.claimsFor(to) })
  }
}
