/** Counters: add one, read. Catches additions applied twice, lost, or read back in time. */
import { partitionOf } from '../../lib/placement/hashing.ts'
import { counterViolation, type CounterCall } from '../checkers/counter.ts'
import { knownOf, type Settled } from '../client.ts'
import { Order } from '../order.ts'
import { Clients, inTurn, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const deadlineMs = 2_000

type Seen = { -readonly [K in keyof CounterCall]: CounterCall[K] }

export function counterWorkload(context: WorkloadContext): Workload {
  return new CounterWorkload(context)
}

class CounterWorkload implements Workload {
  readonly name = 'counter'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #order = new Order()
  readonly #counters = new Map<string, Seen[]>()

  constructor(context: WorkloadContext) {
    this.#context = context
    for (let i = 0; i < context.random.int(2, 6); i++) this.#counters.set(`c${i}`, [])
    this.#clients = new Clients(context, 1_200, (_, node, next) => {
      const counter = context.random.pick([...this.#counters.keys()]) as string
      if (context.random.chance(0.6)) this.#add(node, counter, next)
      else this.#read(node, counter, next)
    })
  }

  begin(): void {
    this.#clients.begin(6)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    inTurn([...this.#counters.keys()], (counter, next) => this.#read(node, counter, next), done)
  }

  check(): readonly Violation[] {
    const violations: Violation[] = []
    for (const [counter, calls] of this.#counters) {
      if (this.#context.lostPartitions.has(this.#partition(counter))) continue
      const message = counterViolation(calls.filter(call => call.calledAt > 0))
      if (message !== undefined) violations.push({ checker: 'counter', message: `${counter}: ${message}` })
    }
    return violations
  }

  #add(node: number, counter: string, next: () => void): void {
    const call = this.#begin(counter, 'add')
    const operation = { kind: 'counter.add', counter, by: 1 } as const
    this.#context.client.call(node, this.#partition(counter), [operation], deadlineMs, outcome => {
      this.#end(call, outcome)
      next()
    })
  }

  #read(node: number, counter: string, next: () => void): void {
    const call = this.#begin(counter, 'read')
    this.#context.client.ask(node, this.#partition(counter), { kind: 'counter.get', counter }, deadlineMs, outcome => {
      this.#end(call, outcome)
      next()
    })
  }

  #begin(counter: string, kind: 'add' | 'read'): Seen {
    const call: Seen = { kind, calledAt: this.#order.next(), returnedAt: Infinity, value: undefined }
    this.#counters.get(counter)?.push(call)
    return call
  }

  #end(call: Seen, outcome: Settled): void {
    this.#context.settled(`counter.${call.kind}`, outcome)
    const known = knownOf(outcome)
    if (known.kind === 'done') {
      call.returnedAt = this.#order.next()
      call.value = Number(known.results[0])
    } else if (known.kind === 'failed' || call.kind === 'read') {
      call.calledAt = 0
    }
  }

  #partition(counter: string): number {
    return partitionOf(counter, this.#context.client.partitionCount)
  }
}
