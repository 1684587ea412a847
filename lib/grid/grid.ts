/**
 * The grid as one member's programs hold it, over whichever peer that member currently is. It is made before the peer,
 * because the peer tells it things and keeps its data in states that it makes:
 *
 *     const grid = new MemberGrid({ env, name: 'goose-1' })
 *     const peer = new Peer({ ..., createState: grid.createState, budget: grid.budget }, env, network, storage, grid.listener)
 *     grid.attach(peer)
 *
 * Real members get theirs from `join`; the simulator makes them like this. It takes time, timers and randomness from
 * its Env alone.
 */
import type { Env } from '../base/env.ts'
import { ClosedError } from '../base/errors.ts'
import type { PartitionId, SessionId } from '../base/ids.ts'
import type { Instant } from '../base/instant.ts'
import type { Plain } from '../base/shape.ts'
import { emptyClusterState, type ClusterState } from '../consensus/cluster-state.ts'
import type { PeerListener } from '../peer/peer-options.ts'
import type { Safety } from '../placement/safety.ts'
import { Budget } from '../peer/budget.ts'
import { Structures } from '../structures/structures.ts'
import { Batches } from './batches.ts'
import { Calls, type GridPeer } from './calls.ts'
import { ConsumerRouter } from './consumer-router.ts'
import { GridCounter } from './counter.ts'
import { StoredDeadLetters } from './dead-letters.ts'
import { Definitions } from './definitions.ts'
import { Events } from './events.ts'
import { GridGroup } from './group.ts'
import type {
  Counter,
  Grid,
  GridEvents,
  GridMap,
  GridStatus,
  LeaveResult,
  Lock,
  MapSettings,
  OperationOptions,
  Partitions,
  Pressure,
  RecoverResult,
  Transaction,
} from './handles.ts'
import type { Group, GroupSettings } from './group-handles.ts'
import { LeaseWatch } from './lease-watch.ts'
import { leaveGrid } from './leaving.ts'
import { GridLock } from './lock.ts'
import { StoredMap } from './map.ts'
import { GridPartitions } from './partitions.ts'
import { PutShard } from './put-shard.ts'
import { StoredQueue, type QueueParts } from './queue.ts'
import type { DeadLetterList, Queue, QueueSettings, Worker } from './queue-handles.ts'
import { QueueAgreements } from './queue-settings.ts'
import { Shards } from './shards.ts'
import { loadSpool, spoolChunks } from './spool.ts'
import { memberChanges, statusOf } from './status.ts'
import { recoverGrid } from './recovering.ts'
import { runTransaction } from './transaction.ts'

export interface MemberGridOptions {
  readonly env: Env
  /** e.g. 'goose-1' */
  readonly name: string
  /** Default 'default'. */
  readonly clusterName?: string
  /** Default 512 MiB. */
  readonly budgetBytes?: number
}

const budgetBytesDefault = 512 * 1024 * 1024

export class MemberGrid implements Grid {
  readonly name: string
  readonly clusterName: string
  readonly env: Env
  readonly partitions: Partitions
  readonly budget: Budget
  /** For the peer. */
  readonly listener: Required<Omit<PeerListener, 'opened'>>
  readonly events: Events<GridEvents>
  /** What `close` ends besides; set by whoever started the peer. */
  closePeer: () => Promise<void> = () => Promise.resolve()
  /** What comes of being expelled; set likewise. */
  onExpelled: () => void = () => undefined
  readonly #calls: Calls
  readonly #leases: LeaseWatch
  readonly #shards: Shards
  readonly #router: ConsumerRouter
  readonly #definitions: Definitions
  readonly #queueParts: QueueParts
  /** Apart from those of queues, whose shards may refuse for want of room. */
  readonly #mapBatches: Batches
  readonly #consumers = new Set<Worker>()
  #state: ClusterState = emptyClusterState
  #session: SessionId | undefined
  #pressure: Pressure = 'normal'
  #isLeaving = false
  /** The present peer is a member no longer, whatever it last heard. */
  #isExpelled = false

  constructor({ env, name, clusterName = 'default', budgetBytes = budgetBytesDefault }: MemberGridOptions) {
    this.env = env
    this.name = name
    this.clusterName = clusterName
    this.events = new Events<GridEvents>(error => this.#listenerFailed(error))
    this.#calls = new Calls(env)
    this.#leases = new LeaseWatch(env)
    this.#shards = new Shards()
    this.#router = new ConsumerRouter(env, this.#shards, (member, hint) => this.#calls.peer?.tell(member, hint))
    this.#definitions = new Definitions(this.#calls)
    this.#mapBatches = new Batches(this.#calls)
    this.#queueParts = {
      calls: this.#calls,
      batches: new Batches(this.#calls),
      leases: this.#leases,
      router: this.#router,
      putShard: new PutShard(env, this.#shards),
      agreements: new QueueAgreements(this.#calls, this.#definitions),
      consumers: this.#consumers,
    }
    this.partitions = new GridPartitions(this.#calls, this.#shards)
    this.budget = new Budget(budgetBytes, () => this.#calls.peer?.bytes ?? 0)
    this.listener = this.#listener()
  }

  /** Makes the data of one partition; for the peer. */
  readonly createState: (partition: PartitionId) => Structures = partition => {
    const state = new Structures()
    this.#shards.created(partition, state)
    return state
  }

  /** The peer that this member is from now on; undefined while there is none. */
  attach(peer: GridPeer | undefined): void {
    this.#isExpelled = false
    if (peer === undefined) {
      this.#shards.clear()
      this.#router.clear()
      this.#changeSession(undefined)
    }
    this.#calls.changed(peer)
  }

  get member(): string {
    return this.#calls.peer?.member ?? ''
  }

  get addresses(): readonly string[] {
    return this.#calls.peer?.addresses ?? []
  }

  get session(): SessionId | undefined {
    return this.#session
  }

  get pressure(): Pressure {
    return this.#pressure
  }

  /** As agreed last, and -1 while there is no quorum. */
  get safety(): Safety {
    const { peer } = this.#calls
    if (peer === undefined) return { level: -1, reason: 'not in a cluster yet' }
    const hasQuorum = !this.#isMember() || peer.leaseUntilMs > this.#calls.nowMs
    return hasQuorum ? peer.safety : { level: -1, reason: this.#unready() ?? 'no quorum' }
  }

  readonly now: () => Instant = () => this.env.now()

  map<V>(name: string, settings?: MapSettings<V>): GridMap<V> {
    return new StoredMap(this.#calls, this.#mapBatches, name, settings)
  }

  queue<T>(name: string, settings?: QueueSettings<T>): Queue<T> {
    return new StoredQueue(this.#queueParts, name, settings)
  }

  dead<T>(name: string): DeadLetterList<T> {
    return new StoredDeadLetters(this.#calls, name)
  }

  lock(name: string): Lock {
    return new GridLock(this.#calls, this.#leases, name)
  }

  counter(name: string): Counter {
    return new GridCounter(this.#calls, name)
  }

  group(name: string, settings?: GroupSettings): Group {
    return new GridGroup(this.#calls, name, settings)
  }

  async transaction<R>(work: (tx: Transaction) => R | Promise<R>, options?: OperationOptions): Promise<R> {
    return await runTransaction(this.#queueParts, work, this.#calls.timed(options))
  }

  async define(
    name: string,
    definition: Plain,
    options?: OperationOptions & { readonly isReplacing?: boolean | undefined },
  ): Promise<Plain> {
    return await this.#definitions.define(name, definition, this.#calls.timed(options), options?.isReplacing)
  }

  definitions(prefix: string): ReadonlyMap<string, Plain> {
    return this.#definitions.list(prefix)
  }

  status(): GridStatus {
    const { name, clusterName, budget, pressure } = this
    return statusOf(this.#calls.peer, {
      name,
      clusterName,
      budgetBytes: budget.bytesMax,
      pressure,
      safety: this.safety,
      unready: this.#unready(),
      lapsedMs: this.#lapsedMs(),
    })
  }

  on<E extends keyof GridEvents>(event: E, listener: (value: GridEvents[E]) => void): () => void {
    return this.events.on(event, listener)
  }

  async ready(options?: OperationOptions): Promise<void> {
    const isReady = (): true | undefined => (this.#unready() === undefined ? true : undefined)
    await this.#calls.until(this.#calls.timed(options), 'readiness', isReady)
  }

  async leave(options?: OperationOptions): Promise<LeaveResult> {
    this.#isLeaving = true
    return await leaveGrid(
      { calls: this.#calls, shards: this.#shards, consumers: this.#consumers, isMember: () => this.#isMember() },
      options,
    )
  }

  async recover(options: OperationOptions & { readonly isSure?: boolean | undefined } = {}): Promise<RecoverResult> {
    return await recoverGrid(this.#calls, options)
  }

  /** True from the beginning of `leave`: being expelled is then what was wanted. */
  get isLeaving(): boolean {
    return this.#isLeaving
  }

  spool(): AsyncIterable<Uint8Array> {
    return spoolChunks(this.#calls, this.#shards)
  }

  async load(spool: AsyncIterable<Uint8Array>): Promise<number> {
    return await loadSpool(this.#calls, spool)
  }

  async close(): Promise<void> {
    if (!this.#calls.isOpen) return
    this.#leases.loseAll('this member closes')
    this.#calls.close()
    await this.closePeer()
    this.events.tell('closed', { reason: 'closed' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #unready(): string | undefined {
    if (!this.#calls.isOpen) return 'closed'
    if (this.#isLeaving) return 'leaving'
    const { peer } = this.#calls
    if (peer === undefined) return 'starting'
    if (!this.#isMember()) return 'not in a cluster yet'
    if (this.#session === undefined) return 'no quorum: no lease was granted'
    const lapsedMs = this.#lapsedMs()
    if (lapsedMs > 0) return `no quorum: no lease for ${(lapsedMs / 1000).toFixed(1)} s; refusing writes`
    return undefined
  }

  #lapsedMs(): number {
    const { peer } = this.#calls
    const isMember = this.#calls.isOpen && !this.#isLeaving && this.#isMember()
    return peer === undefined || !isMember ? 0 : Math.max(this.#calls.nowMs - peer.leaseEndMs, 0)
  }

  #isMember(): boolean {
    const { peer } = this.#calls
    return peer !== undefined && !this.#isExpelled && peer.state.members.has(peer.member)
  }

  #listener(): Required<Omit<PeerListener, 'opened'>> {
    return {
      applied: state => this.#applied(state),
      safety: safety => this.events.tell('safety', safety),
      session: session => this.#changeSession(session),
      expelled: () => {
        this.#isExpelled = true
        // Whoever is leaving waits for this.
        this.#calls.changed(this.#calls.peer)
        this.onExpelled()
      },
      hinted: (from, hint) => this.#router.heard(from, hint),
      turned: () => this.#turned(),
    }
  }

  #applied(state: ClusterState): void {
    const before = this.#state
    this.#state = state
    const { peer } = this.#calls
    if (peer === undefined) return
    this.#shards.applied(peer.member, state)
    this.#calls.changed(peer)
    this.events.tell('state', state)
    for (const change of memberChanges(before.members, state.members)) this.events.tell('member', change)
  }

  #changeSession(session: SessionId | undefined): void {
    if (session === this.#session) return
    this.#session = session
    this.#leases.changeSession(session)
    this.#calls.changed(this.#calls.peer)
    this.events.tell('session', session)
  }

  #turned(): void {
    this.#router.turned()
    this.#calls.look()
    const pressure = this.budget.state
    if (pressure === this.#pressure) return
    this.#pressure = pressure
    this.events.tell('pressure', pressure)
  }

  #listenerFailed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    if (error instanceof ClosedError) return
    this.env.emit({ kind: 'emit', level: 'error', event: 'grid.listener-failed', fields: { reason } })
  }
}
