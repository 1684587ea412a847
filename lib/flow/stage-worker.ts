/**
 * Takes messages from the queue before a stage and works on them, so many units at once. Messages taken from one shard
 * are committed together. A message that fails goes back with the stage's back-off, or to the dead letters at its last
 * attempt or on a TerminalError; while its commit cannot be made (no quorum, the next stage full) it stays in hand under
 * a renewed lease, which is what pushes back.
 */
import { StaleTokenError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Message as Delivery } from '../grid/queue-handles.ts'
import type { StructureOperation } from '../structures/operations.ts'
import { givenUp } from './components/aggregator.ts'
import { deadOperation } from './components/dead-letter.ts'
import { pauseMs } from './components/retry.ts'
import type { Envelope } from './envelope.ts'
import { reasonOf, TerminalError } from './errors.ts'
import { sleep } from './pause.ts'
import type { PlanStage } from './plan.ts'
import { Room } from './room.ts'
import type { RunningFlow } from './running-flow.ts'
import type { StageQueue } from './stage-queue.ts'
import { UnitOfWork, type Fate } from './unit-of-work.ts'
import { walk } from './walk.ts'

/** Messages in hand for each unit of work that may run: those beyond wait, or are in a commit. */
const handsPerUnit = 8
/** Taken by one receive. */
const takeMax = 256
/** While a take finds nothing it waits this long before it asks again. */
const waitMs = 60_000
const refusedPauseMs = 200
/** A lease is renewed when this part of it is over. */
const renewPart = 3

interface Item {
  readonly delivery: Delivery<Envelope>
  readonly unit: UnitOfWork
}

export class StageWorker {
  readonly #flow: RunningFlow
  readonly #queue: StageQueue
  readonly #stage: PlanStage
  readonly #room: Room
  readonly #held = new Set<Delivery<Envelope>>()
  readonly #closing = new AbortController()
  #roomMade: (() => void) | undefined
  #run: Promise<void> = Promise.resolve()
  #isRenewing = false

  constructor(flow: RunningFlow, stage: number) {
    this.#flow = flow
    this.#queue = flow.queues[stage] as StageQueue
    this.#stage = this.#queue.stage
    this.#room = new Room(this.#stage.concurrency)
  }

  start(): void {
    this.#run = this.#loop()
  }

  get inHand(): number {
    return this.#held.size
  }

  async stop(): Promise<void> {
    this.#closing.abort()
    this.#roomMade?.()
    await this.#run
    while (this.#held.size > 0) await new Promise<void>(resolve => (this.#roomMade = resolve))
  }

  async #loop(): Promise<void> {
    const { signal } = this.#closing
    const max = this.#stage.concurrency * handsPerUnit
    while (!signal.aborted && !this.#flow.signal.aborted) {
      const free = max - this.#held.size
      if (free <= 0) {
        await new Promise<void>(resolve => (this.#roomMade = resolve))
        continue
      }
      try {
        const options = { max: Math.min(free, takeMax), wait: waitMs, signal, lease: this.#stage.leaseMs }
        this.#taken(await this.#queue.queue.receive(options))
      } catch (error) {
        if (signal.aborted) return
        this.#flow.warn('flow.take-failed', error, { stage: this.#stage.name })
        await sleep(this.#flow.env, refusedPauseMs, signal)
      }
    }
  }

  #taken(deliveries: readonly Delivery<Envelope>[]): void {
    const byPartition = new Map<PartitionId, Delivery<Envelope>[]>()
    for (const delivery of deliveries) {
      this.#held.add(delivery)
      const others = byPartition.get(delivery.partition)
      if (others === undefined) byPartition.set(delivery.partition, [delivery])
      else others.push(delivery)
    }
    this.#renew()
    for (const [partition, those] of byPartition) {
      void this.#work(partition, those)
        .catch((error: unknown) => this.#flow.warn('flow.work-failed', error, { stage: this.#stage.name }))
        .finally(() => this.#letGo(those))
    }
  }

  async #work(partition: PartitionId, deliveries: readonly Delivery<Envelope>[]): Promise<void> {
    const items = await Promise.all(deliveries.map(delivery => this.#walked(delivery)))
    const signal = this.#flow.signal
    const fates = await this.#flow.commit(
      items.map(({ unit }) => unit),
      partition,
      { signal },
    )
    await Promise.all(items.map((item, at) => this.#finish(item, fates[at] as Fate)))
  }

  /** The message's unit of work: what its steps want and its acknowledgement, or its way back. */
  async #walked(delivery: Delivery<Envelope>): Promise<Item> {
    const unit = new UnitOfWork()
    this.#settle(unit, delivery, { kind: 'queue.ack', queue: this.#queue.name, token: delivery.fence })
    try {
      const signal = AbortSignal.any([delivery.signal, this.#flow.signal])
      const way = { walker: this.#flow, unit, delivery, signal }
      await this.#room.run(() => walk(way, this.#stage.first, delivery.body))
      return { delivery, unit }
    } catch (error) {
      return { delivery, unit: this.#wayBack(delivery, error) }
    }
  }

  async #finish({ delivery }: Item, fate: Fate): Promise<void> {
    switch (fate.kind) {
      case 'committed':
      case 'superseded':
        return
      case 'duplicate': {
        const unit = new UnitOfWork()
        this.#settle(unit, delivery, { kind: 'queue.ack', queue: this.#queue.name, token: delivery.fence })
        await this.#flow.commit([unit], delivery.partition)
        return
      }
      case 'late': {
        const unit = new UnitOfWork()
        this.#settle(unit, delivery, { kind: 'queue.ack', queue: this.#queue.name, token: delivery.fence })
        const terms = { dead: this.#flow.plan.deadLetter, queue: this.#queue.name, reason: 'its group was over' }
        unit.place(deadOperation(givenUp(delivery.body), terms))
        this.#flow.counts.dead++
        await this.#flow.commit([unit], delivery.partition)
        return
      }
      case 'failed':
        // Nobody is left to commit for: its lease ends, and another peer takes it.
        if (this.#flow.signal.aborted || fate.error instanceof StaleTokenError) return
        await this.#flow.commit([this.#wayBack(delivery, fate.error)], delivery.partition)
    }
  }

  #wayBack(delivery: Delivery<Envelope>, error: unknown): UnitOfWork {
    const unit = new UnitOfWork()
    const reason = reasonOf(error)
    const { retry } = this.#stage
    const isDead = error instanceof TerminalError || delivery.attempt >= retry.attempts
    const delayMs = pauseMs(retry, delivery.attempt, this.#flow.env.random.float())
    const queue = this.#queue.name
    const token = delivery.fence
    if (isDead) {
      this.#flow.counts.dead++
      this.#flow.warn('flow.message-dead', error, { message: delivery.id, stage: this.#stage.name })
    } else this.#flow.counts.retried++
    this.#settle(
      unit,
      delivery,
      isDead
        ? { kind: 'queue.nack', queue, token, isDead, error: reason }
        : { kind: 'queue.nack', queue, token, delayMs, error: reason },
    )
    return unit
  }

  #settle(unit: UnitOfWork, delivery: Delivery<Envelope>, operation: StructureOperation): void {
    unit.place(operation, delivery.partition, `token/${delivery.token}`)
  }

  #letGo(deliveries: readonly Delivery<Envelope>[]): void {
    for (const delivery of deliveries) this.#held.delete(delivery)
    const roomMade = this.#roomMade
    this.#roomMade = undefined
    roomMade?.()
  }

  /** Renews what is in hand for long, as long as anything is. */
  #renew(): void {
    if (this.#isRenewing) return
    this.#isRenewing = true
    const everyMs = this.#stage.leaseMs / renewPart
    const { env } = this.#flow
    const again = (): void => {
      if (this.#held.size === 0 || this.#flow.signal.aborted) {
        this.#isRenewing = false
        return
      }
      for (const delivery of this.#held) void delivery.extend({ lease: this.#stage.leaseMs }).catch(() => undefined)
      env.at(env.now().monotonicMs + everyMs, again)
    }
    env.at(env.now().monotonicMs + everyMs, again)
  }
}
