import { expect, test } from 'vitest'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster } from './lone-peer.ts'

function setUp() {
  const [cluster, one, two] = LoneCluster.of('one', 'two') as [LoneCluster, MemberGrid, MemberGrid]
  const { env } = cluster
  const forMs = (ms: number): Promise<void> => new Promise(resolve => env.at(env.monotonicMs + ms, resolve))
  return { cluster, one, two, env, forMs }
}

test('works on so many at once as it may, and acknowledges each', async () => {
  const { one, env, forMs } = setUp()
  const orders = one.queue<number>('orders')
  await env.until(orders.putAll([1, 2, 3, 4, 5, 6, 7, 8, 9]))
  let atOnce = 0
  let most = 0
  const done: number[] = []
  const worker = orders.consume(
    async n => {
      most = Math.max(most, ++atOnce)
      await forMs(100)
      done.push(n)
      atOnce--
    },
    { concurrency: 4 },
  )
  await env.advance(1_000)
  expect([most, done.sort((a, b) => a - b), worker.inHand]).toEqual([4, [1, 2, 3, 4, 5, 6, 7, 8, 9], 0])
  expect((await env.until(orders.counts())).total).toBe(0)
  await env.until(worker.stop())
})

test('what fails comes back with its error until it is dead', async () => {
  const { one, env } = setUp()
  const orders = one.queue<string>('orders', { maxAttempts: 3, backoff: ['100ms', '1s'] })
  await env.until(orders.put('bad'))
  const seen: unknown[] = []
  const worker = orders.consume((_, { attempt, lastError }) => {
    seen.push([attempt, lastError])
    throw new Error(`no ${attempt}`)
  })
  await env.advance(5_000)
  expect(seen).toEqual([
    [1, undefined],
    [2, 'no 1'],
    [3, 'no 2'],
  ])
  expect(await env.until(one.dead('orders.dead').count())).toBe(1)
  await env.until(worker.stop())
})

test('keeps the lease of long work', async () => {
  const { one, env, forMs } = setUp()
  const orders = one.queue<string>('orders', { lease: '3s' })
  await env.until(orders.put('long'))
  let isAborted = true
  const worker = orders.consume(async (_, { signal }) => {
    await forMs(60_000)
    isAborted = signal.aborted
  })
  await env.advance(61_000)
  expect(isAborted).toBe(false)
  expect((await env.until(orders.counts())).total).toBe(0)
  await env.until(worker.stop())
})

test('aborts the work in hand when the session ends', async () => {
  const { one, env, forMs } = setUp()
  await env.until(one.queue('orders').put('x'))
  let reason: unknown
  const worker = one.queue('orders').consume(async (_, { signal }) => {
    signal.addEventListener('abort', () => (reason = signal.reason))
    await forMs(1_000)
  })
  await env.advance(100)
  one.listener.session(undefined, -Infinity)
  expect(String(reason)).toContain('the session ended')
  await env.until(worker.stop())
})

test('stopping takes no more and waits for what is in hand', async () => {
  const { one, env, forMs } = setUp()
  const orders = one.queue<number>('orders')
  await env.until(orders.putAll([1, 2, 3]))
  const done: number[] = []
  const worker = orders.consume(async n => {
    await forMs(500)
    done.push(n)
  })
  await env.advance(100)
  await env.until(worker.stop())
  expect(done).toEqual([1])
  expect((await env.until(orders.counts())).ready).toBe(2)
})

test('members share the work: an idle one takes what another cannot get to', async () => {
  const { one, two, env, forMs } = setUp()
  const by = { one: 0, two: 0 }
  await env.until(one.queue('orders').putAll(Array.from({ length: 100 }, (_, n) => n)))
  const workers = [
    one.queue('orders').consume(async () => (await forMs(100), by.one++), { concurrency: 5 }),
    two.queue('orders').consume(async () => (await forMs(100), by.two++), { concurrency: 5 }),
  ]
  await env.advance(3_000)
  expect(by.one + by.two).toBe(100)
  expect(by.two).toBeGreaterThan(20)
  await env.until(Promise.all(workers.map(worker => worker.stop())))
})

test('keeps FIFO and one at a time within a group', async () => {
  const { one, two, env, forMs } = setUp()
  const orders = one.queue<number>('orders')
  for (let n = 0; n < 6; n++) await env.until(orders.put(n, { group: 'c42' }))
  const order: string[] = []
  const work = async (n: number): Promise<void> => {
    order.push(`>${n}`)
    await forMs(50)
    order.push(`<${n}`)
  }
  const workers = [one, two].map(grid => grid.queue<number>('orders').consume(work, { concurrency: 4 }))
  await env.advance(10_000)
  expect(order.join(' ')).toBe('>0 <0 >1 <1 >2 <2 >3 <3 >4 <4 >5 <5')
  await env.until(Promise.all(workers.map(worker => worker.stop())))
})
