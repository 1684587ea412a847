/**
 * A whole flow: two producers, an aggregator, a stage, a queue as target, run by the real runner on every machine; half
 * way through, in some runs, a second version is deployed beside the first while messages of that one are under way.
 * Each pair of which both halves were accepted comes out exactly once, and whole; no pair comes out twice.
 */
import { UnavailableError } from '../../lib/base/errors.ts'
import { queue } from '../../lib/connectors/queue-target.ts'
import { flow, type Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'
import type { Accepted, Source, SourceHost } from '../../lib/flow/ports.ts'
import { runFlows, type FlowRunner } from '../../lib/flow/runner.ts'
import type { MemberGrid } from '../../lib/grid/grid.ts'
import { deliveryViolations, type Delivered, type Pair } from '../checkers/delivery.ts'
import { settledOf } from '../grids.ts'
import { Clients, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const sources = ['head', 'payload'] as const
type SourceName = (typeof sources)[number]
const joined = 'joined'
const retryStartMs = 500
/** Longer than all leaps of the wall clocks of a run together. */
const rememberMs = 30 * 86_400_000
const redeployAfterMs = 25_000
/** In the end, for what was accepted to come out. */
const gatherMs = 30_000

interface Half {
  readonly half: string
}

export function flowWorkload(context: WorkloadContext): Workload {
  return new FlowWorkload(context)
}

class FlowWorkload implements Workload {
  readonly name = 'flow'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #pairs: (Pair & { readonly open: SourceName[] })[] = []
  readonly #delivered: Delivered[] = []
  /** By machine and source. */
  readonly #hosts = new Map<string, SourceHost>()
  readonly #runners = new Map<MemberGrid, FlowRunner>()
  readonly #isRedeployed: boolean
  #flows: readonly Flow<AnyMessage>[]

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#isRedeployed = context.random.chance(0.5)
    this.#flows = [this.#flow(1)]
    this.#clients = new Clients(context, 250, (_, node, next) => this.#put(node, next))
  }

  begin(): void {
    this.#context.grids.whenStarted((_, grid) => this.#start(grid))
    this.#clients.begin(8)
    if (this.#isRedeployed) this.#context.world.after(redeployAfterMs, () => this.#redeploy())
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    const { world, grids } = this.#context
    const untilMs = world.nowMs + gatherMs
    const look = (): void => {
      if (this.#isAllDelivered() || world.nowMs >= untilMs) return done()
      grids.run(
        node,
        async grid => {
          const target = grid.queue<Delivered>(joined)
          const messages = await target.receive({ max: 500, wait: '500ms', lease: '10m' })
          return messages.map(message => message.body)
        },
        ran => {
          if (ran.kind === 'done') this.#delivered.push(...ran.value)
          world.after(200, look)
        },
      )
    }
    look()
  }

  check(isGathered: boolean): readonly Violation[] {
    if (!isGathered || this.#context.lostPartitions.size > 0) return []
    return deliveryViolations(this.#pairs, this.#delivered).map(message => ({ checker: 'delivery', message }))
  }

  #isAllDelivered(): boolean {
    const seen = new Set(this.#delivered.map(({ id }) => id))
    return this.#pairs.every(({ id, accepted }) => accepted.length < sources.length || seen.has(id))
  }

  #put(node: number, next: () => void): void {
    const { random, grids } = this.#context
    let pair = random.chance(0.6) ? random.pick(this.#pairs.filter(({ open }) => open.length > 0)) : undefined
    if (pair === undefined) {
      pair = { id: `d${this.#pairs.length}`, accepted: [], open: [...sources] }
      this.#pairs.push(pair)
    }
    const { id, open, accepted } = pair
    const source = random.pick(open) as SourceName
    open.splice(open.indexOf(source), 1)
    grids.run(
      node,
      grid => this.#accept(grid, id, source),
      ran => {
        this.#context.settled('flow.accept', settledOf(ran))
        // Tried again, at another machine perhaps, until it is certainly in: the second time it is a repeat.
        if (ran.kind === 'done') accepted.push(source)
        else open.push(source)
        next()
      },
    )
  }

  async #accept(grid: MemberGrid, id: string, source: SourceName): Promise<Accepted> {
    const host = this.#hosts.get(`${grid.name}/${source}`)
    if (host === undefined || host.grid !== grid) throw new UnavailableError('the flow does not run here')
    return await host.accept({
      params: { id },
      body: { half: `${source} of ${id}` } satisfies Half,
      idempotency: { key: id, scope: source, rememberMs },
    })
  }

  #start(grid: MemberGrid): void {
    const begun = this.#flows
    runFlows(grid, begun).then(
      runner => {
        this.#runners.set(grid, runner)
        if (begun !== this.#flows) this.#restart(grid, runner)
      },
      () => grid.env.at(grid.env.now().monotonicMs + retryStartMs, () => this.#start(grid)),
    )
  }

  #restart(grid: MemberGrid, runner: FlowRunner): void {
    this.#runners.delete(grid)
    void runner.drain({ deadlineMs: 3_000 }).then(async () => {
      await runner.stop()
      this.#start(grid)
    })
  }

  #redeploy(): void {
    this.#context.world.note('redeploy', 'all')
    this.#flows = [this.#flow(1), this.#flow(2)]
    for (const [grid, runner] of this.#runners) grid.env.turn(() => this.#restart(grid, runner))
  }

  #flow(version: 1 | 2): Flow<AnyMessage> {
    const begun = flow('deliveries')
      .from({ head: this.#source('head'), payload: this.#source('payload') })
      .aggregator('join', {
        by: m => m.params.id,
        complete: { each: ['head', 'payload'] },
        timeout: '30d',
        merge: ({ head, payload }, id) => ({ id, head: head.half, payload: payload.half }),
      })
    const staged = begun.stage('store', { concurrency: 4, capacity: 10_000 })
    const second = version === 1 ? staged : staged.filter(m => m.body.id !== '')
    return second.retry({ attempts: 50, backoff: ['100ms', '2s'] }).to(queue(joined)) as unknown as Flow<AnyMessage>
  }

  #source(name: SourceName): Source<Half, { readonly id: string }> {
    return {
      edge: 'source',
      kind: 'hand',
      settings: name,
      open: host => {
        const key = `${host.grid.name}/${name}`
        this.#hosts.set(key, host)
        return Promise.resolve({
          close: () => {
            if (this.#hosts.get(key) === host) this.#hosts.delete(key)
            return Promise.resolve()
          },
        })
      },
    }
  }
}
