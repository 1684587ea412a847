/**
 * A worker on a queue: takes as many messages as it has room for, works on them at once, acknowledges what succeeded and
 * hands back what failed. Leases are renewed while the work runs. Stopping takes no more and waits for what is in hand.
 */
import type { Calls } from './calls.ts'
import type { Delivery } from './message.ts'
import type { ConsumeOptions, Message, NackOptions, ReceiveOptions, Worker } from './queue-handles.ts'

/** All workers of a member: leaving stops them. */
export type Consumers = Set<Worker>

interface ConsumedQueue<T> {
  readonly name: string
  receiveDeliveries(options: ReceiveOptions, isRenewed: boolean): Promise<readonly Delivery<T>[]>
}

const waitMs = 60_000
/** After the grid refused to be taken from, before it is asked again. */
const refusedPauseMs = 200
const errorLengthMax = 1_000
/** Taken at once by a worker with much room. */
const takeMax = 256

export class QueueConsumer<T> implements Worker {
  readonly #queue: ConsumedQueue<T>
  readonly #calls: Calls
  readonly #consumers: Consumers
  readonly #work: (body: T, message: Message<T>) => unknown
  readonly #options: ConsumeOptions
  readonly #stopping = new AbortController()
  readonly #stopped: Promise<void>
  #inHand = 0
  #roomMade: (() => void) | undefined

  constructor(
    queue: ConsumedQueue<T>,
    parts: { readonly calls: Calls; readonly consumers: Consumers },
    work: (body: T, message: Message<T>) => unknown,
    options: ConsumeOptions,
  ) {
    this.#queue = queue
    this.#calls = parts.calls
    this.#consumers = parts.consumers
    this.#work = work
    this.#options = options
    this.#consumers.add(this)
    this.#stopped = this.#run()
  }

  get inHand(): number {
    return this.#inHand
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#roomMade?.()
    await this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted || !this.#calls.isOpen
  }

  async #run(): Promise<void> {
    const { concurrency = 1 } = this.#options
    while (!this.#isStopping) {
      const room = concurrency - this.#inHand
      // What ends in one turn makes room together, so that one take fills it.
      if (room <= 0) await this.#untilRoom().then(() => this.#calls.turn())
      else for (const message of await this.#receive(Math.min(room, takeMax))) void this.#one(message)
    }
    while (this.#inHand > 0) await this.#untilRoom()
    this.#consumers.delete(this)
  }

  async #receive(max: number): Promise<readonly Delivery<T>[]> {
    const { lease } = this.#options
    const { signal } = this.#stopping
    try {
      return await this.#queue.receiveDeliveries({ max, wait: waitMs, lease, signal }, true)
    } catch (error) {
      if (!this.#isStopping) {
        this.#emit('debug', 'grid.receive-failed', error)
        await this.#calls.sleep(refusedPauseMs, signal)
      }
      return []
    }
  }

  async #one(message: Delivery<T>): Promise<void> {
    this.#inHand++
    try {
      await this.#work(message.body, message)
      await message.ack()
    } catch (error) {
      await this.#handBack(message, error)
    } finally {
      message.lease.end()
      this.#inHand--
      this.#roomMade?.()
    }
  }

  /** Whether the work or its acknowledgement failed: an acknowledged delivery is stale by now and stays so. */
  async #handBack(message: Delivery<T>, error: unknown): Promise<void> {
    if (message.lease.isEnded) return
    const text = error instanceof Error ? error.message : String(error)
    const options: NackOptions = { error: text.slice(0, errorLengthMax) }
    await message.nack(options).catch((failure: unknown) => this.#emit('debug', 'grid.nack-failed', failure))
    this.#emit('warn', 'grid.work-failed', error, { id: message.id, attempt: message.attempt })
  }

  #untilRoom(): Promise<void> {
    return new Promise(resolve => {
      this.#roomMade = () => {
        this.#roomMade = undefined
        resolve()
      }
    })
  }

  #emit(
    level: 'debug' | 'warn',
    event: string,
    error: unknown,
    fields: Readonly<Record<string, string | number>> = {},
  ): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.#calls.env.emit({ kind: 'emit', level, event, fields: { queue: this.#queue.name, reason, ...fields } })
  }
}
