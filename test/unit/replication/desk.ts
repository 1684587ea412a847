/** One caller at a desk: its letters are read and answered by hand. */
import { expect } from 'vitest'
import { emptyClusterState, type PartitionEntry } from '../../../lib/consensus/cluster-state.ts'
import { Caller, type CallerInput, type CallerOptions, type Settled } from '../../../lib/replication/caller.ts'
import type { Command, Outcome } from '../../../lib/replication/command.ts'
import type { ReplicationMessage } from '../../../lib/replication/messages.ts'
import type { Operation } from '../../../lib/replication/command.ts'

/** A request as it went out. */
export type Sent = Extract<ReplicationMessage, { kind: 'request' | 'query' }> & { readonly to: string }

export const operation: Operation = { kind: 'toy.add' }
export const done: Outcome = { kind: 'done', results: [1] }
export const retry = (reason: Extract<Outcome, { kind: 'retry' }>['reason'], owner?: string): Outcome => ({
  kind: 'retry',
  reason,
  owner,
  epoch: 1,
})

/** One caller, driven by hand: what it sent since last asked, and what settled. */
export class Desk {
  nowMs = 0
  readonly settled: Map<number, Settled> = new Map()
  readonly #caller: Caller
  #sent: Sent[] = []
  #nextId = 1

  constructor(options: CallerOptions = {}, owners: readonly (string | undefined)[] = ['o', 'o', 'p']) {
    this.#caller = new Caller({ member: 'm', seed: 7, options })
    this.table(...owners)
    this.session('m#1')
  }

  step(input: CallerInput): void {
    for (const effect of this.#caller.step({ monotonicMs: this.nowMs, wallMs: 0 }, input)) {
      if (effect.kind === 'send') this.#sent.push({ ...(effect.message as Sent), to: effect.to })
      else this.settled.set(effect.id, effect.outcome)
    }
  }

  table(...owners: readonly (string | undefined)[]): void {
    const partitions: PartitionEntry[] = owners.map(owner => ({
      epoch: 1,
      bornEpoch: 1,
      owner,
      backups: [],
      learners: [],
    }))
    this.step({ kind: 'table', state: { ...emptyClusterState, partitions } })
  }

  session(session: string | undefined): void {
    this.step({ kind: 'session', session, untilMonotonicMs: Infinity })
  }

  call(partition = 0, forMs = 5000, count = 1): number {
    const id = this.#nextId++
    const operations = Array.from({ length: count }, () => operation)
    this.step({ kind: 'call', id, partition, operations, deadlineMs: this.nowMs + forMs })
    return id
  }

  ask(partition = 0, forMs = 5000): number {
    const id = this.#nextId++
    this.step({ kind: 'ask', id, partition, query: { kind: 'toy.get' }, deadlineMs: this.nowMs + forMs })
    return id
  }

  transact(partitions: readonly number[], forMs = 5000): number {
    const id = this.#nextId++
    const parts = partitions.map(partition => ({ partition, operations: [operation] }))
    this.step({ kind: 'transact', id, parts, deadlineMs: this.nowMs + forMs })
    return id
  }

  /** What was sent since, oldest first. */
  sent(): readonly Sent[] {
    const sent = this.#sent
    this.#sent = []
    return sent
  }

  reply({ id, to }: Sent, outcome: Outcome): void {
    this.step({ kind: 'received', from: to, message: { kind: 'reply', id, outcome } })
  }

  oversize({ id, to }: Sent, bytes: number): void {
    this.step({ kind: 'received', from: to, message: { kind: 'oversize', id, bytes } })
  }

  /** Lets time pass, with a tick at each deadline on the way. */
  pass(forMs: number): void {
    const untilMs = this.nowMs + forMs
    for (;;) {
      const dueMs = this.#caller.deadline()
      if (dueMs === undefined || dueMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, dueMs)
      this.step({ kind: 'tick' })
    }
    this.nowMs = untilMs
  }
}

export function commandOf(sent: Sent | undefined): Exclude<Command, { kind: 'barrier' }> {
  if (sent?.kind !== 'request') throw new Error('no request was sent')
  return sent.command as Exclude<Command, { kind: 'barrier' }>
}

export function callOf(sent: Sent | undefined): {
  readonly session: string
  readonly sequence: number
  readonly mark: number
} {
  return (commandOf(sent) as Extract<Command, { kind: 'execute' }>).call
}

export const only = (sent: readonly Sent[]): Sent => {
  expect(sent).toHaveLength(1)
  return sent[0] as Sent
}
