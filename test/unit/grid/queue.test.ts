import { expect, test } from 'vitest'
import { FullError, InvalidError, MalformedError, StaleTokenError } from '../../../lib/base/errors.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import type { Message } from '../../../lib/grid/queue-handles.ts'
import { LoneCluster, type LonePeer } from './lone-peer.ts'

function setUp() {
  const [cluster, one, two] = LoneCluster.of('one', 'two') as [LoneCluster, MemberGrid, MemberGrid]
  return { cluster, one, two, env: cluster.env, peer: cluster.peers.get('one') as LonePeer }
}

const bodies = <T>(messages: readonly Message<T>[]): T[] => messages.map(message => message.body)

test('what is put is received, with its headers, and gone once acknowledged', async () => {
  const { one, env } = setUp()
  const orders = one.queue<{ sku: number }>('orders')
  const id = await env.until(orders.put({ sku: 7 }, { headers: { trace: 'x' }, group: 'c42' }))
  const [message] = (await env.until(orders.receive())) as [Message<{ sku: number }>]
  const { body, headers, group, attempt, lastError } = message
  expect({ id: message.id, body, headers, group, attempt, lastError }).toEqual({
    id,
    body: { sku: 7 },
    headers: { trace: 'x' },
    group: 'c42',
    attempt: 1,
    lastError: undefined,
  })
  await env.until(message.ack())
  await expect(env.until(message.ack())).rejects.toThrow(StaleTokenError)
  expect((await env.until(orders.counts())).total).toBe(0)
})

test('puts of one turn share few commands', async () => {
  const { one, env, peer } = setUp()
  const orders = one.queue<number>('orders')
  await env.until(Promise.all(Array.from({ length: 100 }, (_, n) => orders.put(n))))
  expect(peer.called.map(operations => operations.length)).toEqual([25, 25, 25, 25])
  expect((await env.until(orders.counts())).total).toBe(100)
})

test('a full shard makes room in the next one, and full ones everywhere refuse', async () => {
  const { one, env } = setUp()
  const orders = one.queue<number>('orders', { capacity: 1 }) // 16 a shard at the least
  await env.until(orders.put(0))
  const puts = Array.from({ length: 120 }, (_, n) =>
    orders.put(n).then(
      () => 'in',
      (error: unknown) => error,
    ),
  )
  const answers = await env.until(Promise.all(puts))
  const full = answers.filter(answer => answer instanceof FullError).length
  const { total } = await env.until(orders.counts())
  // Six shards of 16 are owned here, each overrun by one put at most.
  expect(total + full).toBe(121)
  expect(total).toBeGreaterThanOrEqual(96)
  expect(total).toBeLessThanOrEqual(6 * 17)
})

test('takes from shards owned here before it looks elsewhere', async () => {
  const { one, two, env, peer } = setUp()
  await env.until(Promise.all([one.queue('orders').put('here'), two.queue('orders').put('there')]))
  expect(bodies(await env.until(one.queue('orders').receive({ max: 1 })))).toEqual(['here'])
  expect(peer.hints).toEqual([])
  expect(bodies(await env.until(one.queue('orders').receive({ max: 1 })))).toEqual(['there'])
  expect(peer.hints[0]).toEqual({ kind: 'idle', queues: ['orders'] })
})

test('a waiting receiver is woken by a put here at once, and by one elsewhere through a hint', async () => {
  const { one, two, env } = setUp()
  for (const putter of [one, two]) {
    const waiting = one.queue('orders').receive({ wait: '1m' })
    await env.advance(10_000)
    const putMs = env.monotonicMs
    await env.until(putter.queue('orders').put('work'))
    expect(bodies(await env.until(waiting))).toEqual(['work'])
    expect(env.monotonicMs).toBe(putMs)
  }
})

test('finds work elsewhere although hints get lost, within a second or so', async () => {
  const { cluster, one, two, env } = setUp()
  const deaf = cluster.peers.get('two') as LonePeer
  deaf.isDeaf = true
  const waiting = one.queue('orders').receive({ wait: '1m' })
  await env.advance(10_000)
  await env.until(two.queue('orders').put('work'))
  deaf.isDeaf = false
  const sinceMs = env.monotonicMs
  expect(bodies(await env.until(waiting))).toEqual(['work'])
  expect(env.monotonicMs - sinceMs).toBeLessThanOrEqual(1_250)
})

test('an idle queue costs each other member about a hint a second', async () => {
  const { one, env, peer } = setUp()
  const waiting = one.queue('orders').receive({ wait: '20s' })
  expect(bodies(await env.until(waiting))).toEqual([])
  expect(peer.hints.length).toBeLessThan(30)
})

test('what comes late becomes ready without anything else happening', async () => {
  const { one, env } = setUp()
  await env.until(one.queue('orders').put('later', { delay: '5s' }))
  const sinceMs = env.monotonicMs
  expect(bodies(await env.until(one.queue('orders').receive({ wait: '1m' })))).toEqual(['later'])
  expect(env.monotonicMs - sinceMs).toBeGreaterThanOrEqual(5_000)
  expect(env.monotonicMs - sinceMs).toBeLessThanOrEqual(5_500)
})

test('hands back with the error, delays, and kills', async () => {
  const { one, env } = setUp()
  const orders = one.queue<string>('orders')
  await env.until(orders.put('bad'))
  const [first] = (await env.until(orders.receive())) as [Message<string>]
  await env.until(first.nack({ error: 'no stock', delay: '2s' }))
  expect(await env.until(orders.receive())).toEqual([])
  const [second] = (await env.until(orders.receive({ wait: '5s' }))) as [Message<string>]
  expect([second.attempt, second.lastError]).toEqual([2, 'no stock'])
  await env.until(second.nack({ isDead: true, error: 'never any stock' }))
  const dead = one.dead<string>('orders.dead')
  const list = async () => {
    const found = []
    for await (const letter of dead.list()) found.push(letter)
    return found
  }
  const [letter] = await env.until(list())
  expect([letter?.body, letter?.queue, letter?.reason, await env.until(dead.count())]).toEqual([
    'bad',
    'orders',
    'never any stock',
    1,
  ])
  expect(await env.until(dead.replay([letter?.token ?? '']))).toBe(1)
  expect(bodies(await env.until(orders.receive()))).toEqual(['bad'])
})

test('sends back more dead letters of one partition than a step may move', async () => {
  const { one, env } = setUp()
  const letter = {
    kind: 'dead.put',
    dead: 'd',
    queue: 'orders',
    id: 'i',
    body: new Uint8Array([1, 1]),
    reason: 'r',
  } as const
  for (let at = 0; at < 11; at++)
    await env.until(
      one.partitions.run(
        7,
        Array.from({ length: at < 10 ? 100 : 1 }, () => letter),
      ),
    )
  const dead = one.dead('d')
  const tokens = Array.from({ length: 1_001 }, (_, at) => `7.${at + 1}`)
  expect((await env.until(dead.list()[Symbol.asyncIterator]().next())).value?.token).toBe(tokens[0])
  expect(await env.until(dead.replay(tokens))).toBe(1_001)
  expect(await env.until(dead.count())).toBe(0)
})

test('settles deliveries by token, and says which were stale', async () => {
  const { one, two, env } = setUp()
  const orders = one.queue<number>('orders')
  await env.until(orders.putAll([1, 2, 3]))
  const tokens = (await env.until(orders.receive({ max: 3, holder: 'time' }))).map(message => message.token)
  const [a = '', b = '', c = ''] = tokens
  expect(await env.until(two.queue('orders').ack([a, b]))).toEqual([true, true])
  expect(await env.until(two.queue('orders').ack([a, c, c]))).toEqual([false, true, false])
  await expect(env.until(orders.ack(['nonsense']))).rejects.toThrow(InvalidError)
})

test('a delivery that is not acknowledged within its lease aborts here and is delivered again', async () => {
  const { cluster, one, env } = setUp()
  const orders = one.queue<string>('orders', { lease: '3s', backoff: ['0s', '0s'] })
  await env.until(orders.put('slow'))
  const [first] = (await env.until(orders.receive())) as [Message<string>]
  const sinceMs = env.monotonicMs
  let abortedMs = 0
  first.signal.addEventListener('abort', () => (abortedMs = env.monotonicMs))
  await env.advance(3_000)
  expect(abortedMs - sinceMs).toBe(3_000)
  for (const [partition, state] of cluster.states.entries()) {
    const { monotonicMs, wallMs } = env.now()
    const due = state.due(monotonicMs, wallMs, 10, () => false)
    if (due.length > 0) cluster.execute(partition, '', due)
  }
  const [second] = (await env.until(orders.receive({ wait: '1s' }))) as [Message<string>]
  expect([second.attempt, second.fence > first.fence]).toEqual([2, true])
  await expect(env.until(first.ack())).rejects.toThrow(StaleTokenError)
})

test('a message that cannot be read spoils itself alone', async () => {
  const { one, env } = setUp()
  const raw = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }
  await env.until(
    one.queue<Uint8Array>('orders', { codec: raw }).putAll([new Uint8Array([77]), new Uint8Array([1, 192])]),
  )
  const [bad, good] = (await env.until(one.queue('orders').receive({ max: 2 }))) as [Message<unknown>, Message<unknown>]
  expect(() => bad.body).toThrow(MalformedError)
  expect(good.body).toBeNull()
})

test('the settings of the first member are the queue, and another one is told', async () => {
  const { one, two, env } = setUp()
  await env.until(one.queue('orders', { maxAttempts: 1 }).put(1, { key: 'k' }))
  await env.until(two.queue('orders', { maxAttempts: 5 }).put(2, { key: 'k' }))
  await env.until(two.queue('orders', { maxAttempts: 5 }).put(3, { key: 'k' }))
  const warnings = env.events.filter(event => event.event === 'grid.definition-differs')
  expect(warnings).toHaveLength(1)
  expect(one.definitions('queue/')).toEqual(new Map([['queue/orders', { maxAttempts: 1 }]]))
  const [message] = (await env.until(two.queue('orders').receive())) as [Message<number>]
  await env.until(message.nack())
  expect(await env.until(one.dead('orders.dead').count())).toBe(1)
})

test('an idempotency key puts once, from whatever member', async () => {
  const { one, two, env } = setUp()
  const first = await env.until(one.queue('orders').put('x', { idempotencyKey: 'req-1' }))
  expect(await env.until(two.queue('orders').put('x', { idempotencyKey: 'req-1' }))).toBe(first)
  expect((await env.until(one.queue('orders').counts())).total).toBe(1)
})

test('shows what lies in a queue without taking it', async () => {
  const { one, env } = setUp()
  await env.until(one.queue('orders').putAll(['a', 'b', 'c']))
  const items = await env.until(one.queue('orders').peek({ max: 2 }))
  expect(items.map(({ body, state, attempt }) => [body, state, attempt])).toEqual([
    ['a', 'ready', 0],
    ['b', 'ready', 0],
  ])
  expect((await env.until(one.queue('orders').counts())).ready).toBe(3)
})
