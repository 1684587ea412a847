/**
 * What an all-seeing observer of the cluster notes: the newest agreed table, who opened which partition in which epoch,
 * partitions that were declared lost, and how often each thing happened that a run of many seeds must have seen.
 */
import type { Emit } from '../lib/base/machine.ts'
import type { ClusterState, PartitionEntry } from '../lib/consensus/cluster-state.ts'
import { PartitionState } from '../lib/replication/partition-state.ts'
import type { WireMessage } from '../lib/peer/wire.ts'
import type { Machine } from './machine.ts'
import type { Violation } from './workload.ts'
import type { World } from './world.ts'

/** Each must happen in some seed of a run over many, or the run proves less than it says. */
export const occasions = [
  'owner-promoted-with-tail',
  'leader-changed',
  'leader-and-owner-lost',
  'member-slept-and-returned',
  'partition-moved',
  'retry-answered-from-record',
  'lease-taken-over',
  'transaction-recovered',
  'learner-promoted',
] as const
export type Occasion = (typeof occasions)[number]

/** Events of the machines that count as an occasion. */
const telling: Readonly<Record<string, (fields: Emit['fields']) => Occasion | undefined>> = {
  'replication.owner-promoted': fields => (Number(fields.tailLength ?? 0) > 0 ? 'owner-promoted-with-tail' : undefined),
}

/** Violations kept of one run. */
const violationsMax = 50

export class Observer {
  readonly #world: World
  readonly counts: Map<Occasion, number> = new Map()
  readonly events: Map<string, number> = new Map()
  readonly violations: Violation[] = []
  readonly lostPartitions: Set<number> = new Set()
  /** The newest table that any member applied. */
  state: ClusterState | undefined
  /** Set while losing a partition is a broken promise. */
  isLossAllowed = false
  readonly #entries: PartitionEntry[] = []
  readonly #silent = new Set<string>()
  readonly #owners = new Map<string, string>()
  readonly #leaders = new Map<number, string>()
  readonly #repeats = new Map<string, number>()
  #leader = ''

  constructor(world: World) {
    this.#world = world
  }

  count(occasion: Occasion): void {
    this.counts.set(occasion, (this.counts.get(occasion) ?? 0) + 1)
  }

  violate(checker: string, message: string): void {
    this.#world.note('violation', checker, message)
    if (this.violations.length < violationsMax)
      this.violations.push({ checker, message: `at ${this.#world.nowMs.toFixed(1)} ms: ${message}` })
  }

  emitted(machine: Machine, event: Emit): void {
    this.#world.note('emit', machine.name, event)
    this.events.set(event.event, (this.events.get(event.event) ?? 0) + 1)
    const occasion = telling[event.event]?.(event.fields)
    if (occasion !== undefined) this.count(occasion)
    if (event.event === 'consensus.leader-elected') this.#elected(machine, Number(event.fields.term))
    if (event.event === 'replication.diverged')
      this.violate('equal-copies', `${machine.name}: ${JSON.stringify(event.fields)}`)
  }

  opened(machine: Machine, partition: number, epoch: number): void {
    const member = machine.running?.member ?? ''
    const key = `${partition}/${epoch}`
    const before = this.#owners.get(key)
    if (before !== undefined && before !== member) {
      this.violate('one-owner', `partition ${partition} epoch ${epoch} opened by ${before} and by ${member}`)
    }
    this.#owners.set(key, member)
  }

  #elected(machine: Machine, term: number): void {
    const member = machine.running?.member ?? ''
    const before = this.#leaders.get(term)
    if (before !== undefined && before !== member)
      this.violate('one-leader', `term ${term} has the leaders ${before} and ${member}`)
    this.#leaders.set(term, member)
  }

  /** Folds what `state` says that was not known yet. */
  applied(state: ClusterState): void {
    if (state.cluster === '') return
    let isNewer = this.state === undefined
    state.partitions.forEach((entry, partition) => {
      const before = this.#entries[partition]
      if (before === entry || (before !== undefined && before.epoch >= entry.epoch)) return
      isNewer = true
      if (before !== undefined) this.#moved(partition, before, entry)
      this.#entries[partition] = entry
    })
    for (const { member, state: status } of state.members.values()) {
      if (status === 'silent') this.#silent.add(member)
      else if (this.#silent.delete(member)) this.count('member-slept-and-returned')
    }
    if (isNewer || state.members.size !== this.state?.members.size) this.state = state
  }

  /** Called now and then with the leader that a majority follows, if there is one. */
  led(leader: string): void {
    if (leader === '' || leader === this.#leader) return
    if (this.#leader !== '') this.count('leader-changed')
    this.#leader = leader
    this.#world.note('leader', leader)
  }

  /** A message arrived: a decision that a participant had to ask for is logged by the record's owner. */
  delivered(body: WireMessage): void {
    if (body.kind !== 'replication' || body.message.kind !== 'append') return
    if (body.message.entries.some(entry => entry.command.kind === 'resolve')) this.count('transaction-recovered')
  }

  /** Looks into the partitions of a machine for calls that were answered from a record since the last look. */
  inspect(machine: Machine, partitionCount: number): void {
    const { running } = machine
    if (running === undefined) return
    let repeatCount = 0
    for (let partition = 0; partition < partitionCount; partition++) {
      const state = running.peer.driver.replication.partition(partition)?.held?.state
      if (state instanceof PartitionState) repeatCount += state.repeatCount
    }
    const before = this.#repeats.get(running.member) ?? 0
    if (repeatCount > before) this.count('retry-answered-from-record')
    this.#repeats.set(running.member, repeatCount)
  }

  #moved(partition: number, before: PartitionEntry, after: PartitionEntry): void {
    if (after.bornEpoch > before.bornEpoch) {
      this.lostPartitions.add(partition)
      this.#world.note('lost', String(partition))
      if (!this.isLossAllowed)
        this.violate('survival', `partition ${partition} lost all its copies inside the fault budget`)
    }
    if (before.owner !== undefined && after.owner !== undefined && after.owner !== before.owner) {
      if (after.backups.includes(before.owner)) this.count('partition-moved')
    }
    if (after.backups.some(member => before.learners.includes(member))) this.count('learner-promoted')
  }
}
