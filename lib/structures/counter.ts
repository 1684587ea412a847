/** Counters: safe integers by name. One at 0 takes no room. Retries are told apart by replication, so `add` is exact. */
import type { Plain } from '../base/shape.ts'
import type { QueryResult, Refusal } from '../replication/state-machine.ts'
import type { CounterOperation, CounterQuery } from './lock-operations.ts'
import { found, refusal, type Partition, type Structure } from './structure.ts'

const space = 'counter'

export class CounterStructure implements Structure<CounterOperation, CounterQuery> {
  readonly #partition: Partition

  constructor(partition: Partition) {
    this.#partition = partition
  }

  /** Also for `add`, although additions commute: a read after a committed transaction must see it. */
  locks(subject: CounterOperation | CounterQuery): readonly string[] {
    return [`counter:${subject.counter}`]
  }

  grows(): boolean {
    return true
  }

  check(operation: CounterOperation): Refusal | undefined {
    const value = this.#get(operation.counter)
    if (operation.kind === 'counter.add') {
      if (Number.isSafeInteger(value + operation.by)) return undefined
      return refusal('INVALID', `${value} + ${operation.by} is not a safe integer`, value)
    }
    if (!Number.isSafeInteger(operation.value)) return refusal('INVALID', `${operation.value} is not a safe integer`)
    if (operation.ifValue === undefined || operation.ifValue === value) return undefined
    return refusal('CONFLICT', `the counter is ${value}, not ${operation.ifValue}`, value)
  }

  execute(operation: CounterOperation): Plain {
    const value = operation.kind === 'counter.add' ? this.#get(operation.counter) + operation.by : operation.value
    if (!Number.isSafeInteger(value)) return null
    if (value === 0) this.#partition.store.delete(space, operation.counter)
    else this.#partition.store.put(space, operation.counter, value)
    return value === 0 ? 0 : value
  }

  query({ counter }: CounterQuery): QueryResult {
    return found(this.#get(counter))
  }

  #get(counter: string): number {
    return (this.#partition.store.get(space, counter) as number | undefined) ?? 0
  }
}
