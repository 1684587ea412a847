/**
 * How a cluster begins with nobody in charge: `expect: n` processes agree on the one that founds it, all others join.
 * A founder needs the promises of n processes, its own included. A process has at most one promise out, and gives none
 * while it or any peer it hears belongs to a cluster. As n is more than half of the listed addresses, two groups of n
 * have a process in common, so at most one of them founds.
 *
 * Of several candidates the one with the smallest member id goes on. A candidate that hears of a smaller one releases
 * the promises it holds and can never use those again (each attempt has a number), then promises itself. Only the
 * promised one may release: a promise to a founder that fell silent stands, as it may have founded already.
 *
 * Decision: a promise is void only when its founder's process is over: its address refuses, or a new process has its
 * transport key. A founder that is merely silent keeps it, and a person may restart this process (a fresh one may
 * promise), because a guess by time could found twice.
 *
 * It does not carry out founding or joining, and does not check that all processes list the same addresses.
 */
import type { Instant } from '../base/instant.ts'
import { InvalidError } from '../base/errors.ts'
import type { ClusterId, MemberId } from '../base/ids.ts'
import type { Emit, Machine, Send, Tick } from '../base/machine.ts'
import { Prng } from '../base/prng.ts'
import { boolean, optional, record, string, uint, variants, type Shape } from '../base/shape.ts'
import type { MemberRecord } from './member-record.ts'

export type FoundingMessage =
  /** Promise me, of so many processes. */
  | { readonly kind: 'ask'; readonly attempt: number; readonly expect: number }
  | { readonly kind: 'promise'; readonly attempt: number }
  /** No. `belongs`: there is a cluster here already; join it. */
  | {
      readonly kind: 'decline'
      readonly attempt: number
      readonly belongs: boolean
      readonly promisedTo?: MemberId | undefined
      readonly expect?: number | undefined
    }
  /** Promises up to this attempt are given back. */
  | { readonly kind: 'release'; readonly attempt: number }
  /** There is a cluster here: join through me. */
  | { readonly kind: 'founded' }

export const foundingMessageShape: Shape<FoundingMessage> = variants<FoundingMessage>({
  ask: [1, record({ attempt: uint, expect: uint })],
  promise: [2, record({ attempt: uint })],
  decline: [
    3,
    record<Omit<Extract<FoundingMessage, { kind: 'decline' }>, 'kind'>>({
      attempt: uint,
      belongs: boolean,
      promisedTo: optional(string),
      expect: optional(uint),
    }),
  ],
  release: [4, record({ attempt: uint })],
  founded: [5, record({})],
})

export type FoundingInput =
  /** The network listens; nothing happens before. */
  | { readonly kind: 'started'; readonly self: MemberRecord }
  /** Also when the cluster of a peer changed. '' is none. */
  | { readonly kind: 'linkUp'; readonly record: MemberRecord; readonly cluster: ClusterId }
  /** `refused`: its process is over, nothing or somebody else listens at its address. */
  | { readonly kind: 'linkDown'; readonly member: MemberId; readonly refused?: boolean }
  | { readonly kind: 'received'; readonly from: MemberId; readonly message: FoundingMessage }
  /** This process belongs to a cluster now. */
  | { readonly kind: 'joined'; readonly cluster: ClusterId }
  | Tick

export type FoundingEffect =
  | Send<FoundingMessage>
  /** This process founds the cluster. At most once. */
  | { readonly kind: 'found' }
  /** Somebody belongs to a cluster: join through it. Again with another member if its link goes down before `joined`. */
  | { readonly kind: 'joinVia'; readonly member: MemberId }
  | Emit

export interface FoundingOptions {
  /** This many processes found together. Undefined: 1 without seeds; with seeds never found, only join. */
  readonly expect?: number | undefined
  /** Distinct listed addresses. The list should name every peer, this one included. */
  readonly seedCount: number
}

/** Throws InvalidError unless any two groups of `expect` among the listed addresses have one in common. */
export function validateFounding({ expect, seedCount }: FoundingOptions): void {
  if (expect === undefined) return
  if (!Number.isSafeInteger(expect) || expect < 1) {
    throw new InvalidError(`expect: ${expect} is not a number of peers; give a whole number from 1`)
  }
  if (2 * expect > seedCount) return
  const least = Math.floor(seedCount / 2) + 1
  throw new InvalidError(
    `expect: ${expect} is not more than half of the ${seedCount} listed addresses, so two clusters could be founded; ` +
      `give at least ${least}`,
  )
}

interface Heard {
  readonly record: MemberRecord
  belongs: boolean
}

/** An ask or promise is repeated this often until something comes of it. */
const repeatIntervalMs = 250
const reportIntervalMs = 5_000
/** Further peers are not heard before one of these goes; more than can be founders. */
const heardMax = 10_000

export class Founding implements Machine<FoundingInput, FoundingEffect> {
  readonly #random: Prng
  readonly #expect: number | undefined
  readonly #seedCount: number
  #self: MemberRecord
  /** Peers with a link, in the order in which they came up. */
  readonly #heard = new Map<MemberId, Heard>()
  /** Whose promises of this attempt are held. */
  readonly #promises = new Set<MemberId>()
  #attempt = 0
  /** The one outstanding promise; of this process itself while it is a candidate. */
  #promised: { readonly to: MemberId; readonly attempt: number; readonly peer: string } | undefined
  #phase: 'idle' | 'waiting' | 'joining' | 'member' = 'idle'
  #via: MemberId | undefined
  #repeatAtMs = Infinity
  #reportAtMs = Infinity
  #out: FoundingEffect[] = []

  /** Throws InvalidError, see `validateFounding`. */
  constructor(init: FoundingOptions & { readonly self: MemberRecord; readonly seed: number }) {
    validateFounding(init)
    this.#self = init.self
    this.#random = new Prng(init.seed)
    this.#seedCount = init.seedCount
    this.#expect = init.expect ?? (init.seedCount === 0 ? 1 : undefined)
  }

  deadline(): number | undefined {
    if (this.#phase === 'idle' || this.#phase === 'member') return undefined
    return Math.min(this.#repeatAtMs, this.#reportAtMs)
  }

  step(now: Instant, input: FoundingInput): readonly FoundingEffect[] {
    this.#out = []
    switch (input.kind) {
      case 'started':
        this.#self = input.self
        this.#phase = this.#phase === 'idle' ? 'waiting' : this.#phase
        this.#repeatAtMs = now.monotonicMs
        this.#reportAtMs = now.monotonicMs + reportIntervalMs
        break
      case 'linkUp':
        this.#linkUp(input.record, input.cluster !== '')
        break
      case 'linkDown':
        this.#linkDown(input.member, input.refused === true)
        break
      case 'received':
        this.#received(input.from, input.message)
        break
      case 'joined':
        this.#belong()
        break
      case 'tick':
        this.#tick(now.monotonicMs)
        break
    }
    if (this.#phase === 'waiting') this.#decide()
    else if (this.#phase === 'joining') this.#chooseVia()
    return this.#out
  }

  #linkUp(record: MemberRecord, belongs: boolean): void {
    if (record.member === this.#self.member) return
    if (!this.#heard.has(record.member) && this.#heard.size >= heardMax) return
    // A process that takes over a transport key proves that the earlier one with it is over.
    if (this.#promised?.peer === record.peer && this.#promised.to !== record.member) this.#promised = undefined
    this.#heard.set(record.member, { record, belongs: belongs || this.#heard.get(record.member)?.belongs === true })
    if (this.#phase === 'member') this.#send(record.member, { kind: 'founded' })
  }

  /** Its process may be over and a fresh one promise somebody else, so its promise counts no more. */
  #linkDown(member: MemberId, refused: boolean): void {
    if (refused && this.#promised?.to === member) this.#promised = undefined
    this.#heard.delete(member)
    this.#promises.delete(member)
    if (this.#via === member) this.#via = undefined
  }

  #received(from: MemberId, message: FoundingMessage): void {
    const heard = this.#heard.get(from)
    if (heard === undefined) return
    switch (message.kind) {
      case 'ask':
        this.#asked(heard, message.attempt, message.expect)
        break
      case 'promise':
        this.#takePromise(from, message.attempt)
        break
      case 'decline':
        if (message.belongs) heard.belongs = true
        if (message.expect !== undefined) this.#warnOfExpect(heard.record, message.expect)
        break
      case 'release':
        if (this.#promised?.to === from && this.#promised.attempt <= message.attempt) this.#promised = undefined
        break
      case 'founded':
        heard.belongs = true
        break
    }
  }

  #asked({ record }: Heard, attempt: number, expect: number): void {
    const { member, peer } = record
    const isOver = this.#phase !== 'waiting' || this.#someoneBelongs
    if (!isOver && expect === this.#expect) {
      if (this.#isCandidate && member < this.#self.member) this.#giveUp()
      if (this.#promised === undefined || this.#promised.to === member) {
        this.#promised = { to: member, attempt: Math.max(attempt, this.#promised?.attempt ?? 0), peer }
        return this.#send(member, { kind: 'promise', attempt: this.#promised.attempt })
      }
    }
    const isOtherwise = expect !== this.#expect
    this.#send(member, {
      kind: 'decline',
      attempt,
      belongs: this.#phase === 'member',
      ...(this.#promised !== undefined && { promisedTo: this.#promised.to }),
      ...(isOtherwise && { expect: this.#expect ?? 0 }),
    })
  }

  /** A promise that cannot be used any more goes back, also when the first release was lost; one that founded stays. */
  #takePromise(from: MemberId, attempt: number): void {
    if (this.#phase === 'member') this.#send(from, { kind: 'founded' })
    else if (this.#isCandidate && attempt === this.#attempt) this.#promises.add(from)
    else this.#send(from, { kind: 'release', attempt })
  }

  #giveUp(): void {
    for (const member of this.#promises) {
      if (member !== this.#self.member) this.#send(member, { kind: 'release', attempt: this.#attempt })
    }
    this.#promises.clear()
    this.#promised = undefined
  }

  #tick(nowMs: number): void {
    if (this.#repeatAtMs <= nowMs) {
      this.#repeatAtMs = nowMs + repeatIntervalMs * this.#random.between(0.75, 1.25)
      if (this.#phase === 'waiting') this.#repeat()
    }
    if (this.#reportAtMs <= nowMs) {
      this.#reportAtMs = nowMs + reportIntervalMs
      this.#report()
    }
  }

  #repeat(): void {
    if (this.#isCandidate) return this.#askAll()
    if (this.#promised !== undefined && this.#heard.has(this.#promised.to)) {
      this.#send(this.#promised.to, { kind: 'promise', attempt: this.#promised.attempt })
    }
  }

  #askAll(): void {
    for (const member of this.#heard.keys()) {
      if (this.#promises.has(member)) continue
      this.#send(member, { kind: 'ask', attempt: this.#attempt, expect: this.#expect ?? 0 })
    }
  }

  #decide(): void {
    if (this.#someoneBelongs) {
      if (this.#isCandidate) this.#giveUp()
      this.#phase = 'joining'
      return this.#chooseVia()
    }
    if (this.#expect === undefined || this.#heard.size + 1 < this.#expect) return
    if (this.#promised === undefined) this.#becomeCandidate()
    if (!this.#isCandidate || this.#promises.size < this.#expect) return
    this.#out.push({ kind: 'found' })
    this.#emit('info', 'founding.founded', { promises: this.#promises.size })
    this.#belong()
  }

  #becomeCandidate(): void {
    this.#attempt++
    this.#promised = { to: this.#self.member, attempt: this.#attempt, peer: this.#self.peer }
    this.#promises.clear()
    this.#promises.add(this.#self.member)
    this.#askAll()
  }

  #chooseVia(): void {
    if (this.#via !== undefined) return
    for (const [member, { belongs }] of this.#heard) {
      if (!belongs) continue
      this.#via = member
      this.#out.push({ kind: 'joinVia', member })
      return
    }
  }

  /** From here on others join through this process. */
  #belong(): void {
    if (this.#phase === 'member') return
    this.#phase = 'member'
    this.#promises.clear()
    for (const member of this.#heard.keys()) this.#send(member, { kind: 'founded' })
  }

  get #isCandidate(): boolean {
    return this.#promised?.to === this.#self.member
  }

  get #someoneBelongs(): boolean {
    for (const { belongs } of this.#heard.values()) if (belongs) return true
    return false
  }

  #warnOfExpect({ name }: MemberRecord, expect: number): void {
    const theirs = expect === 0 ? 'no expect' : `expect ${expect}`
    const reason = `${name} has ${theirs}, this process expect ${this.#expect}; give all the same`
    this.#emit('warn', 'founding.expect-differs', { reason })
  }

  /** Why there is no cluster yet: cause, and remedy where there is one. */
  #report(): void {
    this.#emit('warn', 'founding.waiting', { reason: this.#reason(), heard: this.#heard.size })
  }

  #reason(): string {
    const heard = this.#heard.size
    if (this.#phase === 'joining') {
      if (this.#via === undefined)
        return 'cannot join: nobody of the cluster is reachable; waiting for one of its peers'
      return `asked ${this.#via} to be let in; waiting until its cluster has a majority`
    }
    if (heard === 0)
      return `none of the ${this.#seedCount} listed addresses answers; start a peer there or correct the list`
    if (this.#expect === undefined) {
      return `sees ${heard} peers and none belongs to a cluster; start one of them with expect, as this one only joins`
    }
    if (heard + 1 < this.#expect) return `sees ${heard + 1} of ${this.#expect} expected peers; start the others`
    if (this.#promised !== undefined && !this.#isCandidate && !this.#heard.has(this.#promised.to)) {
      return `promised to found with ${this.#promised.to}, which is silent; bring it back, or restart this peer`
    }
    return `has ${this.#promises.size} of ${this.#expect} promises; waiting for those who promised elsewhere`
  }

  #send(to: MemberId, message: FoundingMessage): void {
    this.#out.push({ kind: 'send', to, lane: 'control', message })
  }

  #emit(level: Emit['level'], event: string, fields: Emit['fields']): void {
    this.#out.push({ kind: 'emit', level, event, fields })
  }
}
