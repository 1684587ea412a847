/** The queue 'orders' on a tape, with small limits. */
import type { Plain } from '../../../lib/base/shape.ts'
import type { QueueOperation, QueueOptions, Taken } from '../../../lib/structures/queue-operations.ts'
import { bytesOf, Tape, type Ran } from './tape.ts'

export const options: QueueOptions = { capacity: 5, maxAttempts: 3, backoffMinMs: 100, backoffMaxMs: 1_000, deadMax: 2 }
export function put(id: string, more: object = {}): Extract<QueueOperation, { readonly kind: 'queue.put' }> {
  return { kind: 'queue.put', queue: 'orders', id, body: bytesOf(id), options, ...more }
}

export class Orders extends Tape {
  take(max = 10, more: object = {}): readonly Taken[] {
    return this.run({ kind: 'queue.take', queue: 'orders', max, ...more }) as unknown as readonly Taken[]
  }
  one(more: object = {}): Taken {
    const [taken] = this.take(1, more)
    if (taken === undefined) throw new Error('nothing is ready')
    return taken
  }
  ids(max = 10): readonly string[] {
    return this.take(max).map(([id]) => id)
  }
  ack(token: number): Ran {
    return this.attempt({ kind: 'queue.ack', queue: 'orders', token } as never)
  }
  nack(token: number, more: object = {}): Plain {
    return this.run({ kind: 'queue.nack', queue: 'orders', token, ...more })
  }
  stats(): Plain {
    return this.ask({ kind: 'queue.stats', queue: 'orders' })
  }
  dead(): readonly Plain[] {
    const [letters] = this.ask({ kind: 'dead.list', dead: 'orders.dead', max: 10 }) as readonly [readonly Plain[]]
    return letters
  }
}
