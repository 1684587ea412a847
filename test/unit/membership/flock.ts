/** A few membership machines on a lossy, delayed virtual network, all from one seed. Links open and close as transport would tell. */
import { Heap } from '../../../lib/base/heap.ts'
import { Prng } from '../../../lib/base/prng.ts'
import type { Status } from '../../../lib/membership/claim.ts'
import type { MemberRecord } from '../../../lib/membership/member-record.ts'
import { Membership, type MembershipInput } from '../../../lib/membership/membership.ts'
import { membershipMessageShape, type MembershipMessage } from '../../../lib/membership/messages.ts'
import type { MembershipOptions } from '../../../lib/membership/options.ts'

export interface FlockOptions {
  readonly seed?: number
  readonly lossRatio?: number
  readonly delayMaxMs?: number
  readonly options?: Partial<MembershipOptions>
}

export function recordOf(index: number): MemberRecord {
  const name = `goose-${index}`
  return {
    member: `${name}~a`,
    peer: `peer-${index}`,
    name,
    addresses: [`10.0.0.${index}:7400`],
    holdsData: true,
    memoryBytes: 1e9,
    versionMin: 1,
    versionMax: 1,
  }
}

interface Node {
  readonly machine: Membership
  state: 'up' | 'paused' | 'dead'
  readonly inbox: MembershipInput[]
}

export class Flock {
  nowMs = 0
  sent = 0
  lossRatio: number
  /** `at~what~whom~status` of every change, newest last. */
  readonly changes: { readonly atMs: number; readonly at: number; readonly of: number; readonly status: Status }[] = []
  readonly events: { readonly atMs: number; readonly at: number; readonly event: string; readonly level: string }[] = []
  readonly #nodes = new Map<number, Node>()
  readonly #random: Prng
  readonly #queue = new Heap<() => void>()
  readonly #options: FlockOptions
  #isCut: (a: number, b: number) => boolean = () => false

  constructor(options: FlockOptions = {}) {
    this.#options = options
    this.#random = new Prng(options.seed ?? 1)
    this.lossRatio = options.lossRatio ?? 0
  }

  /** Starts one and links it with those given; more links follow as it learns of others. */
  start(index: number, ...seeds: number[]): void {
    const options = this.#options.options ?? {}
    const machine = new Membership({ self: recordOf(index), seed: this.#random.uint32(), options })
    this.#nodes.set(index, { machine, state: 'up', inbox: [] })
    this.give(index, { kind: 'started', self: recordOf(index) })
    for (const seed of seeds) this.link(index, seed)
  }

  startMesh(count: number): void {
    for (let index = 0; index < count; index++) {
      const earlier = Array.from({ length: index }, (_, at) => at)
      this.start(index, ...earlier)
    }
  }

  link(a: number, b: number): void {
    this.give(a, { kind: 'linkUp', record: recordOf(b) })
    this.give(b, { kind: 'linkUp', record: recordOf(a) })
  }

  /** SIGKILL: connections close at once, and a redial is refused. */
  kill(index: number): void {
    this.#node(index).state = 'dead'
    for (const other of this.others(index)) {
      this.after(this.#random.between(1, 10), () => this.#tellDown(other, index, false))
      this.after(this.#random.between(15, 60), () => this.#tellDown(other, index, true))
    }
  }

  /** Gone without a word, as when its machine loses power. */
  vanish(index: number): void {
    this.#node(index).state = 'dead'
  }

  pause(index: number): void {
    this.#node(index).state = 'paused'
  }

  /** `hasLost`: what was sent to it meanwhile is lost, so that it wakes with what it knew when it fell asleep. */
  wake(index: number, hasLost: boolean = false): void {
    const node = this.#node(index)
    if (hasLost) node.inbox.length = 0
    node.state = 'up'
    for (const input of node.inbox.splice(0)) this.give(index, input)
    this.#arm(index)
  }

  /** Nothing passes where `isCut`; links fall after the silence limit of transport. */
  cut(isCut: (a: number, b: number) => boolean): void {
    this.#isCut = isCut
    for (const a of this.#nodes.keys()) {
      for (const b of this.#nodes.keys()) {
        if (a !== b && isCut(a, b)) this.after(3_000, () => this.#isCut(a, b) && this.#tellDown(a, b, false))
      }
    }
  }

  /** With `isLinked` links come up again at once; otherwise only messages pass again. */
  heal(isLinked: boolean): void {
    const before = this.#isCut
    this.#isCut = () => false
    if (!isLinked) return
    for (const a of this.#nodes.keys()) {
      for (const b of this.#nodes.keys()) if (a < b && (before(a, b) || before(b, a))) this.link(a, b)
    }
  }

  /** Steps one with an input. */
  give(index: number, input: MembershipInput): void {
    const node = this.#node(index)
    if (node.state === 'dead') return
    if (node.state === 'paused') return void node.inbox.push(input)
    for (const effect of node.machine.step({ monotonicMs: this.nowMs, wallMs: this.nowMs }, input)) {
      if (effect.kind === 'send') this.#post(index, indexOf(effect.to), effect.message)
      else if (effect.kind === 'emit')
        this.events.push({ atMs: this.nowMs, at: index, event: effect.event, level: effect.level })
      else {
        this.changes.push({
          atMs: this.nowMs,
          at: index,
          of: indexOf(effect.record.member),
          status: effect.status,
        })
      }
    }
    this.#arm(index)
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs
    while ((this.#queue.peekRank() ?? Infinity) <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.#queue.peekRank() as number)
      this.#queue.pop()?.()
    }
    this.nowMs = untilMs
  }

  /** Runs until it holds and returns how long that took; Infinity if it does not within the limit. */
  runUntil(holds: () => boolean, limitMs: number): number {
    const startedMs = this.nowMs
    while (!holds()) {
      if (this.nowMs - startedMs >= limitMs) return Infinity
      this.run(10)
    }
    return this.nowMs - startedMs
  }

  machine(index: number): Membership {
    return this.#node(index).machine
  }

  status(at: number, of: number): Status | undefined {
    return this.machine(at).status(recordOf(of).member)
  }

  /** Whether everyone running sees `of` so. */
  allSee(of: number, ...statuses: (Status | undefined)[]): boolean {
    return this.others(of).every(at => statuses.includes(this.status(at, of)))
  }

  others(of: number): number[] {
    return [...this.#nodes].filter(([index, node]) => index !== of && node.state === 'up').map(([index]) => index)
  }

  /** Whether everyone running sees everyone else alive. */
  get isWhole(): boolean {
    return [...this.#nodes.keys()].every(of => this.allSee(of, 'alive'))
  }

  after(delayMs: number, callback: () => void): void {
    this.#queue.push(this.nowMs + delayMs, callback)
  }

  #tellDown(at: number, of: number, refused: boolean): void {
    this.give(at, { kind: 'linkDown', member: recordOf(of).member, refused })
  }

  #post(from: number, to: number, message: MembershipMessage): void {
    this.sent++
    if (this.#random.chance(this.lossRatio) || this.#isCut(from, to)) return
    const packed = membershipMessageShape.pack(message)
    this.after(this.#random.between(0.2, this.#options.delayMaxMs ?? 5), () => {
      if (this.#isCut(from, to) || !this.#nodes.has(to)) return
      const received = membershipMessageShape.unpack(packed)
      this.give(to, { kind: 'received', from: recordOf(from).member, message: received })
    })
  }

  readonly #armedMs = new Map<number, number>()

  #arm(index: number): void {
    const dueMs = this.#node(index).machine.deadline()
    if (dueMs === undefined || dueMs >= (this.#armedMs.get(index) ?? Infinity)) return
    const atMs = Math.max(dueMs, this.nowMs)
    this.#armedMs.set(index, atMs)
    this.#queue.push(atMs, () => {
      if (this.#armedMs.get(index) !== atMs) return
      this.#armedMs.delete(index)
      if (this.#node(index).state !== 'up') return
      if ((this.machine(index).deadline() ?? Infinity) <= this.nowMs) this.give(index, { kind: 'tick' })
      else this.#arm(index)
    })
  }

  #node(index: number): Node {
    const node = this.#nodes.get(index)
    if (node === undefined) throw new Error(`no goose-${index}`)
    return node
  }
}

function indexOf(member: string): number {
  return Number(/^goose-(\d+)~/.exec(member)?.[1])
}
