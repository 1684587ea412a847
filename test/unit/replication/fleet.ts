/**
 * Some members' Replication machines on a hand-driven network: messages lie in a list until a test lets them through,
 * drops, repeats or reorders them; the table and the leases are what the test says.
 */
import { expect } from 'vitest'
import {
  emptyClusterState,
  type ClusterState,
  type MemberEntry,
  type PartitionEntry,
} from '../../../lib/consensus/cluster-state.ts'
import type { PlacementRequest } from '../../../lib/placement/requests.ts'
import type { Command, Operation, Outcome, Query } from '../../../lib/replication/command.ts'
import type { ReplicationMessage } from '../../../lib/replication/messages.ts'
import type { ReplicationOptions } from '../../../lib/replication/options.ts'
import { Replication, type ReplicationEffect, type ReplicationInput } from '../../../lib/replication/replication.ts'
import { Cells, cellShape } from './cells.ts'

export interface Posted {
  readonly from: string
  readonly to: string
  readonly message: ReplicationMessage
}
type EntryLike = Partial<PartitionEntry> & { readonly owner?: string | undefined }

export class Fleet {
  nowMs = 1_000
  wallMs = 1_000_000
  isFull = false
  readonly machines: Map<string, Replication> = new Map<string, Replication>()
  post: Posted[] = []
  readonly asks: { readonly from: string; readonly request: PlacementRequest }[] = []
  readonly replies: { readonly to: string; readonly id: number; readonly outcome: Outcome }[] = []
  /** Requests whose reply was larger than their caller had room for, and how large. */
  readonly oversizes: { readonly id: number; readonly bytes: number }[] = []
  readonly opened: {
    readonly member: string
    readonly partition: number
    readonly epoch: number
    readonly atMs: number
  }[] = []
  readonly events: {
    readonly atMs: number
    readonly member: string
    readonly event: string
    readonly fields: Readonly<Record<string, unknown>>
  }[] = []
  /** Persist effects are answered at once unless a member is in here: then `store` gives the answers. */
  readonly slowStores: Map<string, number[]> = new Map<string, number[]>()
  table: ClusterState
  readonly #made = new Map<string, Cells>()
  #nextId = 1

  constructor(members: readonly string[], options: Partial<ReplicationOptions> = {}, partitionCount = 1) {
    const entry = (member: string): MemberEntry => ({
      member,
      peer: member,
      name: member,
      addresses: [],
      zone: undefined,
      state: 'live',
      holdsData: true,
      session: 1,
      memoryBytes: 1e9,
    })
    this.table = {
      ...emptyClusterState,
      cluster: 'test',
      settings: { partitionCount, copies: 3, minCopies: 1 },
      members: new Map([...members, 'caller'].map(member => [member, entry(member)])),
      partitions: Array.from({ length: partitionCount }, () => ({
        epoch: 0,
        bornEpoch: 0,
        owner: undefined,
        backups: [],
        learners: [],
      })),
    }
    for (const member of members) {
      const budget = { isFull: () => this.isFull }
      this.machines.set(
        member,
        new Replication({
          member,
          seed: 1,
          createState: () => this.#cells(member),
          operationShape: cellShape,
          options,
          budget,
        }),
      )
    }
  }

  /** The newest state machine of a member, to spoil it. */
  cellsOf(member: string): Cells {
    return this.#made.get(member) as Cells
  }

  #cells(member: string): Cells {
    const cells = new Cells()
    this.#made.set(member, cells)
    return cells
  }

  /** Feeds one input and files what comes out. */
  step(member: string, input: ReplicationInput): void {
    const machine = this.machines.get(member)
    if (machine === undefined) return
    for (const effect of machine.step({ monotonicMs: this.nowMs, wallMs: this.wallMs }, input))
      this.#file(member, effect)
  }

  /** Ends the turn: everybody that is due is ticked until nobody is. */
  turn(): void {
    for (let round = 0; round < 50; round++) {
      let isDue = false
      for (const [member, machine] of this.machines) {
        const deadlineMs = machine.deadline()
        if (deadlineMs === undefined || deadlineMs > this.nowMs) continue
        isDue = true
        this.step(member, { kind: 'tick' })
      }
      if (!isDue) return
    }
    expect.unreachable('a machine is always due')
  }

  /** Lets time pass in small steps, delivering nothing. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms
    this.turn()
    while (this.nowMs < endMs) {
      let nextMs = endMs
      for (const machine of this.machines.values())
        nextMs = Math.min(nextMs, Math.max(machine.deadline() ?? Infinity, this.nowMs + 0.5))
      this.wallMs += nextMs - this.nowMs
      this.nowMs = nextMs
      this.turn()
    }
  }

  /** Delivers everything that `filter` lets through, and what follows from it; the rest is lost. */
  settle(filter: (posted: Posted) => boolean = () => true): void {
    this.turn()
    for (let round = 0; this.post.length > 0; round++) {
      if (round > 10_000) expect.unreachable('messages never end')
      const posted = this.post.shift() as Posted
      if (filter(posted)) this.deliver(posted)
      this.turn()
    }
  }

  /** Time passes and everything is delivered meanwhile. */
  run(ms: number, filter: (posted: Posted) => boolean = () => true): void {
    const endMs = this.nowMs + ms
    this.settle(filter)
    while (this.nowMs < endMs) {
      this.pass(Math.min(5, endMs - this.nowMs))
      this.settle(filter)
    }
  }

  deliver({ from, to, message }: Posted): void {
    this.step(to, { kind: 'received', from, message })
  }

  /** Takes the posted messages that match out of the list. */
  take(filter: (posted: Posted) => boolean): Posted[] {
    const taken = this.post.filter(filter)
    this.post = this.post.filter(posted => !filter(posted))
    return taken
  }

  /** Changes one partition's entry; the epoch grows by one unless given. Told to `members`, by default all. */
  configure(entry: EntryLike, members: Iterable<string> = this.machines.keys(), partition = 0): void {
    const before = this.table.partitions[partition] as PartitionEntry
    const partitions = [...this.table.partitions]
    partitions[partition] = { ...before, epoch: before.epoch + 1, ...entry }
    this.table = { ...this.table, partitions }
    this.tell(members)
  }

  tell(members: Iterable<string> = this.machines.keys()): void {
    for (const member of members) this.step(member, { kind: 'table', state: this.table })
  }

  lease(member: string, untilMs: number = this.nowMs + 1e9): void {
    this.step(member, { kind: 'lease', untilMonotonicMs: untilMs })
  }

  /** A partition born with this owner, opened, with backups and learners added afterwards if any. */
  found(owner: string, backups: readonly string[] = [], learners: readonly string[] = []): void {
    for (const member of this.machines.keys()) this.lease(member)
    this.configure({ epoch: 1, bornEpoch: 1, owner, backups, learners })
    this.settle()
  }

  /** A write under its own call id; returns the id that its replies carry. */
  write(to: string, operations: readonly Operation[], sequence?: number, mark = 1, partition = 0): number {
    const id = this.#nextId++
    const call = { session: 'caller#1', sequence: sequence ?? id, mark }
    return this.command(to, { kind: 'execute', call, operations }, partition, id)
  }

  command(
    to: string,
    command: Command,
    partition = 0,
    id: number = this.#nextId++,
    { from = 'caller', replyBytesMax = 1_000_000 }: { from?: string; replyBytesMax?: number } = {},
  ): number {
    const epoch = this.table.partitions[partition]?.epoch ?? 0
    this.step(to, {
      kind: 'received',
      from,
      message: { kind: 'request', replyBytesMax, id, partition, epoch, command },
    })
    return id
  }

  read(to: string, query: Query, partition = 0, replyBytesMax = 1_000_000): number {
    const id = this.#nextId++
    const epoch = this.table.partitions[partition]?.epoch ?? 0
    this.step(to, {
      kind: 'received',
      from: 'caller',
      message: { kind: 'query', replyBytesMax, id, partition, epoch, query },
    })
    return id
  }

  /** The answers to a request so far. */
  answers(id: number): Outcome[] {
    return this.replies.filter(reply => reply.id === id).map(({ outcome }) => outcome)
  }

  /** 'done', 'no-lease' and so on; undefined while unanswered. */
  said(id: number): string | undefined {
    const outcome = this.answers(id).at(-1)
    if (outcome === undefined) return undefined
    return outcome.kind === 'retry' ? outcome.reason : outcome.kind === 'refused' ? outcome.code : outcome.kind
  }

  store(member: string): void {
    const tokens = this.slowStores.get(member) ?? []
    this.slowStores.delete(member)
    for (const token of tokens) this.step(member, { kind: 'persisted', token })
  }

  hash(member: string, partition = 0): string {
    const held = this.machines.get(member)?.partition(partition)?.held
    return held === undefined ? 'nothing' : `${held.state.appliedIndex}:${held.state.hash}`
  }

  #file(member: string, effect: ReplicationEffect): void {
    switch (effect.kind) {
      case 'send':
        if (effect.message.kind === 'reply')
          this.replies.push({ to: effect.to, id: effect.message.id, outcome: effect.message.outcome })
        else if (effect.message.kind === 'oversize') this.oversizes.push(effect.message)
        else this.post.push({ from: member, to: effect.to, message: effect.message })
        return
      case 'persist': {
        const slow = this.slowStores.get(member)
        if (slow === undefined) this.step(member, { kind: 'persisted', token: effect.token })
        else slow.push(effect.token)
        return
      }
      case 'ask':
        this.asks.push({ from: member, request: effect.request })
        return
      case 'opened':
        this.opened.push({ member, partition: effect.partition, epoch: effect.epoch, atMs: this.nowMs })
        return
      case 'emit':
        this.events.push({ atMs: this.nowMs, member, event: effect.event, fields: effect.fields })
    }
  }
}
