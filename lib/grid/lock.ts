/**
 * A lock over the cluster: first come, first served, each grant with a larger fence. The lease is this member's own
 * watch; whoever acts under the lock hands the fence on, because a paused holder cannot know that it is one no longer.
 */
import { ConflictError, StaleTokenError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import type { Grant } from '../structures/lock-operations.ts'
import type { Calls, Timed } from './calls.ts'
import { durationMs, type Duration } from './duration.ts'
import type { HeldLock, Lock, LockOptions, LockState, OperationOptions } from './handles.ts'
import type { Lease, LeaseWatch } from './lease-watch.ts'

const leaseMsDefault = 10_000
/** How often a waiter looks whether it is its turn: at first, doubling up to. */
const pollMs = { min: 5, max: 100 }
/** Giving up one's place, and one's lock when work failed, may take as long, whatever the caller's deadline. */
const tidyMs = 2_000

export class GridLock implements Lock {
  readonly name: string
  readonly #calls: Calls
  readonly #leases: LeaseWatch

  constructor(calls: Calls, leases: LeaseWatch, name: string) {
    this.#calls = calls
    this.#leases = leases
    this.name = name
  }

  async acquire(options: LockOptions = {}): Promise<HeldLock> {
    const { waitMs, timed } = this.#patience(options)
    const leaseMs = options.lease === undefined ? leaseMsDefault : durationMs(options.lease, 'lease')
    const holder = options.holder ?? 'session'
    const ticket = `${this.#calls.env.random.uint32().toString(36)}-${this.#calls.env.random.uint32().toString(36)}`
    const untilMs = this.#calls.nowMs + waitMs
    const acquire = { kind: 'lock.acquire', lock: this.name, leaseMs, holder } as const
    // Without a wait there is no ticket, and no place in line to give up.
    const operation = waitMs > 0 ? { ...acquire, ticket, waitMs } : acquire
    const session = holder === 'session' ? this.#calls.peer?.session : undefined
    let sentMs = this.#calls.nowMs
    try {
      let [fence, place] = (await this.#calls.runAt(this.name, operation, timed)) as unknown as Grant
      for (let pauseMs = pollMs.min; place !== 0; pauseMs = Math.min(2 * pauseMs, pollMs.max)) {
        if (place < 0 || this.#calls.nowMs >= untilMs || timed.signal?.aborted === true)
          throw new ConflictError(`lock ${this.name} is held`)
        await this.#calls.sleep(Math.min(pauseMs, untilMs - this.#calls.nowMs), timed.signal)
        const askedMs = this.#calls.nowMs
        const poll = { kind: 'lock.poll', lock: this.name, ticket } as const
        ;[fence, place] = (await this.#calls.askAt(this.name, poll, timed)) as unknown as Grant
        // Granted after the poll before this one was sent, at the earliest then.
        if (place !== 0) sentMs = askedMs
      }
      return this.#held(fence, { sentMs, leaseMs, session, isRenewed: holder === 'session' })
    } catch (error) {
      if (waitMs > 0) this.#cancel(ticket)
      throw error
    }
  }

  async run<T>(
    work: (held: { readonly fence: number; readonly signal: AbortSignal }) => T | Promise<T>,
    options?: LockOptions,
  ): Promise<T> {
    const held = await this.acquire(options)
    let result: T
    try {
      result = await work(held)
    } catch (error) {
      // Whoever's work failed hears of that, not of the release.
      await held.release({ deadline: tidyMs }).catch(() => undefined)
      throw error
    }
    if (held.signal.aborted) throw new StaleTokenError(`the lease of lock ${this.name} was lost before the work ended`)
    await held.release({ deadline: tidyMs }).catch((error: unknown) => {
      // One that could not be told ends by time.
      if (error instanceof StaleTokenError) throw error
    })
    return result
  }

  async extend(fence: number, options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void> {
    const leaseMs = options?.lease === undefined ? undefined : durationMs(options.lease, 'lease')
    const operation = { kind: 'lock.extend', lock: this.name, token: fence, leaseMs } as const
    await this.#calls.runAt(this.name, operation, this.#calls.timed(options))
  }

  async release(fence: number, options?: OperationOptions): Promise<void> {
    const operation = { kind: 'lock.release', lock: this.name, token: fence } as const
    await this.#calls.runAt(this.name, operation, this.#calls.timed(options))
  }

  async verify(fence: number, options?: OperationOptions): Promise<void> {
    const operation = { kind: 'lock.verify', lock: this.name, token: fence } as const
    await this.#calls.runAt(this.name, operation, this.#calls.timed(options))
  }

  async holder(options?: OperationOptions): Promise<LockState | undefined> {
    const query = { kind: 'lock.get', lock: this.name } as const
    const found = await this.#calls.askAt(this.name, query, this.#calls.timed(options))
    if (found === null) return undefined
    const [fence, session, , , waiterCount] = found as readonly [number, SessionId, number, number, number]
    return { fence, session: session === '' ? undefined : session, waiterCount }
  }

  /** The deadline comes after the wait. */
  #patience(options: LockOptions): { readonly waitMs: number; readonly timed: Timed } {
    const timed = this.#calls.timed(options)
    if (options.wait === undefined)
      return { waitMs: Math.max(Math.ceil(timed.deadlineMs - this.#calls.nowMs), 0), timed }
    const waitMs = durationMs(options.wait, 'wait')
    return { waitMs, timed: { ...timed, deadlineMs: timed.deadlineMs + waitMs } }
  }

  #held(
    fence: number,
    terms: { sentMs: number; leaseMs: number; session: SessionId | undefined; isRenewed: boolean },
  ): HeldLock {
    const { sentMs, leaseMs, session, isRenewed } = terms
    const renew = async (): Promise<boolean> => {
      try {
        await this.extend(fence, { lease: leaseMs, deadline: leaseMs })
        return true
      } catch (error) {
        if (error instanceof StaleTokenError) return false
        throw error
      }
    }
    const lease = this.#leases.hold({ sentMs, leaseMs, session, renew: isRenewed ? renew : undefined })
    return new Held(this, this.#calls, fence, lease)
  }

  /** Nobody waits for it: what cannot be told ends by time. */
  #cancel(ticket: string): void {
    const timed = { deadlineMs: this.#calls.nowMs + tidyMs, signal: undefined }
    this.#calls.runAt(this.name, { kind: 'lock.cancel', lock: this.name, ticket }, timed).catch(() => undefined)
  }
}

class Held implements HeldLock {
  readonly fence: number
  readonly #lock: GridLock
  readonly #calls: Calls
  readonly #lease: Lease

  constructor(lock: GridLock, calls: Calls, fence: number, lease: Lease) {
    this.#lock = lock
    this.#calls = calls
    this.fence = fence
    this.#lease = lease
  }

  get signal(): AbortSignal {
    return this.#lease.signal
  }

  async extend(options?: OperationOptions & { readonly lease?: Duration | undefined }): Promise<void> {
    const sentMs = this.#calls.nowMs
    await this.#lock.extend(this.fence, options)
    this.#lease.extended(sentMs, options?.lease === undefined ? undefined : durationMs(options.lease, 'lease'))
  }

  async release(options?: OperationOptions): Promise<void> {
    this.#lease.end()
    await this.#lock.release(this.fence, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#lease.isEnded) return
    await this.release().catch(() => undefined)
  }
}
