/** Placement machines around a consensus that commits at once, on one clock: what is proposed is applied by all that hear of it. */
import {
  applyClusterCommand,
  emptyClusterState,
  type ClusterState,
  type MemberEntry,
  type PartitionEntry,
} from '../../../lib/consensus/cluster-state.ts'
import { copiesOf } from '../../../lib/placement/copies.ts'
import type { MemoryUse } from '../../../lib/placement/room.ts'
import { Placement, type PlacementEffect, type PlacementInput } from '../../../lib/placement/placement.ts'

export class Cell {
  nowMs = 1_000
  state: ClusterState
  index = 1
  readonly members: Map<string, Placement> = new Map()
  /** Of each member's memory, bytes. */
  limit: number = 2 ** 30
  #bytesOf: (partition: number) => number = () => 0
  readonly effects: { readonly member: string; readonly effect: PlacementEffect }[] = []
  /** Members that nobody hears and that hear nobody. */
  readonly cut: Set<string> = new Set()
  /** Whether a majority still follows the leader. */
  isConfirming = true
  // The same list as long as nothing changes, as consensus gives it.
  #voters: readonly string[] = ['a']
  #due: (() => void)[] = []

  constructor(names: readonly string[], partitionCount = 12, minCopies = 1) {
    const [first, ...others] = names
    this.state = applyClusterCommand(emptyClusterState, {
      kind: 'found',
      cluster: 'c',
      settings: { partitionCount, copies: 2, minCopies },
      version: 1,
      member: entryOf(first ?? 'a'),
    })
    for (const name of names)
      this.members.set(
        name,
        new Placement({
          member: name,
          view: { voters: () => this.#voters, planVoters: () => undefined },
          memory: () => this.#memory(name),
        }),
      )
    this.state = applyClusterCommand(this.state, {
      kind: 'change',
      upsert: others.map(entryOf),
      remove: [],
      endSessions: [],
      partitions: [],
    })
    this.lead(first ?? 'a')
    this.#applied()
  }

  /** `leader` is elected; the former one may not have noticed. */
  lead(leader: string, oldLeaseAgeMs?: number): void {
    this.#voters = [leader]
    for (const name of this.members.keys())
      if (!this.cut.has(name))
        this.input(name, { kind: 'role', isLeader: name === leader, leader, term: 1, oldLeaseAgeMs })
  }

  /** How large the partitions are. */
  fill(bytesOf: (partition: number) => number): void {
    this.#bytesOf = bytesOf
  }

  /** Owners and backups of all partitions. */
  get copyCount(): number {
    return this.state.partitions.reduce((sum, entry) => sum + copiesOf(entry).length, 0)
  }

  #memory(name: string): MemoryUse {
    let usedBytes = 0
    this.state.partitions.forEach((entry, partition) => {
      if (copiesOf(entry).includes(name)) usedBytes += this.#bytesOf(partition)
    })
    return { usedBytes, roomBytes: Math.max(this.limit - usedBytes, 0) }
  }

  input(name: string, input: PlacementInput): void {
    const machine = this.members.get(name)
    if (machine === undefined) return
    for (const effect of machine.step({ monotonicMs: this.nowMs, wallMs: this.nowMs }, input)) {
      this.effects.push({ member: name, effect })
      this.#perform(name, effect)
    }
  }

  /** Lets time pass in steps of a millisecond; owners promote what they teach at once. */
  run(forMs: number): void {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; this.nowMs++) {
      for (const fold of this.#due.splice(0)) fold()
      for (const [name, machine] of this.members)
        if ((machine.deadline() ?? Infinity) <= this.nowMs) this.input(name, { kind: 'tick' })
    }
  }

  /** Until when the member believes that it may own. */
  leaseUntilMs(name: string): number {
    return this.members.get(name)?.leaseUntilMs ?? -Infinity
  }

  owned(name: string): number {
    return this.state.partitions.filter(({ owner }) => owner === name).length
  }

  #perform(name: string, effect: PlacementEffect): void {
    if (this.cut.has(name)) return
    if (effect.kind === 'send') {
      const { to, message } = effect
      if (!this.cut.has(to)) this.#due.push(() => this.input(to, { kind: 'received', from: name, message }))
    } else if (effect.kind === 'confirm') {
      if (this.isConfirming)
        this.#due.push(() => this.input(name, { kind: 'confirmed', id: effect.id, isConfirmed: true }))
    } else if (effect.kind === 'propose') {
      this.#due.push(() => {
        if (effect.command !== undefined) this.state = applyClusterCommand(this.state, effect.command)
        this.index++
        this.#applied()
        this.input(name, { kind: 'proposed', id: effect.id, isCommitted: true })
      })
    }
  }

  /** The backup that the owner lets go of: silent, or parting. */
  #going({ backups, parting }: PartitionEntry): string | undefined {
    return backups.find(one => parting?.includes(one) === true || this.state.members.get(one)?.state === 'silent')
  }

  #applied(): void {
    const { state, index } = this
    for (const name of this.members.keys()) if (!this.cut.has(name)) this.input(name, { kind: 'applied', state, index })
    state.partitions.forEach((entry, partition) => {
      const learner = entry.learners.find(one => !this.cut.has(one) && state.members.get(one)?.state === 'live')
      const { owner, epoch } = entry
      if (learner !== undefined && owner !== undefined && !this.cut.has(owner))
        this.#due.push(() =>
          this.input(owner, { kind: 'ask', request: { kind: 'promote', partition, epoch, learner } }),
        )
      const backup = this.#going(entry)
      if (backup !== undefined && owner !== undefined && !this.cut.has(owner))
        this.#due.push(() => this.input(owner, { kind: 'ask', request: { kind: 'remove', partition, epoch, backup } }))
    })
  }
}

function entryOf(member: string): MemberEntry {
  return {
    member,
    peer: member,
    name: member,
    addresses: [],
    zone: undefined,
    state: 'live',
    holdsData: true,
    session: 1,
    memoryBytes: 0,
  }
}
