/**
 * A timer as a source: `timer('5s')`. Fire times are those that the interval divides, counted from the Unix epoch, the same
 * on every member; one member fires them, and a fire time is the message's id and stands in the commit that takes it in,
 * so that a failover neither skips nor doubles one. Fire times that passed while nobody could fire come as one message
 * that says how many they were, or each for itself.
 */
import { InvalidError } from '../base/errors.ts'
import type { Arrival, Source, SourceHost } from '../flow/ports.ts'
import { sleep } from '../flow/pause.ts'
import { durationMs, type Duration } from '../grid/duration.ts'
import { values } from '../grid/values.ts'
import type { Version } from '../structures/cases.ts'
import { openOnOneMember, type Held } from './one-member.ts'

export interface Tick {
  /** Wall clock, ms: when it was due. */
  readonly dueAt: number
  /** Fire times before this one that nobody could fire, with `missed: 'once'`. */
  readonly missed: number
}

export interface TimerOptions {
  /** 'once': together, with the newest (default). 'each': one message for each, at most 1,000. */
  readonly missed?: 'once' | 'each' | undefined
}

const missedMax = 1_000
const everyMsMin = 10
/** Looks at the clock at least this often, since it may be set. */
const lookMsMax = 1_000
const codec = values<number>()

export function timer(every: Duration, options: TimerOptions = {}): Source<Tick> {
  const everyMs = durationMs(every, 'timer')
  const { missed = 'once' } = options
  if (everyMs < everyMsMin) throw new InvalidError(`timer: at most once in ${everyMsMin} ms`)
  return {
    edge: 'source',
    kind: 'timer',
    settings: { everyMs, missed },
    open: host =>
      openOnOneMember(host, `every ${everyMs} ms`, name => {
        const clock = new Clock(host, name, everyMs, missed)
        return held => clock.run(held)
      }),
  }
}

class Clock {
  readonly #host: SourceHost
  readonly #name: string
  readonly #everyMs: number
  readonly #missed: 'once' | 'each'

  constructor(host: SourceHost, name: string, everyMs: number, missed: 'once' | 'each') {
    this.#host = host
    this.#name = name
    this.#everyMs = everyMs
    this.#missed = missed
  }

  async run(held: Held): Promise<void> {
    let last = await this.#last()
    const beganMs = this.#before(this.#host.env.now().wallMs)
    while (!held.signal.aborted) {
      const nowMs = this.#host.env.now().wallMs
      const dueMs = (last?.dueMs ?? beganMs) + this.#everyMs
      if (nowMs >= dueMs && !this.#host.isPaused) last = await this.#fire(held, last, this.#before(nowMs))
      else await sleep(this.#host.env, Math.min(Math.max(dueMs - nowMs, 1), lookMsMax), held.signal)
    }
  }

  /** The newest fire time not after. */
  #before(ms: number): number {
    return Math.floor(ms / this.#everyMs) * this.#everyMs
  }

  async #fire(held: Held, last: Last | undefined, newestMs: number): Promise<Last> {
    const { grid } = this.#host
    const partition = grid.partitions.of(this.#name)
    const condition = last === undefined ? { ifAbsent: true } : { ifVersion: last.version }
    const advance = {
      partition,
      operations: [
        { kind: 'lock.verify', lock: this.#name, token: held.fence },
        { kind: 'map.put', map: 'sources', key: this.#name, value: codec.encode(newestMs), ...condition },
      ] as const,
    }
    await this.#host.acceptAll(this.#arrivals(last?.dueMs ?? newestMs - this.#everyMs, newestMs), advance)
    const found = await this.#last()
    if (found === undefined) throw new Error('what was just committed is not there')
    return found
  }

  #arrivals(lastMs: number, newestMs: number): readonly Arrival[] {
    const count = Math.round((newestMs - lastMs) / this.#everyMs)
    if (this.#missed === 'once') return [this.#arrival(newestMs, count - 1)]
    const fired = Math.min(count, missedMax)
    return Array.from({ length: fired }, (_, at) =>
      this.#arrival(newestMs - (fired - 1 - at) * this.#everyMs, at === 0 ? count - fired : 0),
    )
  }

  #arrival(dueAt: number, missed: number): Arrival {
    const tick: Tick = { dueAt, missed }
    return { id: `${this.#host.flow}/${this.#host.source}/${dueAt}`, params: {}, body: tick }
  }

  async #last(): Promise<Last | undefined> {
    const { partitions } = this.#host.grid
    const query = { kind: 'map.get', map: 'sources', key: this.#name } as const
    const found = await partitions.ask(partitions.of(this.#name), query)
    if (found === null) return undefined
    const [value, version] = found as unknown as readonly [Uint8Array, Version]
    return { dueMs: codec.decode(value), version }
  }
}

interface Last {
  readonly dueMs: number
  readonly version: Version
}
