import { afterEach, describe, expect, it } from 'vitest'
import { queue } from '../../../lib/connectors/queue-target.ts'
import { flow, type Flow } from '../../../lib/flow/builder.ts'
import type { AnyMessage } from '../../../lib/flow/message.ts'
import { runFlows, type FlowRunner } from '../../../lib/flow/runner.ts'
import { FlowCluster, HandSource } from './cluster.ts'

interface Head {
  readonly event: string
}
interface Payload {
  readonly repo: string
}

const runners: FlowRunner[] = []

function deliveries(
  settings: { readonly onTimeout?: 'dead-letter' | 'discard'; readonly onLate?: 'discard' | 'dead-letter' } = {},
): { head: HandSource<Head>; payload: HandSource<Payload>; deliveries: Flow<AnyMessage> } {
  const head = new HandSource<Head>()
  const payload = new HandSource<Payload>()
  const made = flow('deliveries')
    .from({ head: head.source, payload: payload.source })
    .idempotentReceiver({ by: m => `${m.params.id}/${m.source}`, remember: '24h' })
    .aggregator('join', {
      by: m => m.params.id,
      complete: { each: ['head', 'payload'] },
      timeout: '5m',
      ...settings,
      merge: (parts, id) => ({ id, event: parts.head.event, repo: parts.payload.repo }),
    })
    .filter(m => m.body.event !== 'ping')
    .stage('store', { concurrency: 4, capacity: 1_000 })
    .retry({ attempts: 3, backoff: ['1s', '5s'] })
    .to(queue('stored'))
    .deadLetter('deliveries.dead')
  return { head, payload, deliveries: made }
}

async function started(
  cluster: FlowCluster,
  made: Flow<AnyMessage>,
  count = cluster.grids.length,
): Promise<readonly FlowRunner[]> {
  for (const grid of cluster.grids.slice(0, count)) runners.push(await cluster.env.until(runFlows(grid, [made])))
  return runners
}

async function stored(cluster: FlowCluster, at = 0): Promise<readonly unknown[]> {
  const out: unknown[] = []
  const target = cluster.grids[at]?.queue<unknown>('stored')
  for (;;) {
    const messages = await cluster.env.until(target?.receive({ max: 100, wait: '2s' }) ?? Promise.resolve([]))
    if (messages.length === 0) return out
    out.push(...messages.map(message => message.body))
    await cluster.env.until(Promise.all(messages.map(message => message.ack())))
  }
}

afterEach(() => {
  runners.length = 0
})

describe('a flow with an aggregator', () => {
  it('joins two halves that came in through different peers, once', async () => {
    const cluster = new FlowCluster('a', 'b')
    const { head, payload, deliveries: made } = deliveries()
    await started(cluster, made)
    const { env } = cluster
    for (let i = 0; i < 40; i++) {
      await env.until(head.put({ id: `d${i}` }, { event: 'push' }, {}, i % 2))
      await env.until(payload.put({ id: `d${i}` }, { repo: 'r' }, {}, (i + 1) % 2))
    }
    await env.advance(3_000)
    const bodies = (await stored(cluster)) as { readonly id: string }[]
    expect(bodies.map(body => body.id).sort()).toEqual(Array.from({ length: 40 }, (_, i) => `d${i}`).sort())
    expect(bodies[0]).toMatchObject({ event: 'push', repo: 'r' })
  })

  it('drops a half that came twice, and one whose group is over', async () => {
    const cluster = new FlowCluster('a')
    const { head, payload, deliveries: made } = deliveries()
    const [runner] = await started(cluster, made)
    const { env } = cluster
    await env.until(head.put({ id: 'd' }, { event: 'push' }))
    await expect(env.until(head.put({ id: 'd' }, { event: 'push' }))).resolves.toMatchObject({ isRepeat: true })
    await env.until(payload.put({ id: 'd' }, { repo: 'r' }))
    await env.advance(1_000)
    expect(await stored(cluster)).toHaveLength(1)
    const [status] = (await env.until(runner?.status() ?? Promise.resolve([]))) ?? []
    expect(status).toMatchObject({
      counts: { accepted: 2, duplicates: 1, released: 1 },
      groups: [{ open: 0, closed: 0 }],
    })
  })

  it('answers the same to a key that comes again, at another peer', async () => {
    const cluster = new FlowCluster('a', 'b')
    const { head, deliveries: made } = deliveries()
    await started(cluster, made)
    const idempotency = { key: 'k1', scope: '/deliveries/d/head', rememberMs: 3_600_000 }
    const first = await cluster.env.until(head.put({ id: 'd' }, { event: 'push' }, { idempotency }, 0))
    const again = await cluster.env.until(head.put({ id: 'd' }, { event: 'push' }, { idempotency }, 1))
    expect(again).toEqual({ id: first.id, isRepeat: true })
  })

  it('gives a half without its other up when its time is over, and joins both when they are replayed', async () => {
    const cluster = new FlowCluster('a')
    const { head, payload, deliveries: made } = deliveries({ onLate: 'dead-letter' })
    await started(cluster, made)
    const { env } = cluster
    await env.until(head.put({ id: 'd' }, { event: 'push' }))
    await env.advance(5 * 60_000 + 2_000)
    await env.until(payload.put({ id: 'd' }, { repo: 'r' }))
    const dead = cluster.grids[0]?.dead('deliveries.dead')
    const tokens: string[] = []
    const reasons: string[] = []
    await env.until(
      (async () => {
        for await (const letter of dead?.list() ?? []) {
          tokens.push(letter.token)
          reasons.push(letter.reason)
        }
      })(),
    )
    expect(reasons).toEqual(['its group had 1 pieces when its time was over', 'its group was over'])
    expect(await env.until(dead?.replay(tokens) ?? Promise.resolve(0))).toBe(2)
    await env.advance(3_000)
    expect(await stored(cluster)).toEqual([{ id: 'd', event: 'push', repo: 'r' }])
  })

  it.each([
    ['', 0],
    [', also where the clock of the one that finds them is an hour behind', -3_600_000],
  ])('goes on with groups that were closed when the peer died that would have merged them%s', async (_, leapMs) => {
    const cluster = new FlowCluster('a', 'b')
    const { head, payload, deliveries: made } = deliveries()
    await started(cluster, made)
    const { env, cluster: lone } = cluster
    for (let i = 0; i < 20; i++) await env.until(head.put({ id: `d${i}` }, { event: 'push' }, {}, 0))
    // The last pieces are committed, and the peer is gone before it hears of it.
    const peer = lone.peers.get('a')
    const call = peer?.call.bind(peer)
    if (peer !== undefined && call !== undefined)
      peer.call = (options, operations, settle) =>
        call(
          options,
          operations,
          operations.some(each => JSON.stringify(each).includes('group.add')) ? () => undefined : settle,
        )
    for (let i = 0; i < 20; i++) void payload.put({ id: `d${i}` }, { repo: 'r' }, {}, 0).catch(() => undefined)
    await env.settle()
    cluster.kill('a')
    env.wallLeapMs = leapMs
    await env.advance(5_000)
    expect(await stored(cluster, 1)).toHaveLength(20)
  })
})
