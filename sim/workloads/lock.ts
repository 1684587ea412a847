/** Locks: acquire with a lease or for the session, verify, extend, release or forget. At most one holder, tokens grow. */
import { partitionOf } from '../../lib/placement/hashing.ts'
import type { Grant as GrantResult, LockOperation } from '../../lib/structures/lock-operations.ts'
import { fencingViolation, type Grant } from '../checkers/fencing.ts'
import { knownOf, type Known } from '../client.ts'
import { Order } from '../order.ts'
import { Clients, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const deadlineMs = 2_000

interface Held extends Grant {
  readonly lock: string
  readonly acceptedAt: number[]
}

export function lockWorkload(context: WorkloadContext): Workload {
  return new LockWorkload(context)
}

class LockWorkload implements Workload {
  readonly name = 'lock'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #order = new Order()
  readonly #grants = new Map<string, Held[]>()
  readonly #held = new Map<number, Held>()

  constructor(context: WorkloadContext) {
    this.#context = context
    for (let i = 0; i < context.random.int(1, 2); i++) this.#grants.set(`l${i}`, [])
    this.#clients = new Clients(context, 600, (client, node, next) => this.#act(client, node, next))
  }

  begin(): void {
    this.#clients.begin(6)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(_node: number, done: () => void): void {
    done()
  }

  check(): readonly Violation[] {
    const violations: Violation[] = []
    for (const [lock, grants] of this.#grants) {
      if (this.#context.lostPartitions.has(this.#partition(lock))) continue
      const message = fencingViolation(grants)
      if (message !== undefined) violations.push({ checker: 'fencing', message: `lock ${lock}: ${message}` })
    }
    return violations
  }

  #act(client: number, node: number, next: () => void): void {
    const held = this.#held.get(client)
    if (held === undefined) return this.#acquire(client, node, next)
    const { random } = this.#context
    const { lock, token } = held
    const draw = random.float()
    if (draw < 0.1) {
      // Forgotten: the lease, or the end of the session, frees it.
      this.#held.delete(client)
      return next()
    }
    if (draw < 0.6) return this.#use(client, node, held, { kind: 'lock.verify', lock, token }, next)
    if (draw < 0.7) return this.#use(client, node, held, { kind: 'lock.extend', lock, token }, next)
    this.#use(client, node, held, { kind: 'lock.release', lock, token }, () => {
      this.#held.delete(client)
      next()
    })
  }

  #acquire(client: number, node: number, next: () => void): void {
    const { random } = this.#context
    const lock = random.pick([...this.#grants.keys()]) as string
    const isTimed = random.chance(0.7)
    const calledAt = this.#order.next()
    const operation: LockOperation = {
      kind: 'lock.acquire',
      lock,
      holder: isTimed && random.chance(0.5) ? 'time' : 'session',
      ...(isTimed && { leaseMs: random.int(200, 1_500) }),
    }
    this.#call(node, lock, operation, known => {
      if (known.kind === 'done') {
        const [token] = known.results[0] as unknown as GrantResult
        const held: Held = { lock, token, calledAt, returnedAt: this.#order.next(), acceptedAt: [] }
        this.#grants.get(lock)?.push(held)
        this.#held.set(client, held)
      }
      next()
    })
  }

  #use(client: number, node: number, held: Held, operation: LockOperation, next: () => void): void {
    const calledAt = this.#order.next()
    this.#call(node, held.lock, operation, known => {
      if (known.kind === 'done') held.acceptedAt.push(calledAt)
      else if (known.kind === 'failed' && known.code === 'STALE_TOKEN') this.#held.delete(client)
      next()
    })
  }

  #call(node: number, lock: string, operation: LockOperation, settle: (known: Known) => void): void {
    this.#context.client.call(node, this.#partition(lock), [operation], deadlineMs, outcome => {
      this.#context.settled(operation.kind, outcome)
      settle(knownOf(outcome))
    })
  }

  #partition(lock: string): number {
    return partitionOf(lock, this.#context.client.partitionCount)
  }
}
