/** Operations on dead letters: kept by hand, replayed to the queues they came from, dropped, listed. */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { deadMaxDefault, type Dead, type DeadLetters } from './dead-letters.ts'
import { messageOf } from './message.ts'
import type { DeadOperation, QueueQuery } from './queue-operations.ts'
import { policyOf } from './queue-policy.ts'
import type { QueueStructure } from './queue.ts'
import { found, pageRefusal, refusal, refused, type Partition, type Structure } from './structure.ts'

type Query = Extract<QueueQuery, { readonly dead: string }>

export class DeadStructure implements Structure<DeadOperation, Query> {
  readonly #partition: Partition
  readonly #dead: DeadLetters
  readonly #queues: QueueStructure

  constructor(partition: Partition, dead: DeadLetters, queues: QueueStructure) {
    this.#partition = partition
    this.#dead = dead
    this.#queues = queues
  }

  /** None: each letter is named by a position that is never used again, and what is gone is skipped. */
  locks(): readonly string[] {
    return []
  }

  grows(operation: DeadOperation): boolean {
    return operation.kind === 'dead.put'
  }

  check(operation: DeadOperation): Refusal | undefined {
    const { dead } = operation
    if (operation.kind === 'dead.put') {
      const { deadMax = deadMaxDefault } = operation
      if (this.#dead.count(dead) < deadMax) return undefined
      return refusal('FULL', `${dead} holds ${deadMax} dead letters here`, deadMax)
    }
    return operation.kind === 'dead.replay' ? this.#replayRefusal(dead, operation.positions) : undefined
  }

  execute(operation: DeadOperation, context: ApplyContext): Plain {
    const { dead } = operation
    if (operation.kind === 'dead.put') {
      const { queue, id, body, headers = null, group = null, attempt = 0, reason } = operation
      return this.#dead.put(dead, [id, queue, body, headers, group, attempt, reason, context.atMs])
    }
    let count = 0
    for (const position of operation.positions) {
      const letter = this.#dead.get(dead, position)
      if (letter === undefined) continue
      this.#dead.delete(dead, position)
      if (operation.kind === 'dead.replay') this.#replay(letter, context)
      count++
    }
    return count
  }

  query(query: Query): QueryResult {
    if (query.kind === 'dead.count') return found(this.#dead.count(query.dead))
    const wrong = pageRefusal(query.max)
    return wrong === undefined ? found(this.#dead.page(query.dead, query.after, query.max)) : refused(wrong)
  }

  #replay([id, queue, body, headers, group]: Dead, context: ApplyContext): void {
    this.#queues.arrive(
      queue,
      messageOf({ kind: 'queue.put', queue, id, body, headers, group: group ?? undefined }, context),
    )
  }

  #replayRefusal(dead: string, positions: readonly number[]): Refusal | undefined {
    const counts = new Map<string, number>()
    for (const position of positions) {
      const queue = this.#dead.get(dead, position)?.[1]
      if (queue !== undefined) counts.set(queue, (counts.get(queue) ?? 0) + 1)
    }
    for (const [queue, count] of counts) {
      const [capacity] = policyOf(this.#partition.store, queue)
      const full = this.#queues.roomRefusal(queue, count, capacity)
      if (full !== undefined) return full
    }
    return undefined
  }
}
