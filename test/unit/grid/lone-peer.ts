/**
 * Stands in for a cluster: peers that share one set of real structures, each command applied at the end of the turn in
 * which it was called. What a test wants to go wrong it says by `answers`.
 */
import type { Plain } from '../../../lib/base/shape.ts'
import { emptyClusterState, type ClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import type { GridPeer } from '../../../lib/grid/calls.ts'
import { MemberGrid } from '../../../lib/grid/grid.ts'
import type { Hint } from '../../../lib/peer/hint.ts'
import type { Definition } from '../../../lib/placement/placement.ts'
import type { Settled, TransactionPart } from '../../../lib/replication/caller.ts'
import type { Operation } from '../../../lib/replication/command.ts'
import type { StructureQuery } from '../../../lib/structures/operations.ts'
import type { Structures } from '../../../lib/structures/structures.ts'
import { VirtualEnv } from './virtual-env.ts'

export const partitionCount = 12

export class LoneCluster {
  readonly env: VirtualEnv = new VirtualEnv()
  readonly peers: Map<string, LonePeer> = new Map()
  readonly states: Structures[] = []
  state: ClusterState = {
    ...emptyClusterState,
    cluster: 'test',
    settings: { partitionCount, copies: 1, minCopies: 1 },
  }
  #index = 0

  /** A member that owns every n-th partition. All must be added before the first call. */
  static of(...names: readonly string[]): readonly [LoneCluster, ...MemberGrid[]] {
    const cluster = new LoneCluster()
    const { env } = cluster
    const grids = names.map(name => new MemberGrid({ env, name }))
    for (const [at, grid] of grids.entries())
      cluster.peers.set(names[at] as string, new LonePeer(cluster, grid.name, grid))
    const members = new Map(names.map(name => [name, memberEntry(name)]))
    const partitions = Array.from({ length: partitionCount }, (_, partition) => {
      const grid = grids[partition % grids.length] as MemberGrid
      cluster.states.push(grid.createState(partition))
      return { epoch: 1, bornEpoch: 1, owner: grid.name, backups: [], learners: [] }
    })
    cluster.state = { ...cluster.state, members, partitions }
    for (const [at, grid] of grids.entries()) {
      grid.attach(cluster.peers.get(names[at] as string))
      grid.listener.session(`${grid.name}#1`, Infinity)
    }
    cluster.apply(cluster.state)
    return [cluster, ...grids]
  }

  apply(state: ClusterState): void {
    this.state = state
    for (const { grid } of this.peers.values()) grid.listener.applied(state)
  }

  execute(partition: number, session: string, operations: readonly Operation[]): Settled {
    const machine = this.states[partition] as Structures
    const { monotonicMs, wallMs } = this.env.now()
    const context = { epoch: 1, index: ++this.#index, atMs: wallMs, session, monotonicMs }
    for (const [ordinal, operation] of operations.entries()) {
      const refusal = machine.check(operation, { ...context, ordinal })
      if (refusal !== undefined) return { kind: 'refused', operation: ordinal, ...refusal }
    }
    return { kind: 'done', results: operations.map((each, ordinal) => machine.execute(each, { ...context, ordinal })) }
  }

  query(partition: number, query: StructureQuery): Settled {
    const machine = this.states[partition] as Structures
    for (;;) {
      const found = machine.query(query, this.env.now().wallMs)
      if (found.kind === 'found') return { kind: 'done', results: [found.result] }
      if (found.kind === 'refused') return { kind: 'refused', operation: 0, ...found.refusal }
      this.execute(partition, '', found.operations)
    }
  }

  turned(): void {
    for (const { grid } of this.peers.values()) grid.listener.turned()
  }
}

export class LonePeer implements GridPeer {
  readonly member: string
  readonly grid: MemberGrid
  readonly safety = { level: 0, reason: 'alone, one copy' } as const
  readonly addresses: readonly string[] = []
  readonly voters: readonly string[] = []
  readonly leader: string | undefined
  leaseUntilMs: number = Infinity

  get leaseEndMs(): number {
    return this.leaseUntilMs
  }
  bytes = 0
  /** Instead of what would happen, in order; then what happens. */
  readonly answers: Settled[] = []
  readonly called: (readonly Operation[])[] = []
  readonly hints: Hint[] = []
  /** How long answers take; 0: until the end of the turn. */
  answerMs = 0
  /** Hints are lost. */
  isDeaf = false
  readonly #cluster: LoneCluster
  readonly #open = new Map<number, (settled: Settled) => void>()
  #nextId = 1

  constructor(cluster: LoneCluster, member: string, grid: MemberGrid) {
    this.#cluster = cluster
    this.member = member
    this.grid = grid
  }

  get state(): ClusterState {
    return this.#cluster.state
  }

  get session(): string | undefined {
    return this.grid.session
  }

  call(
    { partition }: { partition: number },
    operations: readonly Operation[],
    settle: (outcome: Settled) => void,
  ): number {
    this.called.push(operations)
    return this.#later(settle, () => this.#cluster.execute(partition, `${this.member}#1`, operations))
  }

  ask({ partition }: { partition: number }, query: StructureQuery, settle: (outcome: Settled) => void): number {
    return this.#later(settle, () => this.#cluster.query(partition, query))
  }

  transact(parts: readonly TransactionPart[], _: number, settle: (outcome: Settled) => void): number {
    this.called.push(parts.flatMap(part => part.operations))
    return this.#later(settle, () => {
      // All are checked before any is executed.
      let position = 0
      for (const { partition, operations } of parts)
        for (const operation of operations) {
          const { wallMs, monotonicMs } = this.#cluster.env.now()
          const context = { epoch: 1, index: 0, ordinal: 0, atMs: wallMs, session: '', monotonicMs }
          const refusal = (this.#cluster.states[partition] as Structures).check(operation, context)
          if (refusal !== undefined) return { kind: 'refused', operation: position, ...refusal }
          position++
        }
      for (const { partition, operations } of parts) this.#cluster.execute(partition, `${this.member}#1`, operations)
      return { kind: 'done', results: [] }
    })
  }

  cancel(id: number): void {
    const settle = this.#open.get(id)
    this.#open.delete(id)
    if (settle !== undefined) this.#cluster.env.turn(() => settle({ kind: 'unavailable', message: 'cancelled' }))
  }

  define(command: Definition): void {
    if (command.kind !== 'define') return
    const { state } = this.#cluster
    if (command.ifAbsent && state.definitions.has(command.name)) return
    const definitions = new Map<string, Plain>(state.definitions).set(command.name, command.definition)
    this.#cluster.env.turn(() => this.#cluster.apply({ ...state, definitions }))
  }

  tell(member: string, hint: Hint): void {
    this.hints.push(hint)
    if (this.isDeaf) return
    this.#cluster.env.turn(() => this.#cluster.peers.get(member)?.grid.listener.hinted(this.member, hint))
  }

  survey(): void {}

  recovery(): string {
    return 'nothing is lost here'
  }

  recover(): void {}

  leave(): void {
    const { state } = this.#cluster
    const members = new Map(state.members)
    members.delete(this.member)
    this.#cluster.env.turn(() => this.#cluster.apply({ ...state, members }))
  }

  #later(settle: (outcome: Settled) => void, act: () => Settled): number {
    const id = this.#nextId++
    this.#open.set(id, settle)
    const { env } = this.#cluster
    const answer = (): void => {
      if (!this.#open.delete(id)) return
      settle(this.answers.shift() ?? act())
      this.#cluster.turned()
    }
    if (this.answerMs === 0) env.turn(answer)
    else env.at(env.now().monotonicMs + this.answerMs, answer)
    return id
  }
}

function memberEntry(name: string): MemberEntry {
  const rest = { zone: undefined, state: 'live', holdsData: true, session: 1, memoryBytes: 0 } as const
  return { member: name, peer: '', name, addresses: [`127.0.0.1:${name.length}`], ...rest }
}
