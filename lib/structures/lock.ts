/**
 * Locks: one holder at a time, named by a fence that only grows; who waits is served in order of arrival, in the command
 * that frees the lock. A lock is held as long as its record says so: that its time ran out is a fact only once
 * `lock.expire` is committed, since clocks of copies differ.
 *
 * Decision: waiters lie in the lock's own record, at most 1,000, because all of them change when it passes on; a lock that
 * so many wait for has other troubles than the copying.
 */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { leaseMsDefault, Leases, orphanLeaseMs } from './leases.ts'
import type { Grant, LockOperation, LockQuery } from './lock-operations.ts'
import type { StructureOperation } from './operations.ts'
import { byText } from './ordered-map.ts'
import { leaseTerms } from './queue.ts'
import { dueAtMs, found, isDue, refusal, type IsLocked, type Partition, type Structure } from './structure.ts'

export const waitersMax = 1_000

/** `untilMs` 0: waits as long as its session lives. */
type Waiter = readonly [ticket: string, session: SessionId, leaseMs: number, untilMs: number]

/** In space 'lock' by name, while it is held. `session` '' and `leaseMs` 0 as in `Lease`; `ticket` '' if it did not wait. */
type Held = readonly [
  token: number,
  session: SessionId,
  leaseMs: number,
  ticket: string,
  grantedAtMs: number,
  waiters: readonly Waiter[],
]
type Acquire = Extract<LockOperation, { readonly kind: 'lock.acquire' }>

const space = 'lock'
const none: readonly Waiter[] = []

export class LockStructure implements Structure<LockOperation, LockQuery> {
  readonly #partition: Partition
  readonly #leases = new Leases<string>()
  /** Names of locks by who waits for them. */
  readonly #waits = new Map<SessionId, Set<string>>()

  constructor(partition: Partition) {
    this.#partition = partition
  }

  locks(subject: LockOperation | LockQuery): readonly string[] {
    return [lockOf(subject.lock)]
  }

  grows(operation: LockOperation): boolean {
    return operation.kind === 'lock.acquire'
  }

  check(operation: LockOperation, { atMs }: ApplyContext): Refusal | undefined {
    const held = this.#get(operation.lock)
    switch (operation.kind) {
      case 'lock.acquire':
        return held === undefined ? undefined : waitRefusal(operation, held, atMs)
      case 'lock.extend':
      case 'lock.release':
      case 'lock.verify':
        if (held?.[0] === operation.token) return undefined
        return refusal('STALE_TOKEN', `${operation.token} is not the newest grant of lock ${operation.lock}`)
      default:
        return undefined
    }
  }

  execute(operation: LockOperation, context: ApplyContext): Plain {
    const name = operation.lock
    const held = this.#get(name)
    if (operation.kind === 'lock.acquire') return this.#acquire(operation, held, context)
    if (operation.kind === 'lock.cancel')
      return held !== undefined && this.#cancel(name, operation.ticket, held, context)
    if (held === undefined || held[0] !== operation.token) return operation.kind === 'lock.expire' ? false : null
    switch (operation.kind) {
      case 'lock.extend':
        this.#relet(name, held, held[1], operation.leaseMs ?? held[2], context)
        return true
      case 'lock.release':
      case 'lock.expire':
        this.#pass(name, held, context)
        return true
      case 'lock.verify':
        return true
    }
  }

  query(query: LockQuery): QueryResult {
    const held = this.#get(query.lock)
    if (query.kind === 'lock.poll') return found(placeOf(query.ticket, held))
    if (held === undefined) return found(null)
    const [token, session, leaseMs, , grantedAtMs, waiters] = held
    return found([token, session, leaseMs, grantedAtMs, waiters.length])
  }

  index(_: string, name: string, record: Plain): void {
    const [token, session, leaseMs, , , waiters] = record as Held
    this.#leases.set({ token, session, leaseMs, held: name }, undefined)
    for (const [, waiting] of waiters) this.#waitsFor(waiting, name)
  }

  /** It stops waiting first, so that it is granted nothing; then what it holds passes on, oldest grant first. */
  endSession(session: SessionId, context: ApplyContext, isLocked: IsLocked): void {
    for (const name of [...(this.#waits.get(session) ?? [])].sort(byText)) {
      const held = this.#get(name)
      if (held !== undefined)
        this.#keepWaiters(
          name,
          held,
          held[5].filter(([, waiting]) => waiting !== session),
        )
    }
    for (const { held: name } of this.#leases.ofSession(session)) {
      const held = this.#get(name)
      if (held === undefined) continue
      if (isLocked(lockOf(name))) this.#relet(name, held, '', orphanLeaseMs, context)
      else this.#pass(name, held, context)
    }
  }

  nextEndMs(): number | undefined {
    return this.#leases.nextEndMs()
  }

  due(nowMonotonicMs: number, _: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#leases.ended(nowMonotonicMs, countMax, ({ token, held }) => {
      if (isLocked(lockOf(held))) return false
      out.push({ kind: 'lock.expire', lock: held, token })
      return true
    })
    return out
  }

  restartLeases(nowMonotonicMs: number): void {
    this.#leases.restart(nowMonotonicMs)
  }

  #acquire(operation: Acquire, held: Held | undefined, context: ApplyContext): Plain {
    const { lock, ticket = '' } = operation
    const [session, leaseMs] = leaseTerms(operation.leaseMs, operation.holder, context)
    if (held === undefined) return [this.#grant(lock, [ticket, session, leaseMs, 0], none, context), 0]
    if (ticket === '') return null
    const place = placeOf(ticket, held)
    if (place[1] >= 0) return place
    const waitMs = operation.waitMs ?? (session === '' ? leaseMsDefault : undefined)
    const waiters = [...waiting(held, context.atMs), [ticket, session, leaseMs, dueAtMs(context.atMs, waitMs)] as const]
    this.#keepWaiters(lock, held, waiters)
    this.#waitsFor(session, lock)
    return [0, waiters.length]
  }

  #grant(name: string, next: Waiter, waiters: readonly Waiter[], context: ApplyContext): number {
    const [ticket, session, leaseMs] = next
    const token = this.#partition.sequences.nextFence(context.epoch)
    const held: Held = [token, session, leaseMs, ticket, context.atMs, waiters]
    this.#partition.store.put(space, name, held)
    this.#leases.set({ token, session, leaseMs, held: name }, context.monotonicMs)
    return token
  }

  /** To the next in line, or to nobody. */
  #pass(name: string, held: Held, context: ApplyContext): void {
    this.#leases.delete(held[0])
    const [next, ...waiters] = waiting(held, context.atMs)
    this.#unwait(name, held[5], waiters)
    if (next === undefined) {
      this.#partition.store.delete(space, name)
      return
    }
    this.#grant(name, next, waiters, context)
    this.#partition.changes.granted.add(name)
  }

  #cancel(name: string, ticket: string, held: Held, context: ApplyContext): boolean {
    const [, place] = placeOf(ticket, held)
    if (place === 0) this.#pass(name, held, context)
    else if (place > 0)
      this.#keepWaiters(
        name,
        held,
        held[5].filter(([waiting]) => waiting !== ticket),
      )
    return place >= 0
  }

  #relet(name: string, held: Held, session: SessionId, leaseMs: number, context: ApplyContext): void {
    const [token, , , ticket, grantedAtMs, waiters] = held
    const next: Held = [token, session, leaseMs, ticket, grantedAtMs, waiters]
    this.#partition.store.put(space, name, next)
    this.#leases.set({ token, session, leaseMs, held: name }, context.monotonicMs)
  }

  #keepWaiters(name: string, held: Held, waiters: readonly Waiter[]): void {
    const [token, session, leaseMs, ticket, grantedAtMs, before] = held
    this.#unwait(name, before, waiters)
    const next: Held = [token, session, leaseMs, ticket, grantedAtMs, waiters]
    this.#partition.store.put(space, name, next)
  }

  #waitsFor(session: SessionId, name: string): void {
    if (session === '') return
    const names = this.#waits.get(session)
    if (names === undefined) this.#waits.set(session, new Set([name]))
    else names.add(name)
  }

  #unwait(name: string, before: readonly Waiter[], after: readonly Waiter[]): void {
    const still = new Set(after.map(([, session]) => session))
    for (const [, session] of before) {
      const names = still.has(session) ? undefined : this.#waits.get(session)
      names?.delete(name)
      if (names?.size === 0) this.#waits.delete(session)
    }
  }

  #get(name: string): Held | undefined {
    return this.#partition.store.get(space, name) as Held | undefined
  }
}

function waitRefusal({ lock, ticket = '' }: Acquire, held: Held, atMs: number): Refusal | undefined {
  if (ticket === '') return refusal('CONFLICT', `lock ${lock} is held`, held[0])
  if (placeOf(ticket, held)[1] >= 0 || waiting(held, atMs).length < waitersMax) return undefined
  return refusal('FULL', `${waitersMax} wait for lock ${lock}`, waitersMax)
}

function placeOf(ticket: string, held: Held | undefined): Grant {
  if (held === undefined || ticket === '') return [0, -1]
  if (held[3] === ticket) return [held[0], 0]
  const at = held[5].findIndex(([waiting]) => waiting === ticket)
  return [0, at < 0 ? -1 : at + 1]
}

function waiting([, , , , , waiters]: Held, atMs: number): readonly Waiter[] {
  return waiters.some(([, , , untilMs]) => isDue(untilMs, atMs))
    ? waiters.filter(([, , , untilMs]) => !isDue(untilMs, atMs))
    : waiters
}

function lockOf(name: string): string {
  return `lock:${name}`
}
