import { describe, expect, it } from 'vitest'
import { queue } from '../../../lib/connectors/queue-target.ts'
import { flow, type Flow } from '../../../lib/flow/builder.ts'
import { OrphansError, TerminalError } from '../../../lib/flow/errors.ts'
import type { AnyMessage } from '../../../lib/flow/message.ts'
import type { Departure, Target } from '../../../lib/flow/ports.ts'
import { runFlows, type FlowRunner } from '../../../lib/flow/runner.ts'
import { FlowCluster, HandSource } from './cluster.ts'

interface Order {
  readonly n: number
}
type Ids = { readonly id: string }

/** A target that a test stands behind. */
function probe(act: (departure: Departure) => void = () => undefined): { sent: Departure[]; target: Target<unknown> } {
  const sent: Departure[] = []
  const open = {
    send: (departure: Departure) => {
      sent.push(departure)
      return Promise.resolve().then(() => act(departure))
    },
    close: () => Promise.resolve(),
  }
  return { sent, target: { edge: 'target', kind: 'probe', style: 'call', settings: null, open: () => open } }
}

class Shop {
  readonly cluster: FlowCluster
  readonly hand: HandSource<Order, Ids> = new HandSource()
  readonly runners: FlowRunner[] = []

  constructor(...names: readonly string[]) {
    this.cluster = new FlowCluster(...names)
  }

  async run(made: Flow<AnyMessage>): Promise<FlowRunner> {
    for (const grid of this.cluster.grids) this.runners.push(await this.wait(runFlows(grid, [made])))
    return this.runners[0] as FlowRunner
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    return await this.cluster.env.until(promise)
  }

  async put(n: number, more: object = {}, peer = 0): Promise<{ readonly id: string; readonly isRepeat: boolean }> {
    return await this.wait(this.hand.put({ id: `${n}` }, { n }, more, peer))
  }

  async received(name: string): Promise<readonly unknown[]> {
    const bodies: unknown[] = []
    const target = this.cluster.grids[0]?.queue(name)
    for (;;) {
      const messages = (await this.wait(target?.receive({ max: 1_000, wait: '3s' }) ?? Promise.resolve([]))) ?? []
      if (messages.length === 0) return bodies
      bodies.push(...messages.map(message => message.body))
    }
  }

  async dead(name: string): Promise<readonly { readonly reason: string; readonly token: string }[]> {
    const found: { readonly reason: string; readonly token: string }[] = []
    const list = async (): Promise<void> => {
      for await (const letter of this.cluster.grids[0]?.dead(name).list() ?? []) found.push(letter)
    }
    await this.wait(list())
    return found
  }
}

describe('components', () => {
  it('transform and filter in order, and route by content to the first that wants it', async () => {
    const shop = new Shop('a')
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .filter(m => m.body.n !== 3)
        .transform(m => ({ ...m.body, twice: m.body.n * 2 }))
        .contentBasedRouter(routes =>
          routes
            .when(
              'big',
              m => m.body.twice > 10,
              big => big.to(queue('big')),
            )
            .when(
              'small',
              m => m.body.n < 3,
              small => small.transform(m => m.body.n).to(queue('small')),
            ),
        ),
    )
    for (const n of [1, 2, 3, 4, 6, 7]) await shop.put(n)
    await shop.cluster.env.advance(3_000)
    expect(await shop.received('small')).toEqual(expect.arrayContaining([1, 2]))
    const big = (await shop.received('big')) as Order[]
    expect(new Set(big.map(({ n }) => n))).toEqual(new Set([6, 7]))
    // Nobody wants 4: that is not silent.
    expect(await shop.dead('shop.dead')).toMatchObject([
      { reason: 'TerminalError: no route of router takes the message' },
    ])
  })

  it('splits into parts that an aggregator puts together again by size', async () => {
    const shop = new Shop('a', 'b')
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .splitter(m => Array.from({ length: m.body.n }, (_, at) => `${m.body.n}.${at}`))
        .stage('parts')
        .aggregator('all', {
          by: m => m.correlation ?? '',
          complete: { size: 3 },
          merge: messages => messages.map(m => `${m.body} of ${m.headers['skein-parts']}`).sort(),
        })
        .to(queue('whole')),
    )
    await shop.put(3)
    await shop.put(3, {}, 1)
    await shop.cluster.env.advance(3_000)
    const parts = ['3.0 of 3', '3.1 of 3', '3.2 of 3']
    expect(await shop.received('whole')).toEqual([parts, parts])
  })

  it('closes a group when a function of its pieces says so', async () => {
    const shop = new Shop('a')
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .aggregator('sum', {
          by: () => 'all',
          complete: messages => messages.reduce((sum, m) => sum + m.body.n, 0) >= 10,
          remember: '0s',
          merge: messages => messages.map(m => m.body.n),
        })
        .to(queue('sums')),
    )
    for (const n of [1, 2, 4, 5]) {
      await shop.put(n)
      await shop.cluster.env.advance(100)
    }
    expect(await shop.received('sums')).toEqual([[1, 2, 4, 5]])
  })

  it('merges what there is when the time is over and release was asked for', async () => {
    const shop = new Shop('a')
    const other = new HandSource<Order, Ids>()
    await shop.run(
      flow('shop')
        .from({ left: shop.hand.source, right: other.source })
        .aggregator('pair', {
          by: m => m.params.id,
          complete: { each: ['left', 'right'] },
          timeout: '10s',
          onTimeout: 'release',
          merge: ({ left, right }) => [left?.n ?? null, right?.n ?? null],
        })
        .to(queue('pairs')),
    )
    await shop.put(1)
    await shop.cluster.env.advance(15_000)
    expect(await shop.received('pairs')).toEqual([[1, null]])
  })

  it('hands a target the same key at each try, and gives up after so many', async () => {
    const shop = new Shop('a')
    const { sent, target } = probe(() => {
      throw new Error('not today')
    })
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .retry({ attempts: 3, backoff: ['1s', '2s'] })
        .to(target, 'billing'),
    )
    const { id } = await shop.put(1)
    await shop.cluster.env.advance(20_000)
    expect(sent.map(({ idempotencyKey }) => idempotencyKey)).toEqual(Array(3).fill(`${id}/billing`))
    expect(sent.map(({ message }) => message.attempt)).toEqual([1, 2, 3])
    expect(sent[1]?.message.lastError).toBe('Error: not today')
    expect(await shop.dead('shop.dead')).toMatchObject([{ reason: 'Error: not today' }])
  })

  it('does not try again what a target says is of no use', async () => {
    const shop = new Shop('a')
    const { sent, target } = probe(() => {
      throw new TerminalError('no such customer')
    })
    await shop.run(flow('shop').from(shop.hand.source).to(target))
    await shop.put(1)
    await shop.cluster.env.advance(60_000)
    expect(sent).toHaveLength(1)
    expect(await shop.dead('shop.dead')).toMatchObject([{ reason: 'TerminalError: no such customer' }])
  })

  it('reaches nothing outside for a duplicate, and nothing twice for a second target that fails', async () => {
    const shop = new Shop('a')
    const first = probe()
    let failures = 2
    const second = probe(() => {
      if (failures-- > 0) throw new Error('again')
    })
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .idempotentReceiver({ by: m => m.body.n })
        .to(first.target)
        .to(second.target, 'second')
        .retry({ attempts: 5, backoff: ['1s', '1s'] }),
    )
    await shop.put(1)
    await expect(shop.put(1)).resolves.toMatchObject({ isRepeat: true })
    await shop.cluster.env.advance(30_000)
    expect(first.sent).toHaveLength(1)
    expect(second.sent).toHaveLength(3)
  })

  it('runs an equal Idempotency-Key once, and another address with the same key for itself', async () => {
    const shop = new Shop('a', 'b')
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .transform(m => m.body.n)
        .to(queue('out')),
    )
    const key = (scope: string): object => ({ idempotency: { key: 'k', scope, rememberMs: 60_000 } })
    const first = await shop.put(1, key('/one'))
    expect(await shop.put(1, key('/one'), 1)).toEqual({ id: first.id, isRepeat: true })
    expect((await shop.put(1, key('/two'), 1)).id).not.toBe(first.id)
    await shop.cluster.env.advance(2_000)
    expect(await shop.received('out')).toEqual([1, 1])
  })

  it('keeps a message in hand while the next stage is full, and loses none', async () => {
    const shop = new Shop('a')
    const release: (() => void)[] = []
    const { target } = probe()
    const slow: Target<unknown> = {
      ...target,
      style: 'call',
      open: () => ({ send: () => new Promise<void>(resolve => release.push(resolve)), close: () => Promise.resolve() }),
    }
    await shop.run(
      flow('shop')
        .from(shop.hand.source)
        .transform(m => m.body)
        .stage('slow', { concurrency: 1, capacity: 1 })
        .to(slow),
    )
    // The stage holds 12 shards of 16: what does not fit waits where it came in.
    const accepted = await Promise.all(
      Array.from({ length: 600 }, (_, n) => shop.wait(shop.hand.put({ id: `${n}` }, { n }))),
    )
    expect(accepted).toHaveLength(600)
    await shop.cluster.env.advance(5_000)
    expect(shop.hand.hosts[0]?.isPaused).toBe(true)
    let done = 0
    for (let rounds = 0; rounds < 2_000 && done < 600; rounds++) {
      const working = release.splice(0)
      done += working.length
      for (const finish of working) finish()
      await shop.cluster.env.advance(300)
    }
    expect(done).toBe(600)
  }, 30_000)

  it('refuses a deployment that would leave messages behind, with their number', async () => {
    const shop = new Shop('a')
    const { target } = probe(() => {
      throw new Error('down')
    })
    const first = flow('shop').from(shop.hand.source).stage('bill').retry({ attempts: 100 }).to(target)
    const runner = await shop.run(first)
    await shop.put(1)
    await shop.cluster.env.advance(100)
    await shop.wait(runner.stop())
    const next = flow('shop')
      .from(shop.hand.source)
      .stage('bill')
      .transform(m => m.body.n)
      .to(queue('out'))
    const grid = shop.cluster.grids[0]
    if (grid === undefined) throw new Error('there is a peer')
    const counts = { [`shop@${first.plan.version}/bill`]: 1 }
    await expect(shop.wait(runFlows(grid, [next]))).rejects.toMatchObject({ name: OrphansError.name, counts })
    const forced = await shop.wait(runFlows(grid, [next], { isForced: true }))
    await shop.wait(forced.stop())
    // With both at hand the old one goes on with what it has, and the new one takes in.
    const both = await shop.wait(runFlows(grid, [first, next]))
    expect(both.addresses()).toEqual([])
  })
})
