import { expect, test } from 'vitest'
import { MalformedError } from '../../../lib/base/errors.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster } from './lone-peer.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function filled() {
  const [cluster, grid] = LoneCluster.of('one') as [LoneCluster, MemberGrid]
  const { env } = cluster
  const work = [
    grid.map<number>('m').put('a', 1, { ttl: '1m' }),
    grid.map<number>('m').put('gone', 1, { ttl: '1s' }),
    grid.counter('hits').add(7),
    ...Array.from({ length: 5 }, (_, n) => grid.queue<number>('orders').put(n, { group: 'c42', headers: { n } })),
    grid.queue('orders').put('later', { delay: '10s', key: 'k' }),
    grid.partitions.run(grid.partitions.of('list'), [
      { kind: 'keyspace.push', key: 'list', side: 'right', values: ['x', 'y', 'z'].map(bytes) },
    ]),
    grid
      .group('join', { complete: { each: ['head', 'payload'] } })
      .add('d1', { source: 'head', id: 'h', body: bytes('h') }),
    grid.group('join', { complete: { size: 1 } }).add('d2', { source: 'head', id: 'h', body: bytes('h') }),
    grid.counter('once').add(7, { idempotencyKey: 'k1', remember: '1h' }),
    grid.counter('gone').add(7, { idempotencyKey: 'k2', remember: '1s' }),
    grid.queue('tried').put('m'),
  ]
  await env.until(Promise.all(work))
  const [taken] = await env.until(grid.queue('orders').receive())
  await env.until(taken?.nack({ isDead: true, error: 'no' }) ?? Promise.resolve())
  const [tried] = await env.until(grid.queue('tried').receive())
  await env.until(tried?.nack({ delay: '1ms' }) ?? Promise.resolve())
  await env.advance(2_000)
  return { env, grid }
}

async function collect(spool: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of spool) chunks.push(chunk)
  return chunks
}

async function* torn(chunks: readonly Uint8Array[], size: number): AsyncIterable<Uint8Array> {
  const all = new Uint8Array(Buffer.concat(chunks))
  await Promise.resolve()
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}

test('another cluster holds everything that was spooled, once, however often it is loaded', async () => {
  const { env, grid } = await filled()
  const chunks = await env.until(collect(grid.spool()))
  const [cluster, other] = LoneCluster.of('two') as [LoneCluster, MemberGrid]
  cluster.env.monotonicMs = env.monotonicMs
  const run = <T>(promise: Promise<T>): Promise<T> => cluster.env.until(promise)
  const loaded = await run(other.load(torn(chunks, 7)))
  expect(loaded).toBeGreaterThan(8)
  expect(await run(other.load(torn(chunks, 1_000)))).toBe(0)

  expect(await run(other.map('m').get('a'))).toBe(1)
  expect((await run(other.map('m').entry('a')))?.remainingMs).toBe(58_000)
  expect(await run(other.map('m').has('gone'))).toBe(false)
  expect(await run(other.counter('hits').get())).toBe(7)
  expect(await run(other.queue('orders').counts())).toMatchObject({ ready: 1, delayed: 1, blocked: 3, total: 5 })
  const order: unknown[] = []
  for (let n = 0; n < 4; n++) {
    const [message] = await run(other.queue('orders').receive({ wait: '1s' }))
    order.push([message?.body, message?.headers, message?.group])
    await run(message?.ack() ?? Promise.resolve())
  }
  expect(order).toEqual([1, 2, 3, 4].map(n => [n, { n }, 'c42']))
  expect(await run(other.dead('orders.dead').count())).toBe(1)
  const query = { kind: 'keyspace.range', key: 'list', start: 0, stop: -1 } as const
  expect(await run(other.partitions.ask(other.partitions.of('list'), query))).toEqual(['x', 'y', 'z'].map(bytes))
  const group = other.group('join', { complete: { each: ['head', 'payload'] } })
  expect(await run(group.counts())).toMatchObject({ open: 1, closed: 1 })
  const piece = { source: 'payload', id: 'p', body: bytes('p') }
  expect(await run(group.add('d1', piece))).toMatchObject({ state: 'closed', pieces: 2 })
})

test('who asks again with a key after the load is not served twice, and a message has still been tried as often', async () => {
  const { env, grid } = await filled()
  const chunks = await env.until(collect(grid.spool()))
  const [cluster, other] = LoneCluster.of('two') as [LoneCluster, MemberGrid]
  cluster.env.monotonicMs = env.monotonicMs
  const run = <T>(promise: Promise<T>): Promise<T> => cluster.env.until(promise)
  await run(other.load(torn(chunks, 1_000)))

  expect(await run(other.counter('once').add(7, { idempotencyKey: 'k1' }))).toBe(7)
  expect(await run(other.counter('once').get())).toBe(7)
  expect(await run(other.counter('gone').add(7, { idempotencyKey: 'k2' }))).toBe(14)
  const [message] = await run(other.queue('tried').receive({ wait: '1s' }))
  expect([message?.body, message?.attempt]).toEqual(['m', 2])
  await cluster.env.advance(3_600_000)
  expect(await run(other.counter('once').add(7, { idempotencyKey: 'k1' }))).toBe(14)
})

test('a spool that was cut off or changed is not taken for a whole one', async () => {
  const { env, grid } = await filled()
  const chunks = await env.until(collect(grid.spool()))
  const load = (damaged: readonly Uint8Array[]): Promise<number> => {
    const [cluster, other] = LoneCluster.of('two') as [LoneCluster, MemberGrid]
    return cluster.env.until(other.load(torn(damaged, 100)))
  }
  await expect(load(chunks.slice(0, -1))).rejects.toThrow('the spool ends after')
  await expect(load(chunks.toSpliced(2, 1))).rejects.toThrow('the spool is damaged: chunk 3 where 2 belongs')
  const flipped = chunks.map((chunk, at) => (at === 1 ? chunk.with(20, (chunk[20] as number) ^ 1) : chunk))
  await expect(load(flipped)).rejects.toThrow(MalformedError)
  await expect(load([new Uint8Array(64).fill(255)])).rejects.toThrow('a chunk of 4294967295 bytes')
})
