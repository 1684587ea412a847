/** A list of messages that died: to look at, send back to their queues, or drop. */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { DeadLetter } from '../structures/queue-operations.ts'
import type { Calls } from './calls.ts'
import type { OperationOptions } from './handles.ts'
import { formatToken, parseToken } from './message.ts'
import type { DeadLetterList, DeadMessage } from './queue-handles.ts'
import { values } from './values.ts'

const pageLength = 200
/** Of one command: more would hold up the partition's owner. */
const positionsMax = 1_000

export class StoredDeadLetters<T> implements DeadLetterList<T> {
  readonly name: string
  readonly #calls: Calls

  constructor(calls: Calls, name: string) {
    this.#calls = calls
    this.name = name
  }

  async count(options?: OperationOptions): Promise<number> {
    const counts = await this.#calls.askAll({ kind: 'dead.count', dead: this.name }, this.#calls.timed(options))
    return counts.reduce<number>((sum, count) => sum + (count as number), 0)
  }

  async *list(options?: OperationOptions): AsyncIterable<DeadMessage<T>> {
    const counts = await this.#calls.askAll({ kind: 'dead.count', dead: this.name }, this.#calls.timed(options))
    for (const [partition, count] of counts.entries()) {
      if (count === 0) continue
      let after: number | undefined
      do {
        const query = { kind: 'dead.list', dead: this.name, after, max: pageLength } as const
        const page = await this.#calls.ask(partition, query, this.#calls.timed(options))
        const [letters, next] = page as unknown as readonly [readonly DeadLetter[], number | null]
        for (const letter of letters) yield this.#message(partition, letter)
        after = next ?? undefined
      } while (after !== undefined)
    }
  }

  async replay(tokens: readonly string[], options?: OperationOptions): Promise<number> {
    return await this.#each('dead.replay', tokens, options)
  }

  async drop(tokens: readonly string[], options?: OperationOptions): Promise<number> {
    return await this.#each('dead.drop', tokens, options)
  }

  async #each(
    kind: 'dead.replay' | 'dead.drop',
    tokens: readonly string[],
    options: OperationOptions | undefined,
  ): Promise<number> {
    const timed = this.#calls.timed(options)
    let count = 0
    for (const [partition, positions] of byPartition(tokens)) {
      for (let at = 0; at < positions.length; at += positionsMax) {
        const some = positions.slice(at, at + positionsMax)
        const [done] = await this.#calls.run(partition, [{ kind, dead: this.name, positions: some }], timed)
        count += done as number
      }
    }
    return count
  }

  #message(partition: PartitionId, letter: DeadLetter): DeadMessage<T> {
    const [position, id, queue, bytes, headers, , attempt, reason, diedAtMs] = letter
    const body = values<T>().decode(bytes)
    return {
      token: formatToken(partition, position),
      id,
      queue,
      body,
      headers: headers as Plain,
      attempt,
      reason,
      diedAtMs,
    }
  }
}

function byPartition(tokens: readonly string[]): Map<PartitionId, number[]> {
  const parts = new Map<PartitionId, number[]>()
  for (const token of tokens) {
    const [partition, position] = parseToken(token)
    const positions = parts.get(partition)
    if (positions === undefined) parts.set(partition, [position])
    else positions.push(position)
  }
  return parts
}
