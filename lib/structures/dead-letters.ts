/**
 * Lists of dead letters: messages given up, with the reason. Bounded; what does not fit stays in its queue. Each list has
 * one part in every partition that had something die.
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext } from '../replication/state-machine.ts'
import { expiryOf, type Message } from './message.ts'
import type { DeadLetter } from './queue-operations.ts'
import { positionKey } from './sequences.ts'
import type { Partition } from './structure.ts'

export const deadMaxDefault = 10_000

/** In space `dead:${dead}` by position. */
export type Dead = readonly [
  id: string,
  queue: string,
  body: Uint8Array,
  headers: Plain,
  group: string | null,
  attempt: number,
  reason: string,
  diedAtMs: number,
]

export class DeadLetters {
  readonly #partition: Partition

  constructor(partition: Partition) {
    this.#partition = partition
  }

  count(dead: string): number {
    return this.#partition.store.count(spaceOf(dead))
  }

  get(dead: string, position: number): Dead | undefined {
    return this.#partition.store.get(spaceOf(dead), positionKey(position)) as Dead | undefined
  }

  put(dead: string, letter: Dead): number {
    const position = this.#partition.sequences.nextPosition()
    this.#partition.store.put(spaceOf(dead), positionKey(position), letter)
    return position
  }

  delete(dead: string, position: number): boolean {
    return this.#partition.store.delete(spaceOf(dead), positionKey(position))
  }

  page(dead: string, after: number | undefined, max: number): readonly [DeadLetter[], number | null] {
    const key = after === undefined ? undefined : positionKey(after)
    const page = this.#partition.store.page(spaceOf(dead), key, max) as readonly (readonly [string, Dead])[]
    const letters = page.map(([key, dead]) => letterOf(Number(key), dead))
    return [letters, letters.length < max ? null : (letters.at(-1)?.[0] ?? null)]
  }
}

export function deadOf(queue: string, message: Message, reason: string, { atMs }: ApplyContext): Dead {
  const [id, body, headers, group, , , , attempt] = message
  return [id, queue, body, headers, group, attempt, reason, atMs]
}

/** Why a message past its time is dead. */
export function expiryReason(message: Message): string {
  return `expired at ${expiryOf(message)}`
}

function letterOf(position: number, [id, queue, body, headers, group, attempt, reason, diedAtMs]: Dead): DeadLetter {
  return [position, id, queue, body, headers, group, attempt, reason, diedAtMs]
}

function spaceOf(dead: string): string {
  return `dead:${dead}`
}
