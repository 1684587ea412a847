/**
 * The client port of the workloads. While the run gathers what is there in the end, a read that is not answered is asked
 * again, and one that never is makes the whole gathering void instead of looking like lost things.
 */
import type { StructureOperation, StructureQuery } from '../lib/structures/operations.ts'
import type { Client, Part, Settled } from './client.ts'
import type { World } from './world.ts'

const attemptsMax = 10
const pauseMs = 200

export class Gathering implements Client {
  readonly #world: World
  readonly #client: Client
  #isGathering = false
  hasFailed = false

  constructor(world: World, client: Client) {
    this.#world = world
    this.#client = client
  }

  get nodeCount(): number {
    return this.#client.nodeCount
  }

  get partitionCount(): number {
    return this.#client.partitionCount
  }

  begin(): void {
    this.#isGathering = true
  }

  isRunning(node: number): boolean {
    return this.#client.isRunning(node)
  }

  call(
    node: number,
    partition: number,
    operations: readonly StructureOperation[],
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    this.#client.call(node, partition, operations, deadlineMs, settle)
  }

  ask(
    node: number,
    partition: number,
    query: StructureQuery,
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void {
    const attempt = (count: number): void => {
      this.#client.ask(node, partition, query, deadlineMs, outcome => {
        if (outcome.kind === 'done' || !this.#isGathering) return settle(outcome)
        if (count < attemptsMax) this.#world.after(pauseMs, () => attempt(count + 1))
        else {
          this.hasFailed = true
          settle(outcome)
        }
      })
    }
    attempt(1)
  }

  transact(node: number, parts: readonly Part[], deadlineMs: number, settle: (outcome: Settled) => void): void {
    this.#client.transact(node, parts, deadlineMs, settle)
  }
}
