/** One member played by hand: the test is all others, the disk and the clock. */
import { Consensus } from '../../../lib/consensus/consensus.ts'
import type { ConsensusEffect, ConsensusInput } from '../../../lib/consensus/interface.ts'
import type {
  Append,
  Appended,
  ConsensusMessage,
  ConsensusRecord,
  RaftConfig,
  RaftEntry,
} from '../../../lib/consensus/messages.ts'
import type { ConsensusOptions } from '../../../lib/consensus/options.ts'

export interface SoloSetup {
  readonly voters?: readonly string[]
  readonly learners?: readonly string[]
  /** Terms of the log's entries; the first one holds the configuration. */
  readonly terms?: readonly number[]
  /** By default that of the last entry. */
  readonly term?: number
  readonly votedFor?: string
  readonly seed?: number
  readonly options?: Partial<ConsensusOptions>
}

type Kind = ConsensusMessage['kind']
type Sent<K extends Kind> = { readonly to: string; readonly message: Extract<ConsensusMessage, { kind: K }> }

export class Solo {
  nowMs = 0
  readonly machine: Consensus
  /** All effects but persists, in order; `take` removes messages. */
  readonly effects: ConsensusEffect[] = []
  readonly member: string
  readonly config: RaftConfig
  /** False: records pile up until `flushDisk`. */
  isDiskFast = true
  readonly #unwritten: number[] = []

  constructor(member = 'a', setup: SoloSetup = {}) {
    const { voters = ['a', 'b', 'c'], learners = [], terms = [1], seed = 1, options = {} } = setup
    this.member = member
    this.config = { voters, learners }
    this.machine = new Consensus({ member, seed, options, records: recordsOf(this.config, terms, setup) })
  }

  give(input: ConsensusInput): void {
    for (const effect of this.machine.step({ monotonicMs: this.nowMs, wallMs: 0 }, input))
      if (effect.kind === 'persist') this.#unwritten.push(effect.token)
      else this.effects.push(effect)
    if (this.isDiskFast) this.flushDisk()
  }

  flushDisk(): void {
    for (let token = this.#unwritten.shift(); token !== undefined; token = this.#unwritten.shift())
      this.give({ kind: 'persisted', token })
  }

  hear(from: string, message: ConsensusMessage): void {
    this.give({ kind: 'received', from, message })
  }

  append(from: string, fields: Partial<Append>): void {
    const plain = { term: 1, round: 1, prevIndex: 1, prevTerm: 1, commitIndex: 0, entries: [] }
    this.hear(from, { kind: 'append', ...plain, ...fields })
  }

  /** `from` has everything up to `index`. */
  accept(from: string, index: number, fields: Partial<Appended> = {}): void {
    const plain = { term: this.machine.term, round: 0, isAccepted: true, hintIndex: 0, hintTerm: 0 }
    this.hear(from, { kind: 'appended', ...plain, index, ...fields })
  }

  askVote(from: string, term: number, [lastIndex, lastTerm]: readonly [number, number], isPre = false): boolean {
    this.hear(from, { kind: 'requestVote', term, lastIndex, lastTerm, isPre, isTransfer: false })
    return this.take('voted').at(-1)?.message.isGranted === true
  }

  vote(from: string, isPre: boolean): void {
    const term = this.machine.term + (isPre ? 1 : 0)
    this.hear(from, { kind: 'voted', term, isPre, isGranted: true, ageMs: undefined, lastIndex: 0, lastTerm: 0 })
  }

  /** Steps to the next deadline. */
  tick(): void {
    this.nowMs = Math.max(this.nowMs, this.machine.deadline() ?? this.nowMs)
    this.give({ kind: 'tick' })
  }

  runTo(untilMs: number): void {
    while ((this.machine.deadline() ?? Infinity) <= untilMs) this.tick()
    this.nowMs = untilMs
  }

  /** Makes it the leader of its next term, by the votes of all others. */
  elect(): this {
    this.tick()
    const others = this.config.voters.filter(voter => voter !== this.member)
    for (const other of others) if (this.machine.role !== 'leader') this.vote(other, true)
    for (const other of others) if (this.machine.role !== 'leader') this.vote(other, false)
    this.effects.length = 0
    this.tick()
    return this
  }

  take<K extends Kind>(kind: K): readonly Sent<K>[] {
    const out: Sent<K>[] = []
    for (const effect of this.effects.splice(0))
      if (effect.kind === 'send' && effect.message.kind === kind) out.push(effect as unknown as Sent<K>)
      else this.effects.push(effect)
    return out
  }

  get terms(): readonly (number | undefined)[] {
    const out: (number | undefined)[] = []
    for (let index = 1; this.machine.entryAt(index) !== undefined; index++) out.push(this.machine.entryAt(index)?.term)
    return out
  }

  /** How its proposal `id` ended. */
  resultOf(id: number): string | undefined {
    const found = this.effects.find(effect => effect.kind === 'proposed' && effect.id === id)
    return found?.kind === 'proposed' ? found.result : undefined
  }

  isConfirmed(id: number): boolean | undefined {
    const found = this.effects.find(effect => effect.kind === 'confirmed' && effect.id === id)
    return found?.kind === 'confirmed' ? found.ok : undefined
  }
}

/** Entries with these terms after `prevIndex`, with a command each that tells them apart. */
export function entriesOf(terms: readonly number[], prevIndex = 0): readonly RaftEntry[] {
  return terms.map((term, i) => {
    const index = prevIndex + i + 1
    return { term, index, command: { kind: 'define', name: `${term}/${index}`, definition: 1, ifAbsent: false } }
  })
}

export function recordsOf(
  config: RaftConfig,
  terms: readonly number[],
  { term = terms.at(-1) ?? 0, votedFor }: SoloSetup = {},
): readonly ConsensusRecord[] {
  const [first, ...others] = entriesOf(terms)
  const vote: ConsensusRecord = { kind: 'vote', term, votedFor }
  if (first === undefined) return [vote]
  return [vote, { kind: 'entries', entries: [{ term: first.term, index: 1, config }, ...others] }]
}

/** Carries what two members say to each other, and ticks both, for `ms`. Returns how many messages there were. */
export function converse(a: Solo, b: Solo, ms: number): number {
  let count = 0
  const endMs = a.nowMs + ms
  const carry = (from: Solo, to: Solo): boolean => {
    const sends = from.effects.splice(0).filter(effect => effect.kind === 'send' && effect.to === to.member)
    for (const effect of sends) if (effect.kind === 'send') to.hear(from.member, effect.message)
    count += sends.length
    return sends.length > 0
  }
  for (; a.nowMs < endMs; b.nowMs = a.nowMs += 10) {
    for (const one of [a, b]) one.runTo(one.nowMs)
    while ([carry(a, b), carry(b, a)].includes(true)) for (const one of [a, b]) one.runTo(one.nowMs)
  }
  return count
}
