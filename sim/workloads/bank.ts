/**
 * Transactions: accounts spread over partitions, transfers between two of them, and reads of all at one moment (a
 * transaction that only checks that what was read still holds). The total never changes.
 */
import { partitionOf } from '../../lib/placement/hashing.ts'
import type { Version } from '../../lib/structures/cases.ts'
import type { MapGetResult } from '../../lib/structures/map-operations.ts'
import type { StructureOperation } from '../../lib/structures/operations.ts'
import { bankViolation, type BankRead } from '../checkers/bank.ts'
import { bytesOf, knownOf, textOf, type Known, type Part } from '../client.ts'
import { Order } from '../order.ts'
import { Clients, inTurn, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const map = 'accounts'
const deadlineMs = 3_000
const startBalance = 100

interface Account {
  readonly key: string
  readonly balance: number
  readonly version: Version
}

export function bankWorkload(context: WorkloadContext): Workload {
  return new BankWorkload(context)
}

class BankWorkload implements Workload {
  readonly name = 'transaction'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #order = new Order()
  readonly #keys: readonly string[]
  readonly #reads: BankRead[] = []
  #isOpen = false

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#keys = Array.from({ length: context.random.int(3, 6) }, (_, i) => `account${i}`)
    this.#clients = new Clients(context, 1_500, (_, node, next) => this.#act(node, next))
  }

  begin(): void {
    this.#clients.begin(6)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    this.#readAll(node, this.#keys, accounts => {
      if (accounts !== undefined)
        this.#reads.push({ calledAt: this.#order.next(), balances: accounts.map(one => one.balance) })
      done()
    })
  }

  check(): readonly Violation[] {
    const { lostPartitions } = this.#context
    if (this.#keys.some(key => lostPartitions.has(this.#partition(key)))) return []
    const message = bankViolation(this.#reads, startBalance * this.#keys.length)
    return message === undefined ? [] : [{ checker: 'bank', message }]
  }

  #act(node: number, next: () => void): void {
    if (!this.#isOpen) return this.#openAll(node, next)
    const { random } = this.#context
    if (random.chance(0.3)) return this.#readAtOnce(node, next)
    const [from, to] = random.shuffle(this.#keys) as [string, string]
    this.#readAll(node, [from, to], accounts => {
      if (accounts === undefined) return next()
      const amount = random.int(1, 20)
      this.#transact(
        node,
        accounts.map((account, at) => ({
          key: account.key,
          operation: this.#write(account, at === 0 ? -amount : amount),
        })),
        'bank.transfer',
        () => next(),
      )
    })
  }

  /** All accounts exist, or none: made by one transaction, by whoever comes first. */
  #openAll(node: number, next: () => void): void {
    const value = bytesOf(String(startBalance))
    const made = this.#keys.map(key => ({
      key,
      operation: { kind: 'map.put', map, key, value, ifAbsent: true } as const,
    }))
    this.#transact(node, made, 'bank.open', known => {
      if (known.kind === 'done' || (known.kind === 'failed' && known.code === 'CONFLICT')) this.#isOpen = true
      next()
    })
  }

  #readAtOnce(node: number, next: () => void): void {
    const calledAt = this.#order.next()
    this.#readAll(node, this.#keys, accounts => {
      if (accounts === undefined) return next()
      const checks = accounts.map(({ key, version }) => ({
        key,
        operation: { kind: 'map.check', map, key, version } as const,
      }))
      this.#transact(node, checks, 'bank.read', known => {
        if (known.kind === 'done') this.#reads.push({ calledAt, balances: accounts.map(one => one.balance) })
        next()
      })
    })
  }

  #write({ key, balance, version }: Account, by: number): StructureOperation {
    return { kind: 'map.put', map, key, value: bytesOf(String(balance + by)), ifVersion: version }
  }

  #readAll(node: number, keys: readonly string[], settle: (accounts: readonly Account[] | undefined) => void): void {
    const accounts: Account[] = []
    inTurn(
      keys,
      (key, next) => {
        const query = { kind: 'map.get', map, key } as const
        this.#context.client.ask(node, this.#partition(key), query, deadlineMs, outcome => {
          const found = outcome.kind === 'done' ? (outcome.results[0] as unknown as MapGetResult) : null
          if (found === null) return settle(undefined)
          accounts.push({ key, balance: Number(textOf(found[0])), version: found[1] })
          next()
        })
      },
      () => settle(accounts),
    )
  }

  #transact(
    node: number,
    wanted: readonly { readonly key: string; readonly operation: StructureOperation }[],
    what: string,
    settle: (known: Known) => void,
  ): void {
    const parts: Part[] = [...Map.groupBy(wanted, ({ key }) => this.#partition(key))].map(([partition, all]) => ({
      partition,
      operations: all.map(({ operation }) => operation),
    }))
    this.#context.client.transact(node, parts, deadlineMs, outcome => {
      this.#context.settled(what, outcome)
      settle(knownOf(outcome))
    })
  }

  #partition(key: string): number {
    return partitionOf(key, this.#context.client.partitionCount)
  }
}
