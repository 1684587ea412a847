/**
 * Queues: one shard, that of (queue, partition); which shard is asked is the caller's business. A message is put, taken
 * under a lease, and gone when its lease's token acknowledges it; every ack, nack and extension checks the token in the
 * same command, so double processing is possible and double commit is not. A lease ends by the logged `expireLease`, by
 * its session's end, or by nack: each is a failed delivery, followed by back-off (none after a session's end, for it was
 * not the message's fault) and, at the last attempt, by death.
 *
 * Delays and expiry are judged by the entry's time. What died does not vanish: where the list of dead letters is full it
 * stays, is tried again at the longest back-off, and an expired message is delivered after all.
 */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import type { Holder } from './cases.ts'
import { deadOf, expiryReason, type DeadLetters } from './dead-letters.ts'
import { Deadlines } from './deadlines.ts'
import { againMs, leaseMsDefault, Leases, orphanLeaseMs } from './leases.ts'
import { attemptOf, expiryOf, groupOf, leased, leaseMsOf, messageOf, released, returned } from './message.ts'
import { takenOf, tokenOf, type Message } from './message.ts'
import type { StructureOperation } from './operations.ts'
import type { Listed, QueueOperation, QueueQuery, QueueStats, Taken } from './queue-operations.ts'
import { backoffMs, dropPolicy, keepPolicy, policyOf, policyWith } from './queue-policy.ts'
import { QueueShard, type Shelf } from './queue-shard.ts'
import { positionKey } from './sequences.ts'
import { Spaces, dueAtMs, found, isDue, pageMax, pageRefusal, refusal, refused } from './structure.ts'
import type { IsLocked, Partition, Structure } from './structure.ts'

/** Where a message lies. */
interface Place {
  readonly queue: string
  readonly position: number
}
type Take = Extract<QueueOperation, { readonly kind: 'queue.take' }>
type Query = Extract<QueueQuery, { readonly queue: string }>

export class QueueStructure implements Structure<QueueOperation, Query> {
  readonly #partition: Partition
  readonly #spaces = new Spaces('queue:')
  readonly #dead: DeadLetters
  readonly #shards = new Map<string, QueueShard>()
  readonly #leases = new Leases<Place>()
  // When the first delay of a queue ends, if that is not said yet.
  readonly #delays = new Deadlines<string, QueueShard>()
  readonly #expiries = new Deadlines<number, string>()
  readonly #shelf: Shelf
  /** The owner's time of its last look: who asks by a clock that is behind it is told what is ready by then. Volatile. */
  #saidAtMs = -Infinity

  constructor(partition: Partition, dead: DeadLetters) {
    this.#partition = partition
    this.#dead = dead
    this.#shelf = {
      message: (queue, position) => this.#get({ queue, position }),
      becameReady: queue => partition.changes.ready.add(queue),
      delayed: shard => this.#plan(shard),
    }
  }

  /** A token while it is used, and a group while it is appended to, so that nothing overtakes a prepared message. */
  locks(subject: QueueOperation | Query): readonly string[] {
    if ('token' in subject) return [lockOf(subject.queue, subject.token)]
    return subject.kind === 'queue.put' && subject.group !== undefined
      ? [`queue:${subject.queue}/g/${subject.group}`]
      : []
  }

  grows(operation: QueueOperation): boolean {
    return operation.kind === 'queue.put'
  }

  check(operation: QueueOperation): Refusal | undefined {
    switch (operation.kind) {
      case 'queue.put': {
        const [capacity] = policyWith(this.#partition.store, operation.queue, operation.options)
        return this.roomRefusal(operation.queue, 1, capacity)
      }
      case 'queue.take':
        return pageRefusal(operation.max)
      case 'queue.ack':
      case 'queue.nack':
      case 'queue.extend':
      case 'queue.verify':
        if (this.#held(operation) !== undefined) return undefined
        return refusal('STALE_TOKEN', `${operation.token} is no current lease of queue ${operation.queue}`)
      default:
        return undefined
    }
  }

  /** FULL unless so many more fit. */
  roomRefusal(queue: string, count: number, capacity: number): Refusal | undefined {
    if (this.#partition.store.count(this.#spaces.of(queue)) + count <= capacity) return undefined
    return refusal('FULL', `queue ${queue} holds ${capacity} messages here`, capacity)
  }

  execute(operation: QueueOperation, context: ApplyContext): Plain {
    const { queue } = operation
    if (operation.kind === 'queue.put') {
      keepPolicy(this.#partition.store, queue, operation.options)
      return this.arrive(queue, messageOf(operation, context))
    }
    if (operation.kind === 'queue.take') return this.#take(operation, context)
    if (operation.kind === 'queue.expire') return this.#expire(queue, operation.position, context)
    const position = this.#held(operation)
    if (position === undefined) return operation.kind === 'queue.expireLease' ? false : null
    const place = { queue, position }
    switch (operation.kind) {
      case 'queue.ack':
        this.#remove(place)
        return true
      case 'queue.nack': {
        const { delayMs, error = null, isDead = false } = operation
        return this.#fail(place, context, { delayMs, error, isDead })
      }
      case 'queue.expireLease':
        this.#fail(place, context, { delayMs: undefined, error: 'lease ended', isDead: false })
        return true
      case 'queue.extend':
        this.#relet(place, operation.leaseMs, context)
        return true
      case 'queue.verify':
        return true
    }
  }

  query(query: Query, atMs: number): QueryResult {
    if (query.kind === 'queue.stats') return found(this.#stats(query.queue, atMs))
    const wrong = pageRefusal(query.max)
    return wrong === undefined ? found(this.#page(query.queue, query.after, query.max, atMs)) : refused(wrong)
  }

  /** Messages that may be taken now. */
  ready(queue: string, atMs: number): number {
    return this.#shards.get(queue)?.readyCount(Math.max(atMs, this.#saidAtMs)) ?? 0
  }

  get messageCount(): number {
    let count = 0
    for (const queue of this.#shards.keys()) count += this.#partition.store.count(this.#spaces.of(queue))
    return count
  }

  /** The same for every queue that has any. */
  readyCounts(atMs: number): Map<string, number> {
    const counts = new Map<string, number>()
    for (const shard of this.#shards.values()) {
      const count = shard.readyCount(Math.max(atMs, this.#saidAtMs))
      if (count > 0) counts.set(shard.queue, count)
    }
    return counts
  }

  /** Keeps a new message; returns its position. */
  arrive(queue: string, message: Message): number {
    const position = this.#partition.sequences.nextPosition()
    this.#put({ queue, position }, message)
    this.#index({ queue, position }, message)
    return position
  }

  index(space: string, key: string, record: Plain): void {
    if (space === 'queues') return
    const place = { queue: space.slice('queue:'.length), position: Number(key) }
    const message = record as Message
    this.#index(place, message)
    const [, , , , , , , , token, session, leaseMs] = message
    if (token !== 0) this.#leases.set({ token, session, leaseMs, held: place }, undefined)
  }

  /** Oldest grant first. What a transaction holds on to keeps its lease a little longer, on nobody's behalf. */
  endSession(session: SessionId, context: ApplyContext, isLocked: IsLocked): void {
    for (const { token, held } of this.#leases.ofSession(session)) {
      const message = this.#get(held)
      if (message === undefined) continue
      if (isLocked(lockOf(held.queue, token))) this.#relet(held, orphanLeaseMs, context, '')
      else this.#fail(held, context, { delayMs: 0, error: 'session ended', isDead: false })
    }
  }

  nextEndMs(): number | undefined {
    return this.#leases.nextEndMs()
  }

  nextAtMs(): number | undefined {
    const delayMs = this.#delays.nextMs()
    const expiryMs = this.#expiries.nextMs()
    return delayMs === undefined || (expiryMs !== undefined && expiryMs < delayMs) ? expiryMs : delayMs
  }

  due(nowMonotonicMs: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    this.#say(atMs)
    const out: StructureOperation[] = []
    this.#leases.ended(nowMonotonicMs, countMax, ({ token, held: { queue } }) => {
      if (isLocked(lockOf(queue, token))) return false
      out.push({ kind: 'queue.expireLease', queue, token })
      return true
    })
    this.#expiries.name(atMs, countMax - out.length, againMs, (position, queue) => {
      const message = this.#get({ queue, position })
      if (message === undefined || tokenOf(message) !== 0 || !this.#canBury(queue)) return false
      out.push({ kind: 'queue.expire', queue, position })
      return true
    })
    return out
  }

  restartLeases(nowMonotonicMs: number): void {
    this.#leases.restart(nowMonotonicMs)
  }

  #take({ queue, max, leaseMs, holder, options }: Take, context: ApplyContext): Plain {
    const shard = this.#shards.get(queue)
    const taken: Taken[] = []
    if (shard !== undefined) keepPolicy(this.#partition.store, queue, options)
    // Those past their time die on the way, but not a queue of them in one go.
    for (let looks = 0; shard !== undefined && taken.length < max && looks < max + pageMax; looks++) {
      const position = shard.first(context.atMs)
      if (position === undefined) break
      const place = { queue, position }
      if (this.#expire(queue, position, context)) continue
      taken.push(takenOf(this.#let(shard, place, leaseTerms(leaseMs, holder, context), context)))
    }
    if (shard !== undefined && taken.length < max) this.#sayAgain(shard, context.atMs)
    return taken
  }

  #let(shard: QueueShard, place: Place, terms: readonly [SessionId, number], context: ApplyContext): Message {
    const [session, leaseMs] = terms
    const token = this.#partition.sequences.nextFence(context.epoch)
    const message = leased(this.#get(place) as Message, token, session, leaseMs)
    this.#put(place, message)
    shard.lease(place.position)
    this.#leases.set({ token, session, leaseMs, held: place }, context.monotonicMs)
    return message
  }

  #relet(place: Place, leaseMs: number | undefined, context: ApplyContext, session?: SessionId): void {
    const before = this.#get(place) as Message
    const message = released(before, session ?? before[9], leaseMs ?? leaseMsOf(before))
    this.#put(place, message)
    const terms = { token: tokenOf(message), session: message[9], leaseMs: leaseMsOf(message), held: place }
    this.#leases.set(terms, context.monotonicMs)
  }

  /** Returns whether it is dead. */
  #fail(
    place: Place,
    context: ApplyContext,
    { delayMs, error, isDead }: { delayMs: number | undefined; error: string | null; isDead: boolean },
  ): boolean {
    const message = this.#get(place) as Message
    const policy = policyOf(this.#partition.store, place.queue)
    const [, maxAttempts, , backoffMaxMs] = policy
    const isOver = isDead || attemptOf(message) >= maxAttempts
    if (isOver && this.#canBury(place.queue)) {
      this.#bury(place, error ?? 'refused', context)
      return true
    }
    const waitMs = isOver ? backoffMaxMs : (delayMs ?? backoffMs(policy, attemptOf(message)))
    const back = returned(message, waitMs === 0 ? 0 : dueAtMs(context.atMs, waitMs), error)
    this.#leases.delete(tokenOf(message))
    this.#put(place, back)
    this.#shards.get(place.queue)?.return(place.position, back)
    return false
  }

  #expire(queue: string, position: number, context: ApplyContext): boolean {
    const message = this.#get({ queue, position })
    if (message === undefined || tokenOf(message) !== 0) return false
    if (!isDue(expiryOf(message), context.atMs) || !this.#canBury(queue)) return false
    this.#bury({ queue, position }, expiryReason(message), context)
    return true
  }

  #canBury(queue: string): boolean {
    const [, , , , deadLetter, deadMax] = policyOf(this.#partition.store, queue)
    return this.#dead.count(deadLetter) < deadMax
  }

  #bury(place: Place, reason: string, context: ApplyContext): void {
    const [, , , , deadLetter] = policyOf(this.#partition.store, place.queue)
    const message = this.#remove(place)
    this.#dead.put(deadLetter, deadOf(place.queue, message, reason, context))
  }

  #remove(place: Place): Message {
    const message = this.#get(place) as Message
    this.#partition.store.delete(this.#spaces.of(place.queue), positionKey(place.position))
    this.#leases.delete(tokenOf(message))
    this.#expiries.delete(place.position)
    const shard = this.#shards.get(place.queue)
    shard?.leave(place.position, message)
    if (this.#partition.store.count(this.#spaces.of(place.queue)) === 0) {
      this.#shards.delete(place.queue)
      this.#delays.delete(place.queue)
      dropPolicy(this.#partition.store, place.queue)
    }
    return message
  }

  /** Owner only: says which queues have something whose delay is over. */
  #say(atMs: number): void {
    this.#saidAtMs = atMs
    const said: QueueShard[] = []
    this.#delays.name(atMs, pageMax, againMs, (queue, shard) => {
      shard.said = shard.next
      this.#partition.changes.ready.add(queue)
      return said.push(shard) > 0
    })
    for (const shard of said) this.#plan(shard)
  }

  /**
   * Somebody asked for more than there was by the time of this entry, which may be before that at which the owner was told
   * of a delay that is over; or there was too much to bury first.
   */
  #sayAgain(shard: QueueShard, atMs: number): void {
    if (shard.first(atMs) !== undefined) this.#partition.changes.ready.add(shard.queue)
    shard.said = undefined
    this.#plan(shard)
  }

  #plan(shard: QueueShard): void {
    const { queue, next, nextMs } = shard
    // As long as the one that was told of is not taken, the queue is known to have something.
    if (nextMs === undefined || next === shard.said) this.#delays.delete(queue)
    else if (this.#delays.rankMs(queue) !== nextMs) this.#delays.set(queue, nextMs, shard)
  }

  #index({ queue, position }: Place, message: Message): void {
    let shard = this.#shards.get(queue)
    if (shard === undefined) {
      shard = new QueueShard(queue, this.#shelf)
      this.#shards.set(queue, shard)
    }
    if (expiryOf(message) !== 0) this.#expiries.set(position, expiryOf(message), queue)
    shard.arrive(position, message)
  }

  #stats(queue: string, atMs: number): QueueStats {
    const total = this.#partition.store.count(this.#spaces.of(queue))
    const shard = this.#shards.get(queue)
    if (shard === undefined) return [0, 0, 0, 0, 0]
    const { leasedCount } = shard
    const readyCount = shard.readyCount(atMs)
    const delayedCount = shard.delayedCount(atMs)
    return [readyCount, delayedCount, leasedCount, total - readyCount - delayedCount - leasedCount, total]
  }

  #page(queue: string, after: number | undefined, max: number, atMs: number): Plain {
    const shard = this.#shards.get(queue)
    const key = after === undefined ? undefined : positionKey(after)
    const page = this.#partition.store.page(this.#spaces.of(queue), key, max) as readonly (readonly [string, Message])[]
    const rows = page.map(([key, message]): Listed => {
      const [id, body, , , enqueuedAtMs, , , attempt, , , , lastError] = message
      const state = shard?.stateOf(Number(key), message, atMs) ?? 'blocked'
      return [Number(key), id, state, attempt, enqueuedAtMs, groupOf(message), lastError, body]
    })
    return [rows, rows.length < max ? null : (rows.at(-1)?.[0] ?? null)]
  }

  /** The position that the token of this queue leases. */
  #held({ queue, token }: { readonly queue: string; readonly token: number }): number | undefined {
    const held = this.#leases.get(token)?.held
    return held?.queue === queue ? held.position : undefined
  }

  #get({ queue, position }: Place): Message | undefined {
    return this.#partition.store.get(this.#spaces.of(queue), positionKey(position)) as Message | undefined
  }

  #put({ queue, position }: Place, message: Message): void {
    this.#partition.store.put(this.#spaces.of(queue), positionKey(position), message)
  }
}

/** Whose lease, and for how long; 0: as long as the session. */
export function leaseTerms(
  leaseMs: number | undefined,
  holder: Holder | undefined,
  { session }: ApplyContext,
): readonly [session: SessionId, leaseMs: number] {
  if (holder === 'time' || session === '')
    return ['', leaseMs === undefined || leaseMs === 0 ? leaseMsDefault : leaseMs]
  return [session, leaseMs ?? 0]
}

function lockOf(queue: string, token: number): string {
  return `queue:${queue}/t/${token}`
}
