/**
 * Grids without a cluster below: several members over one set of real structures in this process, on real time. What a
 * test wants to go wrong it says by `answers` of a peer.
 */
import { emptyClusterState, type ClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import type { Emit } from '../../../lib/base/machine.ts'
import type { Plain } from '../../../lib/base/shape.ts'
import type { GridPeer } from '../../../lib/grid/calls.ts'
import { MemberGrid } from '../../../lib/grid/grid.ts'
import { systemEnv } from '../../../lib/peer/clock.ts'
import type { Hint } from '../../../lib/peer/hint.ts'
import type { Definition } from '../../../lib/placement/placement.ts'
import type { Safety } from '../../../lib/placement/safety.ts'
import type { Settled, TransactionPart } from '../../../lib/replication/caller.ts'
import type { Operation } from '../../../lib/replication/command.ts'
import type { StructureQuery } from '../../../lib/structures/operations.ts'
import type { Structures } from '../../../lib/structures/structures.ts'

const partitionCount = 12

export interface FakeGrid {
  readonly grid: MemberGrid
  readonly peer: FakePeer
  readonly events: Emit[]
}

export class FakeCluster {
  readonly members: readonly FakeGrid[]
  readonly #states: Structures[] = []
  state: ClusterState
  #index = 0

  constructor(...names: readonly string[]) {
    this.members = names.map(name => {
      const events: Emit[] = []
      const env = systemEnv(event => {
        events.push(event)
        grid.events.tell('event', event)
      })
      const grid: MemberGrid = new MemberGrid({ env, name, clusterName: 'test' })
      return { grid, peer: new FakePeer(this, grid), events }
    })
    const partitions = Array.from({ length: partitionCount }, (_, partition) => {
      const { grid } = this.members[partition % names.length] as FakeGrid
      this.#states.push(grid.createState(partition))
      return { epoch: 1, bornEpoch: 1, owner: grid.name, backups: [], learners: [] }
    })
    const settings = { partitionCount, copies: 1, minCopies: 1 }
    const members = new Map(names.map(name => [name, memberEntry(name)]))
    this.state = { ...emptyClusterState, cluster: 'fake', settings, members, partitions }
    for (const { grid, peer } of this.members) {
      grid.attach(peer)
      grid.listener.session(`${grid.name}#1`, Infinity)
    }
    this.apply(this.state)
    // What is due happens by itself.
    const tend = (): void => {
      for (const [partition, machine] of this.#states.entries()) {
        const due = machine.due(performance.now(), Date.now(), 100, () => false)
        if (due.length > 0) this.execute(partition, '', due)
      }
      this.#timer = setTimeout(tend, 5).unref()
    }
    tend()
  }

  #timer: NodeJS.Timeout | undefined

  close(): void {
    clearTimeout(this.#timer)
  }

  apply(state: ClusterState): void {
    this.state = state
    for (const { grid } of this.members) grid.listener.applied(state)
  }

  execute(partition: number, session: string, operations: readonly Operation[]): Settled {
    const machine = this.#states[partition] as Structures
    const refused = this.check(partition, session, operations)
    if (refused !== undefined) return refused
    const context = this.#context(session)
    return { kind: 'done', results: operations.map((each, ordinal) => machine.execute(each, { ...context, ordinal })) }
  }

  check(partition: number, session: string, operations: readonly Operation[]): Settled | undefined {
    const machine = this.#states[partition] as Structures
    const context = this.#context(session)
    for (const [ordinal, operation] of operations.entries()) {
      const refusal = machine.check(operation, { ...context, ordinal })
      if (refusal !== undefined) return { kind: 'refused', operation: ordinal, ...refusal }
    }
    return undefined
  }

  query(partition: number, query: StructureQuery): Settled {
    for (;;) {
      const found = (this.#states[partition] as Structures).query(query, Date.now())
      if (found.kind === 'found') return { kind: 'done', results: [found.result] }
      if (found.kind === 'refused') return { kind: 'refused', operation: 0, ...found.refusal }
      this.execute(partition, '', found.operations)
    }
  }

  /** What the session holds goes. */
  endSession(session: string): void {
    for (const machine of this.#states) machine.endSession(session, this.#context(session))
  }

  turned(): void {
    for (const { grid } of this.members) grid.listener.turned()
  }

  #context(session: string): {
    epoch: number
    index: number
    ordinal: number
    atMs: number
    session: string
    monotonicMs: number
  } {
    return { epoch: 1, index: ++this.#index, ordinal: 0, atMs: Date.now(), session, monotonicMs: performance.now() }
  }
}

export class FakePeer implements GridPeer {
  readonly member: string
  safety: Safety = { level: 0, reason: 'alone, one copy' }
  readonly addresses: readonly string[] = []
  readonly leaseUntilMs: number = Infinity
  readonly leaseEndMs: number = Infinity
  bytes = 0
  /** Instead of what would happen, in order; then what happens. */
  readonly answers: Settled[] = []
  /** Turns that a command takes; a query takes one, so it overtakes what was not waited for. */
  callTurns = 1
  readonly #cluster: FakeCluster
  readonly #grid: MemberGrid
  readonly #open = new Map<number, (settled: Settled) => void>()
  #nextId = 1

  constructor(cluster: FakeCluster, grid: MemberGrid) {
    this.#cluster = cluster
    this.#grid = grid
    this.member = grid.name
  }

  get state(): ClusterState {
    return this.#cluster.state
  }

  get session(): string | undefined {
    return this.#grid.session
  }

  get leader(): string | undefined {
    return this.#cluster.members[0]?.grid.name
  }

  get voters(): readonly string[] {
    return this.#cluster.members.map(({ grid }) => grid.name)
  }

  call(
    { partition }: { partition: number },
    operations: readonly Operation[],
    settle: (outcome: Settled) => void,
  ): number {
    return this.#later(settle, () => this.#cluster.execute(partition, this.session ?? '', operations), this.callTurns)
  }

  ask({ partition }: { partition: number }, query: StructureQuery, settle: (outcome: Settled) => void): number {
    return this.#later(settle, () => this.#cluster.query(partition, query))
  }

  transact(parts: readonly TransactionPart[], _: number, settle: (outcome: Settled) => void): number {
    const session = this.session ?? ''
    return this.#later(settle, () => {
      for (const { partition, operations } of parts) {
        const refused = this.#cluster.check(partition, session, operations)
        if (refused !== undefined) return refused
      }
      for (const { partition, operations } of parts) this.#cluster.execute(partition, session, operations)
      return { kind: 'done', results: [] }
    })
  }

  cancel(id: number): void {
    const settle = this.#open.get(id)
    this.#open.delete(id)
    if (settle !== undefined) this.#grid.env.turn(() => settle({ kind: 'unavailable', message: 'cancelled' }))
  }

  define(command: Definition): void {
    if (command.kind !== 'define') return
    this.#grid.env.turn(() => {
      const { state } = this.#cluster
      if (command.ifAbsent && state.definitions.has(command.name)) return
      const definitions = new Map<string, Plain>(state.definitions).set(command.name, command.definition)
      this.#cluster.apply({ ...state, definitions })
    })
  }

  tell(member: string, hint: Hint): void {
    const to = this.#cluster.members.find(({ grid }) => grid.name === member)
    this.#grid.env.turn(() => to?.grid.listener.hinted(this.member, hint))
  }

  survey(): void {}

  recovery(): string {
    return 'nothing is lost here'
  }

  recover(): void {}

  leave(): void {
    const members = new Map(this.state.members)
    members.delete(this.member)
    this.#grid.env.turn(() => this.#cluster.apply({ ...this.state, members }))
  }

  #later(settle: (outcome: Settled) => void, act: () => Settled, turns = 1): number {
    const id = this.#nextId++
    this.#open.set(id, settle)
    const after = (left: number, then: () => void): void =>
      this.#grid.env.turn(() => (left > 1 ? after(left - 1, then) : then()))
    after(turns, () => {
      if (!this.#open.delete(id)) return
      settle(this.answers.shift() ?? act())
      this.#cluster.turned()
    })
    return id
  }
}

function memberEntry(name: string): MemberEntry {
  const rest = { zone: undefined, state: 'live', holdsData: true, session: 1, memoryBytes: 0 } as const
  return { member: name, peer: '', name, addresses: [`127.0.0.1:740${name.length}`], ...rest }
}
