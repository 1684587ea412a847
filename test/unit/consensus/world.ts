/**
 * N consensus machines on a seeded virtual network and virtual time, with a checker after each step (checker.ts). Faults:
 * delay, loss, duplication, reordering, cut pairs, pauses, slow storage, crashes that keep what was durable; each clock
 * has an origin and a rate of its own.
 */
import { Consensus } from '../../../lib/consensus/consensus.ts'
import type { ConsensusEffect, ConsensusInput } from '../../../lib/consensus/interface.ts'
import {
  consensusMessageShape,
  type ConsensusMessage,
  type ConsensusRecord,
  type RaftConfig,
} from '../../../lib/consensus/messages.ts'
import type { ConsensusOptions } from '../../../lib/consensus/options.ts'
import type { ClusterCommand, MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import { Heap } from '../../../lib/base/heap.ts'
import { Prng } from '../../../lib/base/prng.ts'
import { clockDrift, RaftChecker } from './checker.ts'

export interface Faults {
  lossRatio: number
  duplicateRatio: number
  delayMinMs: number
  delayMaxMs: number
  persistMaxMs: number
}

export interface Node {
  readonly member: string
  machine: Consensus
  readonly records: ConsensusRecord[]
  /** Records handed over, by token, not durable yet. */
  readonly pending: Map<number, ConsensusRecord>
  life: number
  isPaused: boolean
  /** Its clock shows `clockMs + clockRate * nowMs`. */
  readonly clockMs: number
  /** 1 - clockDrift .. 1 + clockDrift. */
  readonly clockRate: number
  readonly held: (() => void)[]
  tickAtMs: number | undefined
}

export const quietFaults: Faults = { lossRatio: 0, duplicateRatio: 0, delayMinMs: 0.2, delayMaxMs: 1, persistMaxMs: 0 }

export class RaftWorld {
  readonly random: Prng
  readonly faults: Faults
  readonly nodes: Map<string, Node> = new Map()
  readonly checker: RaftChecker
  readonly log: string[] = []
  /** What the members told of themselves, by event. */
  readonly emitted: Map<string, number> = new Map()
  /** Every message sent, if a test asks. */
  readonly sent: { readonly from: string; readonly to: string; readonly message: ConsensusMessage }[] = []
  isRecording = false
  nowMs = 0
  readonly results: Map<number, string> = new Map()
  readonly confirms: Map<number, boolean> = new Map()
  readonly roles: { readonly member: string; readonly atMs: number; readonly effect: ConsensusEffect }[] = []
  readonly #agenda = new Heap<() => void>()
  readonly #cut = new Set<string>()
  readonly #options: Partial<ConsensusOptions>
  #nextId = 1

  constructor(seed: number, options: Partial<ConsensusOptions> = {}, faults: Partial<Faults> = {}) {
    this.random = new Prng(seed)
    this.faults = { ...quietFaults, ...faults }
    this.#options = options
    this.checker = new RaftChecker(this)
  }

  /** A member that starts with what it made durable before, by default nothing. */
  add(member: string, records: readonly ConsensusRecord[] = []): Node {
    const node: Node = {
      member,
      machine: new Consensus({ member, seed: this.random.uint32(), options: this.#options, records }),
      records: [...records],
      pending: new Map(),
      life: 0,
      isPaused: false,
      clockMs: this.random.int(0, 100_000),
      clockRate: this.random.between(1 - clockDrift, 1 + clockDrift),
      held: [],
      tickAtMs: undefined,
    }
    this.nodes.set(member, node)
    for (const record of records) this.checker.durable(member, record)
    this.#arm(node)
    return node
  }

  node(member: string): Node {
    const node = this.nodes.get(member)
    if (node === undefined) throw new Error(`no member ${member}`)
    return node
  }

  /** A cluster with these voters, led by the first; runs until all have its log. */
  found(members: readonly string[], voterCount: number = members.length): void {
    for (const member of members) if (!this.nodes.has(member)) this.add(member)
    const [first, ...others] = members
    this.input(first as string, { kind: 'found', command: foundCommand(first as string) })
    this.run(20)
    const voters = [first as string]
    this.reconfigure({ voters: [...voters], learners: others })
    for (const other of others.slice(0, voterCount - 1)) {
      voters.push(other)
      this.reconfigure({ voters: [...voters], learners: others.filter(member => !voters.includes(member)) })
    }
    this.run(200)
  }

  /** Proposes at the leader and runs until it is committed. */
  reconfigure(config: RaftConfig, command?: ClusterCommand): void {
    const id = this.propose(this.leader() ?? '', command, config)
    for (let i = 0; i < 100 && this.results.get(id) === undefined; i++) this.run(10)
    if (this.results.get(id) !== 'committed')
      throw new Error(`configuration not committed: ${String(this.results.get(id))}`)
  }

  propose(
    member: string,
    command: ClusterCommand | undefined = defineCommand(this.#nextId),
    config?: RaftConfig,
  ): number {
    const id = this.#nextId++
    this.input(member, { kind: 'propose', id, ...(command && { command }), ...(config && { config }) })
    return id
  }

  confirm(member: string): number {
    const id = this.#nextId++
    this.input(member, { kind: 'confirm', id })
    return id
  }

  /** The leader of the newest term. */
  leader(): string | undefined {
    let best: Node | undefined
    for (const node of this.nodes.values())
      if (node.machine.role === 'leader' && node.machine.term > (best?.machine.term ?? 0)) best = node
    return best?.member
  }

  input(member: string, input: ConsensusInput): void {
    const node = this.node(member)
    const { life } = node
    const fold = (): void => {
      if (node.life === life) this.#step(node, input)
    }
    if (node.isPaused) node.held.push(fold)
    else fold()
  }

  cut(a: string, b: string): void {
    this.#cut.add(`${a}/${b}`).add(`${b}/${a}`)
  }

  /** One direction only. */
  cutOneWay(from: string, to: string): void {
    this.#cut.add(`${from}/${to}`)
  }

  isolate(member: string): void {
    for (const other of this.nodes.keys()) if (other !== member) this.cut(member, other)
  }

  partition(...sides: readonly (readonly string[])[]): void {
    for (const [i, side] of sides.entries())
      for (const other of sides.slice(i + 1)) for (const a of side) for (const b of other) this.cut(a, b)
  }

  heal(): void {
    this.#cut.clear()
  }

  pause(member: string): void {
    this.node(member).isPaused = true
  }

  resume(member: string): void {
    const node = this.node(member)
    node.isPaused = false
    const held = node.held.splice(0)
    // A real process may see its timers or its sockets first.
    if (this.random.chance(0.5)) this.#tick(node)
    for (const fold of held) fold()
    this.#arm(node)
  }

  /** Dies, losing what was not durable; its links close once what was on the way has arrived. */
  crash(member: string): void {
    const node = this.node(member)
    node.life++
    node.isPaused = true
    node.held.length = 0
    node.pending.clear()
    for (const other of this.nodes.keys())
      if (other !== member && !this.#cut.has(`${other}/${member}`))
        this.at(this.faults.delayMaxMs + this.#delay(), () => this.input(other, { kind: 'linkDown', member }))
  }

  restart(member: string): void {
    const node = this.node(member)
    node.machine = new Consensus({
      member,
      seed: this.random.uint32(),
      options: this.#options,
      records: [...node.records],
    })
    node.isPaused = false
    this.checker.restarted(member)
    this.#arm(node)
  }

  at(delayMs: number, event: () => void): void {
    this.#agenda.push(this.nowMs + delayMs, event)
  }

  run(ms: number): void {
    const untilMs = this.nowMs + ms
    for (let rank = this.#agenda.peekRank(); rank !== undefined && rank <= untilMs; rank = this.#agenda.peekRank()) {
      this.nowMs = Math.max(this.nowMs, rank)
      this.#agenda.pop()?.()
    }
    this.nowMs = untilMs
  }

  runUntil(holds: () => boolean, msMax = 5_000): number {
    const startMs = this.nowMs
    while (!holds()) {
      if (this.nowMs - startMs > msMax) throw new Error(`not within ${msMax} ms of ${startMs}`)
      this.run(1)
    }
    return this.nowMs - startMs
  }

  #step(node: Node, input: ConsensusInput): void {
    const monotonicMs = this.#clockOf(node)
    if (input.kind === 'confirm') this.checker.asked(input.id, node.member)
    const effects = node.machine.step({ monotonicMs, wallMs: monotonicMs }, input)
    for (const effect of effects) this.#perform(node, effect)
    this.checker.stepped(node)
    this.#arm(node)
  }

  #clockOf(node: Node): number {
    return node.clockMs + node.clockRate * this.nowMs
  }

  #perform(node: Node, effect: ConsensusEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(node, effect.to, effect.message, effect.lane === 'control')
      case 'persist':
        return this.#persist(node, effect.token, effect.record)
      case 'proposed':
        this.results.set(effect.id, effect.result)
        return this.checker.proposed(node, effect.id, effect.result)
      case 'confirmed':
        this.confirms.set(effect.id, effect.ok)
        return this.checker.confirmed(effect.id, effect.ok, node)
      case 'role':
        this.roles.push({ member: node.member, atMs: this.nowMs, effect })
        return this.checker.role(node, effect)
      case 'applied':
        return this.checker.applied(node, effect)
      case 'emit':
        this.emitted.set(effect.event, (this.emitted.get(effect.event) ?? 0) + 1)
        return
    }
  }

  #persist(node: Node, token: number, record: ConsensusRecord): void {
    const { life } = node
    node.pending.set(token, record)
    const finish = (): void => {
      if (node.life !== life) return
      // In order: what was handed over before is durable as well.
      for (const [before, earlier] of node.pending) {
        if (before > token) break
        node.pending.delete(before)
        node.records.push(earlier)
        this.checker.durable(node.member, earlier)
        this.input(node.member, { kind: 'persisted', token: before })
      }
    }
    this.at(this.faults.persistMaxMs === 0 ? 0 : this.random.between(0, this.faults.persistMaxMs), finish)
  }

  #delay(): number {
    return this.random.between(this.faults.delayMinMs, this.faults.delayMaxMs)
  }

  #send(node: Node, to: string, message: ConsensusMessage, _isControl: boolean): void {
    const from = node.member
    if (this.isRecording) this.sent.push({ from, to, message })
    this.checker.sent(from, to, message)
    const target = this.nodes.get(to)
    if (target === undefined) return
    const copies = this.random.chance(this.faults.duplicateRatio) ? 2 : 1
    const raw = this.random.chance(0.02) ? consensusMessageShape.unpack(consensusMessageShape.pack(message)) : message
    for (let i = 0; i < copies; i++) {
      if (this.random.chance(this.faults.lossRatio)) continue
      const { life } = target
      this.at(this.#delay(), () => {
        if (this.#cut.has(`${from}/${to}`) || target.life !== life) return
        this.input(to, { kind: 'received', from, message: raw })
      })
    }
  }

  /** The deadline counts at the end of the turn, so never within the step. */
  #arm(node: Node): void {
    if (node.isPaused) return
    const deadlineMs = node.machine.deadline()
    if (deadlineMs === undefined) return
    // A little later than it computes, or rounding would bring the tick before its time.
    const atMs = Math.max(this.nowMs, (deadlineMs - node.clockMs) / node.clockRate + 1e-7)
    if (node.tickAtMs !== undefined && node.tickAtMs <= atMs && node.tickAtMs >= this.nowMs) return
    node.tickAtMs = atMs
    const { life } = node
    this.#agenda.push(atMs, () => {
      if (node.life !== life) return
      if (node.tickAtMs === atMs) node.tickAtMs = undefined
      if (!node.isPaused) this.#tick(node)
    })
  }

  #tick(node: Node): void {
    const deadlineMs = node.machine.deadline()
    if (deadlineMs !== undefined && deadlineMs <= this.#clockOf(node)) this.#step(node, { kind: 'tick' })
    else this.#arm(node)
  }
}

export function memberEntry(member: string, fields: Partial<MemberEntry> = {}): MemberEntry {
  return {
    member,
    peer: `peer-${member}`,
    name: member,
    addresses: [],
    zone: undefined,
    state: 'live',
    holdsData: true,
    session: 1,
    memoryBytes: 1_000_000,
    ...fields,
  }
}

export function foundCommand(member: string): ClusterCommand {
  const settings = { partitionCount: 4, copies: 2, minCopies: 1 }
  return { kind: 'found', cluster: 'test', settings, version: 1, member: memberEntry(member) }
}

export function defineCommand(ordinal: number): ClusterCommand {
  return { kind: 'define', name: `key-${ordinal}`, definition: ordinal, ifAbsent: false }
}
