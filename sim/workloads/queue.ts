/** Queues: put with and without groups, take under a lease, acknowledge, give back, or forget. Nothing lost, nothing committed twice. */
import { partitionOf } from '../../lib/placement/hashing.ts'
import type { DeadLetter, Listed, QueueOperation, Taken } from '../../lib/structures/queue-operations.ts'
import { fencingViolation } from '../checkers/fencing.ts'
import { queueViolations, type Delivery, type Put } from '../checkers/total-queue.ts'
import { bytesOf, knownOf, type Known } from '../client.ts'
import { Order } from '../order.ts'
import { Clients, inTurn, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const queue = 'orders'
const deadlineMs = 2_000
const options = { maxAttempts: 1_000_000, backoffMinMs: 50, backoffMaxMs: 500 }
const listMax = 1_000

type Seen = { -readonly [K in keyof Delivery]: Delivery[K] }
type SeenPut = { -readonly [K in keyof Put]: Put[K] }

interface Shard {
  readonly partition: number
  readonly puts: SeenPut[]
  readonly deliveries: Seen[]
  readonly left: string[]
}

export function queueWorkload(context: WorkloadContext): Workload {
  return new QueueWorkload(context)
}

class QueueWorkload implements Workload {
  readonly name = 'queue'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #order = new Order()
  readonly #shards: readonly Shard[]
  #messageCount = 0

  constructor(context: WorkloadContext) {
    this.#context = context
    const partitions = new Set(
      Array.from({ length: context.random.int(1, 3) }, (_, i) =>
        partitionOf(`shard${i}`, context.client.partitionCount),
      ),
    )
    this.#shards = [...partitions].map(partition => ({ partition, puts: [], deliveries: [], left: [] }))
    this.#clients = new Clients(context, 700, (_, node, next) => {
      const shard = context.random.pick(this.#shards) as Shard
      if (context.random.chance(0.5)) this.#put(node, shard, next)
      else this.#take(node, shard, next)
    })
  }

  begin(): void {
    this.#clients.begin(8)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    inTurn(this.#shards, (shard, next) => this.#list(node, shard, 0, () => this.#listDead(node, shard, next)), done)
  }

  check(isGathered: boolean): readonly Violation[] {
    const violations: Violation[] = []
    for (const shard of this.#shards) {
      if (this.#context.lostPartitions.has(shard.partition)) continue
      const puts = shard.puts
        .filter(put => put.calledAt > 0)
        .map(put => (isGathered ? put : { ...put, returnedAt: Infinity }))
      const history = { ...shard, puts }
      for (const message of queueViolations(history)) violations.push({ checker: 'total-queue', message })
      for (const [id, deliveries] of Map.groupBy(shard.deliveries, delivery => delivery.id)) {
        const message = fencingViolation(
          deliveries.map(delivery => ({
            ...delivery,
            acceptedAt: delivery.ackReturnedAt === Infinity ? [] : [delivery.ackCalledAt ?? -1],
          })),
        )
        if (message !== undefined) violations.push({ checker: 'fencing', message: `message ${id}: ${message}` })
      }
    }
    return violations
  }

  #put(node: number, shard: Shard, next: () => void): void {
    const { random } = this.#context
    const id = `m${++this.#messageCount}`
    const group = random.chance(0.5) ? `g${random.int(0, 3)}` : undefined
    const put: SeenPut = { id, group, calledAt: this.#order.next(), returnedAt: Infinity }
    shard.puts.push(put)
    const delayMs = group === undefined && random.chance(0.2) ? random.int(1, 2_000) : undefined
    // What nobody takes in time is among the dead letters in the end; a group goes on after it, so those have none.
    const expiresMs = group === undefined && random.chance(0.2) ? random.int(500, 10_000) : undefined
    const body = bytesOf(id)
    this.#call(node, shard, { kind: 'queue.put', queue, id, body, group, delayMs, expiresMs, options }, known => {
      if (known.kind === 'done') put.returnedAt = this.#order.next()
      else if (known.kind === 'failed') put.calledAt = 0
      next()
    })
  }

  #take(node: number, shard: Shard, next: () => void): void {
    const { random } = this.#context
    const isTimed = random.chance(0.7)
    const operation: QueueOperation = {
      kind: 'queue.take',
      queue,
      max: random.int(1, 4),
      holder: isTimed && random.chance(0.5) ? 'time' : 'session',
      options,
      ...(isTimed && { leaseMs: random.int(300, 3_000) }),
    }
    const calledAt = this.#order.next()
    this.#call(node, shard, operation, known => {
      if (known.kind !== 'done') return next()
      const returnedAt = this.#order.next()
      const taken = (known.results[0] ?? []) as unknown as readonly Taken[]
      const deliveries = taken.map(([id, token, attempt]) => {
        if (attempt > 1) this.#context.leaseTaken()
        const delivery: Seen = { id, token, calledAt, returnedAt, ackCalledAt: undefined, ackReturnedAt: undefined }
        shard.deliveries.push(delivery)
        return delivery
      })
      inTurn(deliveries, (delivery, nextOne) => this.#work(node, shard, delivery, nextOne), next)
    })
  }

  /** Takes its time, then acknowledges, gives back, or forgets. */
  #work(node: number, shard: Shard, delivery: Seen, next: () => void): void {
    const { world, client, random } = this.#context
    // Now and then longer than most leases.
    world.after(random.float() * (random.chance(0.1) ? 4_000 : 200), () => {
      // An acknowledgement after the shard was listed would look like one that was lost.
      if (!client.isRunning(node) || this.#clients.isResting) return next()
      const draw = random.float()
      const { token } = delivery
      if (draw < 0.08) return next()
      if (draw < 0.2) return this.#call(node, shard, { kind: 'queue.nack', queue, token, error: 'no' }, next)
      delivery.ackCalledAt = this.#order.next()
      delivery.ackReturnedAt = Infinity
      this.#call(node, shard, { kind: 'queue.ack', queue, token }, known => {
        if (known.kind === 'done') delivery.ackReturnedAt = this.#order.next()
        else if (known.kind === 'failed') delivery.ackCalledAt = delivery.ackReturnedAt = undefined
        next()
      })
    })
  }

  #list(node: number, shard: Shard, after: number, next: () => void): void {
    const query = { kind: 'queue.list', queue, after, max: listMax } as const
    this.#context.client.ask(node, shard.partition, query, deadlineMs, outcome => {
      if (outcome.kind !== 'done') return next()
      const [listed, more] = outcome.results[0] as unknown as readonly [readonly Listed[], number | null]
      for (const [, id] of listed) shard.left.push(id)
      if (more === null) next()
      else this.#list(node, shard, more, next)
    })
  }

  #listDead(node: number, shard: Shard, next: () => void): void {
    const query = { kind: 'dead.list', dead: `${queue}.dead`, max: listMax } as const
    this.#context.client.ask(node, shard.partition, query, deadlineMs, outcome => {
      if (outcome.kind !== 'done') return next()
      const [letters] = outcome.results[0] as unknown as readonly [readonly DeadLetter[]]
      // What expires between the two lists stands in both.
      for (const letter of letters)
        if (!(isExpired(letter) && shard.left.includes(letter[1]))) shard.left.push(letter[1])
      next()
    })
  }

  #call(node: number, shard: Shard, operation: QueueOperation, settle: (known: Known) => void): void {
    this.#context.client.call(node, shard.partition, [operation], deadlineMs, outcome => {
      this.#context.settled(operation.kind, outcome)
      settle(knownOf(outcome))
    })
  }
}

function isExpired([, , , , , , , reason]: DeadLetter): boolean {
  return reason.startsWith('expired')
}
