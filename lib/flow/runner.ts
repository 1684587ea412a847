/**
 * Runs flows on one peer of a grid: `const runner = await runFlows(grid, [deliveries], { http: { listen: '127.0.0.1:8080' } })`.
 * Starts in the order targets, stages, sources, and ends in the opposite one, so that nothing comes in that cannot go on.
 */
import { InvalidError } from '../base/errors.ts'
import { InvalidMessageError } from './errors.ts'
import type { Grid } from '../grid/handles.ts'
import type { AnyMessage } from './message.ts'
import type { Flow } from './builder.ts'
import { announce, deploy, presenceTtlMs, withdraw } from './deployment.ts'
import { Entrance } from './entrance.ts'
import { sleep } from './pause.ts'
import type { Plan } from './plan.ts'
import type { ConnectorHost, OpenSource, SourceHost } from './ports.ts'
import { RunningFlow } from './running-flow.ts'
import { validate } from './schema.ts'
import { flowStatus, type FlowStatus } from './status.ts'

export interface RunnerOptions {
  /** By kind of connector, e.g. `{ http: { listen: '127.0.0.1:8080' } }`. */
  readonly connectors?: Readonly<Record<string, unknown>> | undefined
  /** Deploys even if messages or groups of another version are left behind. Default false. */
  readonly isForced?: boolean | undefined
}

export interface DrainOptions {
  /** Goes on until nothing waits in the queues of these flows anywhere. Default false: only what this peer has in hand. */
  readonly isEmptying?: boolean | undefined
  /** Default 30,000. */
  readonly deadlineMs?: number | undefined
  /** Told as it goes: messages that still wait. */
  readonly progress?: ((left: number) => void) | undefined
}

interface Sharable {
  /** Of what takes in: it will close soon, and says so wherever it can. */
  part?(): void
  close(): Promise<void>
}

const sweepMs = 1_000
const drainLookMs = 100
const drainMsDefault = 30_000

/** Resolves when every source is open. Rejects with OrphansError, InvalidError or what a connector says. */
export async function runFlows(
  grid: Grid,
  flows: readonly Flow<AnyMessage>[],
  options: RunnerOptions = {},
): Promise<FlowRunner> {
  const plans = flows.map(each => each.plan)
  for (const [at, { name, version }] of plans.entries())
    if (plans.findIndex(plan => plan.name === name && plan.version === version) !== at)
      throw new InvalidError(`flow ${name} is given twice`)
  await grid.ready()
  await deploy(grid, plans, options.isForced ?? false)
  const runner = new FlowRunner(grid, plans, options)
  try {
    await runner.open()
  } catch (error) {
    await runner.stop()
    throw error
  }
  return runner
}

export class FlowRunner implements AsyncDisposable {
  readonly #grid: Grid
  readonly #options: RunnerOptions
  readonly #flows: readonly RunningFlow[]
  readonly #sources = new Map<string, OpenSource>()
  readonly #shared = new Map<string, Sharable>()
  readonly #stopping = new AbortController()
  readonly #unlisten: (() => void)[] = []
  #isSweepAsked = false

  constructor(grid: Grid, plans: readonly Plan[], options: RunnerOptions) {
    this.#grid = grid
    this.#options = options
    this.#flows = plans.map(plan => new RunningFlow(grid, plan))
  }

  /** Called by `runFlows`. */
  async open(): Promise<void> {
    for (const flow of this.#flows) await flow.start((plan, name, signal) => this.#host(plan, name, signal))
    // Of several versions of a flow the last one given takes messages in; the others go on with what they have.
    for (const flow of this.#flows)
      if (this.#flows.findLast(({ plan }) => plan.name === flow.plan.name) === flow) await this.#openSources(flow)
    this.#unlisten.push(this.#grid.on('state', () => this.#sweepSoon()))
    this.#repeat(sweepMs, () => this.#sweep())
    this.#repeat(presenceTtlMs / 3, () => this.#announce())
  }

  /** What its flows are, where they can be reached, and what waits in them. Counting asks every partition. */
  async status(): Promise<readonly FlowStatus[]> {
    return await Promise.all(this.#flows.map(flow => flowStatus(flow, this.addresses(flow.plan))))
  }

  /** Units of work at this peer that are not committed yet. */
  get inHand(): number {
    return this.#flows.reduce((sum, flow) => sum + flow.inHand, 0)
  }

  /** e.g. ['POST /deliveries/:id/head'] */
  addresses(plan?: Plan): readonly string[] {
    const prefix = plan === undefined ? '' : `${plan.name}@${plan.version}/`
    return [...this.#sources].flatMap(([name, { address }]) =>
      name.startsWith(prefix) && address !== undefined ? [address] : [],
    )
  }

  /** Something connectors of this peer share, if one of them made it: e.g. 'http-listener'. */
  connector(name: string): unknown {
    return this.#shared.get(name)
  }

  /** Closes sources and finishes what is in hand; then with `isEmptying` what waits. False: the deadline came first. */
  async drain(options: DrainOptions = {}): Promise<boolean> {
    const { env } = this.#grid
    const untilMs = env.now().monotonicMs + (options.deadlineMs ?? drainMsDefault)
    await this.closeSources()
    for (;;) {
      const left = options.isEmptying === true ? await this.#left() : 0
      options.progress?.(left)
      if (left === 0 && (options.isEmptying !== true || this.inHand === 0)) break
      if (env.now().monotonicMs >= untilMs) return false
      await sleep(env, drainLookMs, this.#stopping.signal)
    }
    const stopped = Promise.all(this.#flows.map(flow => flow.stop())).then(() => true)
    const late = sleep(env, Math.max(untilMs - env.now().monotonicMs, 0), this.#stopping.signal).then(() => false)
    return await Promise.race([stopped, late])
  }

  /** Ends at once: what is in hand is given up, and others take it over. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    for (const unlisten of this.#unlisten) unlisten()
    for (const flow of this.#flows) flow.abort()
    await this.closeSources()
    this.#stopping.abort()
    await Promise.all(this.#flows.map(flow => flow.stop()))
    for (const shared of this.#shared.values()) await shared.close()
    await Promise.all(this.#flows.map(({ plan }) => withdraw(this.#grid, plan).catch(() => undefined)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #openSources(flow: RunningFlow): Promise<void> {
    const entrance = new Entrance(flow)
    for (const [name, source] of Object.entries(flow.plan.sources)) {
      const grid = this.#grid
      const host: SourceHost = {
        ...this.#host(flow.plan, name, flow.signal),
        source: name,
        accept: arrival => entrance.accept(name, arrival),
        acceptAll: (arrivals, advance) => entrance.acceptAll(name, arrivals, advance),
        get isPaused() {
          return grid.pressure !== 'normal' || flow.isCongested
        },
        isTyped: source.schema !== undefined,
        validated: async body => {
          if (source.schema === undefined) return body
          const found = await validate(source.schema, body)
          if (found.isValid) return found.value
          throw new InvalidMessageError(`not what ${name} takes`, found.issues)
        },
      }
      this.#sources.set(`${flow.plan.name}@${flow.plan.version}/${name}`, await source.open(host))
    }
  }

  /** Sources will close soon: whoever sends is to turn to other peers, and is still served. */
  part(): void {
    for (const shared of this.#shared.values()) shared.part?.()
  }

  async closeSources(): Promise<void> {
    const open = [...this.#sources.values()]
    this.#sources.clear()
    // First what their senders come in by: none is to meet a source that has closed.
    await Promise.all([...this.#shared.values()].filter(({ part }) => part !== undefined).map(each => each.close()))
    await Promise.all(open.map(source => source.close()))
  }

  #host(plan: Plan, name: string, signal: AbortSignal): ConnectorHost {
    const { env } = this.#grid
    return {
      env,
      grid: this.#grid,
      flow: plan.name,
      signal,
      log: (level, event, fields) =>
        env.emit({ kind: 'emit', level, event, fields: { flow: plan.name, at: name, ...fields } }),
      shared: <T extends Sharable>(key: string, make: () => T) => {
        const made = (this.#shared.get(key) ?? make()) as T
        this.#shared.set(key, made)
        return made
      },
      option: key => this.#options.connectors?.[key],
    }
  }

  async #left(): Promise<number> {
    const counts = this.#flows.flatMap(flow => flow.queues.map(({ queue }) => queue.counts()))
    const closed = this.#flows.flatMap(flow =>
      [...flow.groups.values()].map(({ name }) => this.#grid.group(name).counts()),
    )
    try {
      const waiting = (await Promise.all(counts)).reduce((sum, { total }) => sum + total, 0)
      return (await Promise.all(closed)).reduce((sum, group) => sum + group.closed, waiting)
    } catch {
      // Not known: not empty.
      return 1
    }
  }

  #repeat(everyMs: number, work: () => void): void {
    const { env } = this.#grid
    const again = (): void => {
      if (this.#stopping.signal.aborted) return
      work()
      env.at(env.now().monotonicMs + everyMs, again)
    }
    env.at(env.now().monotonicMs + everyMs, again)
  }

  #announce(): void {
    for (const { plan } of this.#flows) announce(this.#grid, plan).catch(() => undefined)
  }

  /** Several changes of the agreed state in one turn: one look. */
  #sweepSoon(): void {
    if (this.#isSweepAsked) return
    this.#isSweepAsked = true
    this.#grid.env.turn(() => {
      this.#isSweepAsked = false
      this.#sweep()
    })
  }

  #sweep(): void {
    if (!this.#stopping.signal.aborted) for (const flow of this.#flows) flow.sweep()
  }
}
