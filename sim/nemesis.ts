/**
 * Draws the faults of a run from its seed: which kinds at all (swarm testing, Groce et al. 2012: a run with few kinds
 * finds what a run with all of them hides), how often, on whom. Targets are the leader or an owner as often as chance.
 *
 * Inside the fault budget a process is killed only while every partition keeps a copy that counts (its member is live in
 * the agreed state, and it is not parting) in a process that lives, and the voters a majority of such, so P1 and P7 must
 * hold. A process that sleeps, is slow or cut off lives. Beyond the budget anything goes, and only safety, P8 and P9 are
 * demanded.
 */
import type { Prng } from '../lib/base/prng.ts'
import type { Cluster } from './cluster.ts'
import { faults, type Fault, type FaultKind } from './faults.ts'
import type { Machine } from './machine.ts'
import type { World } from './world.ts'
import { stayingOf } from '../lib/placement/copies.ts'

export interface NemesisOptions {
  readonly isInBudget: boolean
  /** Mean pause between two faults. */
  readonly pauseMs: number
  /** Faults at one time at most. */
  readonly concurrentMax: number
  /** Kinds to draw from. */
  readonly kinds: readonly FaultKind[]
  /** Share of the faults after the half of the phase that no heal ends. */
  readonly lastingRatio: number
}

/** What a fault may do and ask. */
export interface Arena {
  readonly world: World
  readonly cluster: Cluster
  readonly random: Prng
  /** Machines under a fault of their own: at most one at a time. */
  readonly struck: Set<Machine>
  /** Whether killing `victim` (and losing it for good) stays inside the budget. */
  mayKill(victim: Machine): boolean
  /** Whether enough others are there to take over what it has, and none of them leaves too. */
  mayLeave(machine: Machine): boolean
  /** A machine by the nemesis' taste: the leader, an owner, or any; undefined if all are struck. */
  target(): Machine | undefined
}

interface Active {
  readonly end: () => void
  readonly isLasting: boolean
}

export class Nemesis implements Arena {
  readonly world: World
  readonly cluster: Cluster
  readonly random: Prng
  readonly struck: Set<Machine> = new Set()
  readonly #options: NemesisOptions
  readonly #active = new Set<Active>()
  #isOver = false
  #faultCount = 0
  #startedMs = 0
  #untilMs = 0

  constructor(world: World, cluster: Cluster, options: NemesisOptions) {
    this.world = world
    this.cluster = cluster
    this.random = world.random.fork('nemesis')
    this.#options = options
  }

  get faultCount(): number {
    return this.#faultCount
  }

  begin(untilMs: number): void {
    this.#startedMs = this.world.nowMs
    this.#untilMs = untilMs
    this.#wait()
  }

  /** Ends all faults but the lasting ones. */
  heal(): void {
    this.#isOver = true
    this.world.note('heal', 'all')
    for (const active of this.#active) if (!active.isLasting) active.end()
    this.#active.clear()
  }

  mayKill(victim: Machine): boolean {
    if (!this.#options.isInBudget) return true
    if (this.cluster.newestLeader() === undefined) return false
    const informed = this.cluster.bestInformed()?.running
    const state = informed?.peer.state
    if (informed === undefined || state === undefined || state.cluster === '') return false
    const alive = new Set(
      this.cluster.machines.filter(machine => machine !== victim).map(machine => machine.running?.member ?? ''),
    )
    const isCopy = (member: string): boolean => alive.has(member) && state.members.get(member)?.state !== 'silent'
    const isKept = state.partitions.every(entry => stayingOf(entry).some(isCopy))
    const { voters } = informed.peer.driver.consensus.config
    return isKept && voters.filter(voter => alive.has(voter)).length * 2 > voters.length
  }

  mayLeave(machine: Machine): boolean {
    if (!this.#options.isInBudget) return true
    const { members } = this.cluster.state ?? {}
    const states = this.cluster.machines.flatMap(({ running }) => members?.get(running?.member ?? '')?.state ?? [])
    const own = members?.get(machine.running?.member ?? '')?.state
    const staying = states.filter(state => state === 'live').length - (own === 'live' ? 1 : 0)
    return !states.includes('leaving') && staying > this.cluster.settings.minCopies
  }

  target(): Machine | undefined {
    const free = this.cluster.machines.filter(machine => machine.running !== undefined && !this.struck.has(machine))
    const draw = this.random.float()
    const leader = this.cluster.leader()
    if (draw < 0.3 && leader !== undefined && free.includes(leader)) return leader
    if (draw < 0.6) {
      const entry = this.random.pick(this.cluster.state?.partitions ?? [])
      const owner = free.find(machine => machine.running?.member === entry?.owner)
      if (owner !== undefined) return owner
    }
    return this.random.pick(free)
  }

  /** Whether one more machine may stay away for good: writes need `minCopies` members. */
  #mayLose(): boolean {
    const lostCount = [...this.#active].filter(active => active.isLasting).length
    return !this.#options.isInBudget || this.cluster.nodeCount - lostCount > this.cluster.settings.minCopies
  }

  #wait(): void {
    const pauseMs = -this.#options.pauseMs * Math.log(1 - this.random.float())
    this.world.after(Math.max(10, pauseMs), () => this.#strike())
  }

  #strike(): void {
    if (this.#isOver || this.world.nowMs >= this.#untilMs) return
    this.#wait()
    if (this.#active.size >= this.#options.concurrentMax) return
    const kind = this.random.pick(this.#options.kinds)
    const fault = kind === undefined ? undefined : faults[kind](this)
    if (kind === undefined || fault === undefined) return
    this.#faultCount++
    this.world.note('fault', kind, fault.about)
    this.#run(fault)
  }

  #run(fault: Fault): void {
    fault.begin()
    if (fault.lastsMs === 0) return
    const isLate = this.world.nowMs - this.#startedMs > (this.#untilMs - this.#startedMs) / 2
    const isLasting = fault.mayLast && isLate && this.random.chance(this.#options.lastingRatio) && this.#mayLose()
    let isEnded = false
    const active: Active = {
      isLasting,
      end: () => {
        if (isEnded) return
        isEnded = true
        this.#active.delete(active)
        this.world.note('fault-end', fault.about)
        fault.end()
      },
    }
    this.#active.add(active)
    if (!isLasting) this.world.after(fault.lastsMs, active.end)
  }
}
