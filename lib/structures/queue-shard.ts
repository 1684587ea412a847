/**
 * Which message of one queue's shard may be taken next: derived from its records. Those without a group stand on their
 * own; of a group only the first counts, and it stays the first until it is gone, so the rest wait while it is leased,
 * delayed or backing off. Ready ones leave by position, whatever way they became ready, so every copy takes the same.
 */
import type { Deadlines } from './deadlines.ts'
import { groupOf, notBeforeOf, tokenOf, type Message } from './message.ts'
import { PositionHeap } from './position-heap.ts'
import { isDue } from './structure.ts'

/** The messages of one group in order; `first` is the one that was last seen at the front. */
interface Line {
  readonly positions: PositionHeap
  first: number
}

export type State = 'ready' | 'delayed' | 'leased' | 'blocked'

/** What the shards of a partition share; positions are unique in all of them. */
export interface Shelf {
  readonly delays: Deadlines<number, QueueShard>
  message(queue: string, position: number): Message | undefined
  becameReady(queue: string): void
}

export class QueueShard {
  readonly queue: string
  readonly #shelf: Shelf
  readonly #ready = new PositionHeap()
  readonly #lines = new Map<string, Line>()
  #delayedCount = 0
  #leasedCount = 0

  constructor(queue: string, shelf: Shelf) {
    this.queue = queue
    this.#shelf = shelf
  }

  get readyCount(): number {
    return this.#ready.size
  }

  get delayedCount(): number {
    return this.#delayedCount
  }

  get leasedCount(): number {
    return this.#leasedCount
  }

  stateOf(position: number, message: Message): State {
    if (tokenOf(message) !== 0) return 'leased'
    if (this.#ready.has(position)) return 'ready'
    return this.#shelf.delays.has(position) ? 'delayed' : 'blocked'
  }

  /** A message came, by put, replay or restore; its record is in the store. */
  arrive(position: number, message: Message): void {
    if (tokenOf(message) !== 0) this.#leasedCount++
    const group = groupOf(message)
    if (group === null) return this.#place(position, message)
    let line = this.#lines.get(group)
    if (line === undefined) this.#lines.set(group, (line = { positions: new PositionHeap(), first: position }))
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

  /** The first that may be taken; delays that ended must have been woken. */
  first(atMs: number): number | undefined {
    for (;;) {
      const position = this.#ready.first()
      if (position === undefined) return undefined
      const message = this.#shelf.message(this.queue, position)
      if (message !== undefined && !isWaiting(message, atMs)) return position
      this.#unplace(position)
      this.#place(position, message)
    }
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

  /** Its delay ended and was taken off the shelf. */
  wake(position: number): void {
    this.#delayedCount--
    this.#show(position)
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
    if (notBeforeOf(message) === 0) this.#show(position)
    else {
      this.#delayedCount++
      this.#shelf.delays.set(position, notBeforeOf(message), this)
    }
  }

  #unplace(position: number): void {
    this.#ready.delete(position)
    if (this.#shelf.delays.delete(position)) this.#delayedCount--
  }

  #show(position: number): void {
    if (this.#ready.add(position)) this.#shelf.becameReady(this.queue)
  }
}

function isWaiting(message: Message, atMs: number): boolean {
  return notBeforeOf(message) !== 0 && !isDue(notBeforeOf(message), atMs)
}
