/**
 * Who waits in BLPOP and BRPOP, and how they are served: in order of arrival at this door. A push through this door is
 * noticed at once; one through another member when its list is looked at next, after a pause that grows while nothing
 * comes. Between members there is no order, each looks as often as the others.
 *
 * Decision: polling rather than a wait list in the replicated state, because a waiter is a socket: it would have to be
 * taken out again at each disconnect, failover and move, and an element given to a dead one would be lost.
 */
import type { Grid } from '../../grid/handles.ts'
import { FullError, WrongTypeError } from '../../base/errors.ts'
import { ask, run } from './keyspace.ts'

/** More are refused. */
export const waitersMax = 10_000
/** Pause between two looks: at first, doubling up to. */
const pauseMs = { min: 4, max: 128 }

const wrongType = 'WRONGTYPE Operation against a key holding the wrong kind of value'

export type Side = 'left' | 'right'

interface Waiter {
  readonly keys: readonly string[]
  readonly side: Side
  /** What came of it: an element and its key, or undefined at the end of its time. */
  readonly settle: (popped: Popped | undefined) => void
  isOver: boolean
}

/** For whom. */
export interface Popper {
  /** Nothing reaches it any more. */
  readonly isGone: boolean
  /** Aborted when it will not wait any longer. */
  readonly signal: AbortSignal
}

export interface Popped {
  readonly key: string
  readonly value: Uint8Array
}

export class BlockedPops {
  readonly #grid: Grid
  /** In order of arrival. */
  readonly #waiters = new Set<Waiter>()
  /** How many wait for it. */
  readonly #keys = new Map<string, number>()
  readonly #pushed = new Set<string>()
  #isLooking = false
  #pauseMs = pauseMs.min
  #cancelTimer: (() => void) | undefined

  constructor(grid: Grid) {
    this.#grid = grid
  }

  get count(): number {
    return this.#waiters.size
  }

  /**
   * The first element of the first list that has one; undefined after `timeoutMs` (0: never) or when the client goes.
   * Throws WrongTypeError if a key holds something else now.
   */
  async pop(keys: readonly string[], side: Side, timeoutMs: number, client: Popper): Promise<Popped | undefined> {
    for (const key of new Set(keys)) {
      // Others came first: behind them.
      if (this.#keys.has(key)) {
        const type = await ask(this.#grid, { kind: 'keyspace.type', key })
        if (type === 'string') throw new WrongTypeError(wrongType)
        continue
      }
      const popped = await run(this.#grid, { kind: 'keyspace.pop', key, side })
      const [value] = (popped ?? []) as readonly Uint8Array[]
      if (value === undefined) continue
      if (!client.isGone) return { key, value }
      await this.#giveBack(key, side, value)
      return undefined
    }
    return client.signal.aborted ? undefined : await this.#wait(keys, side, timeoutMs, client.signal)
  }

  /** Something may have come to the list. */
  pushed(key: string): void {
    if (!this.#keys.has(key)) return
    this.#pushed.add(key)
    this.#look()
  }

  /** Everybody who waits is told that nothing came. */
  close(): void {
    for (const waiter of this.#waiters) this.#end(waiter, undefined)
  }

  #wait(keys: readonly string[], side: Side, timeoutMs: number, signal: AbortSignal): Promise<Popped | undefined> {
    if (this.#waiters.size >= waitersMax) throw new FullError(`${waitersMax} clients wait for lists here already`)
    return new Promise(resolve => {
      const { env } = this.#grid
      const end = (): void => this.#end(waiter, undefined)
      const cancel = timeoutMs > 0 ? env.at(env.now().monotonicMs + timeoutMs, end) : undefined
      const waiter: Waiter = {
        keys: [...new Set(keys)],
        side,
        isOver: false,
        settle: popped => {
          cancel?.()
          signal.removeEventListener('abort', end)
          resolve(popped)
        },
      }
      signal.addEventListener('abort', end)
      this.#waiters.add(waiter)
      for (const key of waiter.keys) this.#keys.set(key, (this.#keys.get(key) ?? 0) + 1)
      this.#pauseMs = pauseMs.min
      this.#arm()
    })
  }

  #end(waiter: Waiter, popped: Popped | undefined): void {
    if (waiter.isOver) return
    waiter.isOver = true
    this.#waiters.delete(waiter)
    for (const key of waiter.keys) {
      const left = (this.#keys.get(key) as number) - 1
      if (left > 0) this.#keys.set(key, left)
      else this.#keys.delete(key)
    }
    waiter.settle(popped)
  }

  #arm(): void {
    if (this.#isLooking) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#waiters.size === 0) return
    const { env } = this.#grid
    this.#cancelTimer = env.at(env.now().monotonicMs + this.#pauseMs, () => {
      for (const key of this.#keys.keys()) this.#pushed.add(key)
      this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMs.max)
      this.#look()
    })
  }

  /** One look at a time: those who wait for several lists are served once. */
  #look(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#rounds()
      .finally(() => {
        this.#isLooking = false
        this.#arm()
      })
      .catch(() => undefined)
  }

  async #rounds(): Promise<void> {
    while (this.#pushed.size > 0) {
      const keys = [...this.#pushed].filter(key => this.#keys.has(key))
      this.#pushed.clear()
      const lengths = new Map<string, number>()
      // A list that cannot be asked now is asked again later.
      await Promise.all(keys.map(async key => lengths.set(key, await this.#length(key).catch(() => 0))))
      await Promise.all(this.#assigned(lengths).map(async ([key, side, waiters]) => this.#serve(key, side, waiters)))
    }
  }

  async #length(key: string): Promise<number> {
    return (await ask(this.#grid, { kind: 'keyspace.listLength', key })) as number
  }

  /** Each element to the one who waits longest, for the first of its lists that has one left. */
  #assigned(lengths: Map<string, number>): (readonly [key: string, side: Side, waiters: Waiter[]])[] {
    const shares = new Map<string, readonly [string, Side, Waiter[]]>()
    for (const waiter of this.#waiters) {
      const key = waiter.keys.find(each => (lengths.get(each) ?? 0) > 0)
      if (key === undefined) continue
      lengths.set(key, (lengths.get(key) as number) - 1)
      const name = `${waiter.side} ${key}`
      const share = shares.get(name) ?? ([key, waiter.side, []] as const)
      shares.set(name, share)
      share[2].push(waiter)
    }
    return [...shares.values()]
  }

  async #serve(key: string, side: Side, waiters: readonly Waiter[]): Promise<void> {
    let values: readonly Uint8Array[]
    try {
      const popped = await run(this.#grid, { kind: 'keyspace.pop', key, side, count: waiters.length })
      values = (popped ?? []) as readonly Uint8Array[]
    } catch {
      // Not a list any more, or nobody answers: they wait on, as with Redis.
      return
    }
    if (values.length > 0) this.#pauseMs = pauseMs.min
    const left = [...values]
    for (const waiter of waiters) {
      const value = waiter.isOver ? undefined : left.shift()
      if (value !== undefined) this.#end(waiter, { key, value })
    }
    // Popped for somebody who is gone.
    for (const value of left.reverse()) await this.#giveBack(key, side, value)
    if (values.length === waiters.length && this.#keys.has(key)) this.#pushed.add(key)
  }

  /** To where it was. What cannot be given back is lost with its client, as with Redis. */
  async #giveBack(key: string, side: Side, value: Uint8Array): Promise<void> {
    await run(this.#grid, { kind: 'keyspace.push', key, side, values: [value] }).catch(() => undefined)
    if (this.#keys.has(key)) this.#pushed.add(key)
  }
}
