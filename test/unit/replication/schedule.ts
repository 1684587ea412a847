/**
 * A random schedule over a fleet: messages are delayed, lost, doubled and overtaken, members are cut off and come back,
 * stores are slow, and a tiny authority moves ownership by the lease rule. What must hold is checked as it goes:
 * at most one member serves at a time, reads see what was acknowledged before they began, and in the end, with all
 * faults gone, everything acknowledged is there and all copies are equal.
 */
import { assert } from 'vitest'
import { Prng } from '../../../lib/base/prng.ts'
import type { PartitionEntry } from '../../../lib/consensus/cluster-state.ts'
import { plain, type Plain, type Shape } from '../../../lib/base/shape.ts'
import type { PlacementRequest } from '../../../lib/placement/requests.ts'
import type { ReplicationOptions } from '../../../lib/replication/options.ts'
import type { Query } from '../../../lib/replication/command.ts'
import { replicationMessageShape, type ReplicationMessage } from '../../../lib/replication/messages.ts'
import { cellShape, get, put } from './cells.ts'
import { Fleet, type Posted } from './fleet.ts'

const leaseMs = 300
const shape: Shape<ReplicationMessage> = replicationMessageShape(cellShape, plain as unknown as Shape<Query>)
const stepMs = 2

interface Attempt {
  readonly cell: string
  readonly sequence: number
  id: number
  nextAtMs: number
  isAcked: boolean
}

export interface ScheduleCounts {
  acked: number
  moved: number
  promoted: number
  removed: number
  tails: number
  snapshots: number
  asleep: number
  readers: number
}

export class Schedule {
  readonly fleet: Fleet
  readonly counts: ScheduleCounts = {
    acked: 0,
    moved: 0,
    promoted: 0,
    removed: 0,
    tails: 0,
    snapshots: 0,
    asleep: 0,
    readers: 0,
  }
  readonly #prng: Prng
  readonly #isPacked: boolean
  readonly #members: readonly string[]
  readonly #inFlight: { readonly atMs: number; readonly posted: Posted }[] = []
  readonly #leases = new Map<string, number>()
  readonly #cut = new Set<string>()
  // Authority: when each member's lease ends by its own, later reckoning; which member has been told which table.
  readonly #granted = new Map<string, number>()
  readonly #attempts: Attempt[] = []
  readonly #readers = new Map<number, string>()
  #asked: { readonly atMs: number; readonly request: PlacementRequest }[] = []
  #isHealed = false
  #seenReplies = 0
  #seenAsks = 0
  #sequence = 0

  constructor(seed: number, options: Partial<ReplicationOptions> = {}) {
    this.#prng = new Prng(seed)
    this.#isPacked = seed % 2 === 0
    this.#members = ['a', 'b', 'c', 'd'].slice(0, this.#prng.int(2, 4))
    this.fleet = new Fleet(this.#members, {
      logBytesMax: 2_000,
      chunkBytes: 500,
      hashInterval: 10,
      logLengthMax: 16,
      ...options,
    })
    this.fleet.table = { ...this.fleet.table, settings: { ...this.fleet.table.settings, minCopies: 1 } }
    const [owner, ...others] = this.#members as [string, ...string[]]
    this.fleet.configure({ epoch: 1, bornEpoch: 1, owner, backups: [], learners: others }, [])
  }

  run(faultyMs: number, healedMs: number): void {
    for (const endMs = this.fleet.nowMs + faultyMs; this.fleet.nowMs < endMs;) this.#step()
    this.#isHealed = true
    this.#cut.clear()
    for (const endMs = this.fleet.nowMs + healedMs; this.fleet.nowMs < endMs;) this.#step()
    this.#check()
  }

  #step(): void {
    const { fleet } = this
    fleet.nowMs += stepMs
    fleet.wallMs += stepMs
    if (!this.#isHealed) this.#faults()
    this.#authority()
    this.#client()
    for (const posted of fleet.take(() => true)) this.#send(posted)
    for (const { posted } of this.#due()) if (!this.#isCut(posted.from, posted.to)) fleet.deliver(posted)
    for (const [member] of fleet.slowStores) if (this.#isHealed || this.#prng.chance(0.05)) fleet.store(member)
    fleet.turn()
    this.#hear()
    this.#oneServes()
  }

  #faults(): void {
    const prng = this.#prng
    if (prng.chance(0.005)) {
      const member = prng.pick(this.#members) as string
      if (!this.#cut.delete(member)) this.#cut.add(member)
    }
    if (prng.chance(0.004)) {
      const pair = this.#pair(prng.pick(this.#members) as string, prng.pick(this.#members) as string)
      if (!this.#cut.delete(pair)) this.#cut.add(pair)
    }
    if (prng.chance(0.01)) this.#cut.clear()
    if (prng.chance(0.005)) {
      const member = prng.pick(this.#members) as string
      if (!this.fleet.slowStores.has(member)) this.fleet.slowStores.set(member, [])
    }
  }

  #pair(a: string, b: string): string {
    return a < b ? `${a}-${b}` : `${b}-${a}`
  }

  #isCut(a: string, b: string): boolean {
    return this.#cut.has(a) || this.#cut.has(b) || this.#cut.has(this.#pair(a, b))
  }

  #send(posted: Posted): void {
    const prng = this.#prng
    const times = this.#isHealed ? 1 : prng.chance(0.03) ? 0 : prng.chance(0.05) ? 2 : 1
    for (let i = 0; i < times; i++) {
      const delayMs = this.#isHealed ? 1 : prng.chance(0.05) ? prng.between(0, 150) : prng.between(0, 8)
      // Half of the seeds send bytes' worth: nothing may be shared between members then.
      const message = this.#isPacked ? shape.unpack(shape.pack(posted.message)) : posted.message
      this.#inFlight.push({ atMs: this.fleet.nowMs + delayMs, posted: { ...posted, message } })
    }
  }

  #due(): { readonly atMs: number; readonly posted: Posted }[] {
    const due = this.#inFlight.filter(({ atMs }) => atMs <= this.fleet.nowMs).toSorted((a, b) => a.atMs - b.atMs)
    const rest = this.#inFlight.filter(({ atMs }) => atMs > this.fleet.nowMs)
    this.#inFlight.splice(0, Infinity, ...rest)
    return due
  }

  // --- the authority ---

  #authority(): void {
    for (const member of this.#members) this.#renew(member)
    this.#grantAsks()
    const entry = this.#entry()
    const owner = entry.owner as string
    if (this.#isAway(owner)) this.#failOver(entry, owner)
    else if (entry.backups.some(member => this.#isAway(member))) this.#demote(entry)
    else if (!this.#isHealed && entry.backups.length > 0 && this.#prng.chance(0.003)) this.#swap(entry, owner)
  }

  #renew(member: string): void {
    if (this.#cut.has(member) || !this.#prng.chance(this.#isHealed ? 0.3 : 0.05)) return
    // A lease is good only for who knows the newest table.
    this.fleet.tell([member])
    const sentAtMs = this.fleet.nowMs - this.#prng.between(0, 10)
    this.fleet.lease(member, sentAtMs + leaseMs)
    this.#leases.set(member, sentAtMs + leaseMs)
    this.#granted.set(member, this.fleet.nowMs + leaseMs)
  }

  #isAway(member: string): boolean {
    return (this.#granted.get(member) ?? Infinity) < this.fleet.nowMs
  }

  #entry(): PartitionEntry {
    return this.fleet.table.partitions[0] as PartitionEntry
  }

  #failOver(entry: PartitionEntry, owner: string): void {
    const heir = entry.backups.find(member => !this.#isAway(member))
    if (heir === undefined) return
    this.counts.moved += 1
    this.fleet.configure(
      { owner: heir, backups: entry.backups.filter(member => member !== heir), learners: [...entry.learners, owner] },
      this.#reachable(),
    )
  }

  #demote(entry: PartitionEntry): void {
    this.counts.asleep += 1
    const awake = entry.backups.filter(member => !this.#isAway(member))
    const asleep = entry.backups.filter(member => this.#isAway(member))
    this.fleet.configure({ backups: awake, learners: [...entry.learners, ...asleep] }, this.#reachable())
  }

  #swap(entry: PartitionEntry, owner: string): void {
    const heir = this.#prng.pick(entry.backups) as string
    this.counts.moved += 1
    this.fleet.configure(
      { owner: heir, backups: [...entry.backups.filter(member => member !== heir), owner] },
      this.#reachable(),
    )
  }

  #grantAsks(): void {
    for (; this.#seenAsks < this.fleet.asks.length; this.#seenAsks++) {
      const { from, request } = this.fleet.asks[this.#seenAsks] as (typeof this.fleet.asks)[number]
      if (this.#cut.has(from) || (!this.#isHealed && this.#prng.chance(0.3))) continue
      this.#asked.push({ atMs: this.fleet.nowMs + (this.#isHealed ? 0 : this.#prng.between(0, 200)), request })
    }
    for (const { request } of this.#asked.filter(({ atMs }) => atMs <= this.fleet.nowMs)) {
      const entry = this.#entry()
      if (request.epoch !== entry.epoch) continue
      if (request.kind === 'promote' && entry.learners.includes(request.learner)) {
        this.counts.promoted += 1
        this.fleet.configure(
          {
            backups: [...entry.backups, request.learner],
            learners: entry.learners.filter(member => member !== request.learner),
          },
          this.#reachable(),
        )
      } else if (request.kind === 'remove') {
        this.counts.removed += 1
        const { backup } = request
        const without = (list: readonly string[]): string[] => list.filter(member => member !== backup)
        this.fleet.configure(
          { backups: without(entry.backups), learners: [...without(entry.learners), backup] },
          this.#reachable(),
        )
      }
    }
    this.#asked = this.#asked.filter(({ atMs }) => atMs > this.fleet.nowMs)
  }

  /** A random part of those who can hear; the others hear with their next lease. Sometimes a member skips a table. */
  #reachable(): string[] {
    return this.#members.filter(member => !this.#cut.has(member) && this.#prng.chance(0.6))
  }

  // --- clients and checks ---

  #client(): void {
    const { fleet } = this
    const owner = this.#entry().owner as string
    if (this.#prng.chance(0.3) && !this.#isHealed) {
      const sequence = ++this.#sequence
      this.#attempts.push({ cell: `c${sequence}`, sequence, id: 0, nextAtMs: 0, isAcked: false })
    }
    for (const attempt of this.#attempts) {
      if (attempt.isAcked || attempt.nextAtMs > fleet.nowMs) continue
      attempt.nextAtMs = fleet.nowMs + this.#prng.between(20, 200)
      const to = this.#prng.chance(0.8) ? owner : (this.#prng.pick(this.#members) as string)
      if (!this.#cut.has(to))
        attempt.id = fleet.write(to, [put(attempt.cell, `v${attempt.sequence}`)], attempt.sequence, this.#mark())
    }
    const known = this.#attempts.filter(({ isAcked }) => isAcked)
    const read = this.#prng.chance(0.3) ? (this.#prng.chance(0.7) ? known.at(-1) : this.#prng.pick(known)) : undefined
    if (read !== undefined)
      this.#readers.set(fleet.read(this.#prng.pick(this.#members) as string, get(read.cell)), `v${read.sequence}`)
    fleet.turn()
  }

  /** The lowest sequence that is not answered. */
  #mark(): number {
    return this.#attempts.find(({ isAcked }) => !isAcked)?.sequence ?? this.#sequence
  }

  #hear(): void {
    const { replies } = this.fleet
    for (; this.#seenReplies < replies.length; this.#seenReplies++) {
      const { id, outcome } = replies[this.#seenReplies] as (typeof replies)[number]
      const wanted = this.#readers.get(id)
      if (wanted !== undefined && outcome.kind === 'done') {
        this.counts.readers += 1
        assert.equal(outcome.results[0] as Plain, wanted, 'a read sees what was acknowledged before')
      }
      const attempt = this.#attempts.find(candidate => candidate.id === id)
      if (attempt === undefined || outcome.kind !== 'done') continue
      attempt.isAcked = true
    }
  }

  #oneServes(): void {
    const serving = this.#members.filter(member => {
      const isHolder = (this.#leases.get(member) ?? 0) > this.fleet.nowMs
      return isHolder && this.fleet.machines.get(member)?.partition(0)?.tenure?.isOpen === true
    })
    // A swap leaves the old owner its lease; it is the new owner's first append that ends its office.
    assert.isAtMost(serving.length, 1, `${serving.join(' and ')} serve at once`)
  }

  #check(): void {
    const { fleet } = this
    this.counts.acked = this.#attempts.filter(({ isAcked }) => isAcked).length
    this.counts.tails = fleet.events.filter(
      ({ event, fields }) => event === 'replication.owner-promoted' && (fields['tailLength'] as number) > 0,
    ).length
    this.counts.snapshots = fleet.events.filter(({ event }) => event === 'replication.snapshot-installed').length
    const bad = fleet.events.filter(({ event }) =>
      ['replication.diverged', 'replication.owner-without-state', 'replication.older-birth-dropped'].includes(event),
    )
    assert.deepEqual(bad, [])
    const entry = this.#entry()
    const open = this.#attempts.filter(({ isAcked }) => !isAcked)
    assert.deepEqual(open, [], 'everything is answered in the end')
    assert.deepEqual(entry.learners, [], 'everybody is a backup in the end')
    for (const { cell, sequence } of this.#attempts) {
      const id = fleet.read(entry.owner as string, get(cell))
      assert.deepEqual(fleet.answers(id), [{ kind: 'done', results: [`v${sequence}`] }], `${cell} was acknowledged`)
    }
    for (const member of entry.backups) assert.equal(fleet.hash(member), fleet.hash(entry.owner as string))
  }
}
