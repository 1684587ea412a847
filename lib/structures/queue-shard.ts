/**
 * Which message of one queue's shard may be taken next: derived from its records. Those without a group stand on their
 * own; of a group only the first counts, and it stays the first until it is gone, so the rest wait while it is leased,
 * delayed or backing off. First leave those whose delay is over, by when that was and by position; then the others, by position.
 *
 * Decision: what was delayed stays among the delayed until it is taken, instead of joining the others when its time comes,
 * because a million of one hour would all have to join at that moment; so every copy takes the same at any time of asking.
 */
import { Deadlines } from './deadlines.ts'
import { groupOf, notBeforeOf, tokenOf, type Message } from './message.ts'
import { Positions } from './positions.ts'
import { isDue } from './structure.ts'

/** The messages of one group in order; `first` is the one that was last seen at the front. */
interface Line {
  readonly positions: Positions
  first: number
}

export type State = 'ready' | 'delayed' | 'leased' | 'blocked'

/** Of those whose delay is over at most so many are counted; a look must not walk all. */
const countMax = 10_000

/** What the shards of a partition share. */
export interface Shelf {
  message(queue: string, position: number): Message | undefined
  becameReady(queue: string): void
  /** The first delay ends at another time than before. */
  delayed(shard: QueueShard): void
}

export class QueueShard {
  readonly queue: string
  /** Of the delayed one that the owner was last told of: its delay is over. Volatile. */
  said: number | undefined
  readonly #shelf: Shelf
  // Ready from the start; those with a delay, over or not, are in #delays.
  readonly #ready = new Positions()
  readonly #delays = new Deadlines<number, null>()
  readonly #lines = new Map<string, Line>()
  #leasedCount = 0

  constructor(queue: string, shelf: Shelf) {
    this.queue = queue
    this.#shelf = shelf
  }

  /** Exact up to 10,000 that were delayed. */
  readyCount(atMs: number): number {
    return this.#ready.size + this.#delays.countDue(atMs, countMax)
  }

  delayedCount(atMs: number): number {
    return this.#delays.size - this.#delays.countDue(atMs, countMax)
  }

  /** When the first delay ends; undefined if none is there. */
  get nextMs(): number | undefined {
    return this.#delays.nextMs()
  }

  /** Whose that is. */
  get next(): number | undefined {
    return this.#delays.nextKey()
  }

  get leasedCount(): number {
    return this.#leasedCount
  }

  stateOf(position: number, message: Message, atMs: number): State {
    if (tokenOf(message) !== 0) return 'leased'
    if (this.#ready.has(position)) return 'ready'
    if (!this.#delays.has(position)) return 'blocked'
    return isDue(notBeforeOf(message), atMs) ? 'ready' : 'delayed'
  }

  /** A message came, by put, replay or restore; its record is in the store. */
  arrive(position: number, message: Message): void {
    if (tokenOf(message) !== 0) this.#leasedCount++
    const group = groupOf(message)
    if (group === null) return this.#place(position, message)
    let line = this.#lines.get(group)
    if (line === undefined) this.#lines.set(group, (line = { positions: new Positions(), first: position }))
    line.positions.add(position)
    this.#settle(line, position, message)
  }

  /** It went for good; `message` is its last record, no longer in the store. */
  leave(position: number, message: Message): void {
    if (tokenOf(message) !== 0) this.#leasedCount--
    this.#unplace(position)
    const group = groupOf(message)
    const line = group === null ? undefined : this.#lines.get(group)
    if (group === null || line === undefined) return
    line.positions.delete(position)
    const first = line.positions.first()
    if (first === undefined) this.#lines.delete(group)
    else if (first !== line.first) {
      line.first = first
      this.#place(first, this.#shelf.message(this.queue, first))
    }
  }

  /** The first that may be taken. */
  first(atMs: number): number | undefined {
    const dueMs = this.#delays.nextMs()
    return dueMs !== undefined && isDue(dueMs, atMs) ? this.#delays.nextKey() : this.#ready.first()
  }

  /** Its record says leased now. */
  lease(position: number): void {
    this.#leasedCount++
    this.#unplace(position)
  }

  /** Its record is back to not leased. */
  return(position: number, message: Message): void {
    this.#leasedCount--
    this.#place(position, message)
  }

  #settle(line: Line, position: number, message: Message): void {
    const first = line.positions.first() as number
    if (first !== position) return
    if (line.first !== first) this.#unplace(line.first)
    line.first = first
    this.#place(position, message)
  }

  #place(position: number, message: Message | undefined): void {
    if (message === undefined || tokenOf(message) !== 0) return
    if (notBeforeOf(message) !== 0) {
      // Equal ones by position: a copy from a snapshot has heard of them in another order.
      this.#delays.set(position, notBeforeOf(message), null, position)
      this.#shelf.delayed(this)
    } else if (this.#ready.add(position)) this.#shelf.becameReady(this.queue)
  }

  #unplace(position: number): void {
    this.#ready.delete(position)
    if (this.#delays.delete(position)) this.#shelf.delayed(this)
  }
}
