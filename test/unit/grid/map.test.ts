import { expect, test } from 'vitest'
import {
  AbortedError,
  ClosedError,
  ConflictError,
  IndeterminateError,
  InvalidError,
  UnavailableError,
} from '../../../lib/base/errors.ts'
import { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster, type LonePeer } from './lone-peer.ts'
import { VirtualEnv } from './virtual-env.ts'

interface Cart {
  readonly items: readonly string[]
}

function setUp() {
  const [cluster, grid] = LoneCluster.of('goose-1') as [LoneCluster, MemberGrid]
  return { cluster, grid, env: cluster.env, peer: cluster.peers.get('goose-1') as LonePeer }
}

test('puts, gets, finds out about and deletes an entry', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<Cart>('carts')
  expect(await env.until(carts.get('c42'))).toBeUndefined()
  const version = await env.until(carts.put('c42', { items: ['sku-7'] }))
  expect(await env.until(carts.entry('c42'))).toEqual({ value: { items: ['sku-7'] }, version, remainingMs: undefined })
  expect(await env.until(carts.has('c42'))).toBe(true)
  expect(await env.until(carts.delete('c42'))).toBe(true)
  expect(await env.until(carts.delete('c42'))).toBe(false)
  expect(await env.until(carts.has('c42'))).toBe(false)
})

test('an entry lives as long as its map says, or its put, or until it is touched', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<number>('carts', { ttl: '1s' })
  await env.until(Promise.all([carts.put('a', 1), carts.put('b', 2, { ttl: '10s' })]))
  await env.advance(900)
  expect((await env.until(carts.entry('a')))?.remainingMs).toBe(100)
  expect(await env.until(carts.touch('a', { ttl: '5s' }))).toBe(true)
  await env.advance(4_000)
  expect(await env.until(carts.get('a'))).toBe(1)
  await env.advance(6_000)
  expect(await env.until(Promise.all([carts.get('a'), carts.get('b'), carts.touch('a')]))).toEqual([
    undefined,
    undefined,
    false,
  ])
})

test('a condition that does not hold is a conflict that tells the version there is', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<number>('carts')
  const version = await env.until(carts.put('a', 1))
  const conflict = await env.until(carts.put('a', 2, { ifAbsent: true }).catch((error: unknown) => error))
  expect(conflict).toBeInstanceOf(ConflictError)
  expect((conflict as ConflictError).detail).toEqual(version)
  await expect(env.until(carts.put('b', 2, { ifPresent: true }))).rejects.toThrow(ConflictError)
  await env.until(carts.put('a', 3, { ifVersion: version }))
  await expect(env.until(carts.delete('a', { ifVersion: version }))).rejects.toThrow(ConflictError)
})

test('an update loses nothing, however many run at once', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<Cart>('carts')
  const add = (sku: number): Promise<Cart> =>
    carts.update('c42', cart => ({ items: [...(cart?.items ?? []), `sku-${sku}`] }), { deadline: '1m' })
  await env.until(Promise.all(Array.from({ length: 20 }, (_, sku) => add(sku))))
  expect(new Set((await env.until(carts.get('c42')))?.items).size).toBe(20)
})

test('an update that returns undefined deletes', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<number>('carts')
  await env.until(carts.put('a', 1))
  expect(await env.until(carts.update('a', () => undefined))).toBeUndefined()
  expect(await env.until(carts.has('a'))).toBe(false)
})

test('an update that may have happened is not repeated', async () => {
  const { grid, env, peer } = setUp()
  let runs = 0
  const update = grid.map<number>('carts').update('a', () => ++runs)
  peer.answers.push({ kind: 'done', results: [null] }, { kind: 'indeterminate', message: 'no answer' })
  await expect(env.until(update)).rejects.toThrow(IndeterminateError)
  expect(runs).toBe(1)
})

test('the same idempotency key gives the first answer, and another key or target is another thing', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<number>('carts')
  const first = await env.until(carts.put('a', 1, { idempotencyKey: 'k1' }))
  expect(await env.until(carts.put('a', 1, { idempotencyKey: 'k1' }))).toEqual(first)
  expect(await env.until(carts.put('a', 1, { idempotencyKey: 'k2' }))).not.toEqual(first)
  expect(await env.until(grid.map('other').put('a', 1, { idempotencyKey: 'k1' }))).not.toEqual(first)
})

test('a scan gives every entry once and the size counts them', async () => {
  const { grid, env } = setUp()
  const carts = grid.map<number>('carts')
  for (let n = 0; n < 1_200; n++) void carts.put(`k${n}`, n)
  await env.settle()
  const scan = async (): Promise<number[]> => {
    const found: number[] = []
    for await (const [key, value] of carts.entries()) found.push(key === `k${value}` ? value : -1)
    return found.sort((a, b) => a - b)
  }
  expect(await env.until(scan())).toEqual(Array.from({ length: 1_200 }, (_, n) => n))
  expect(await env.until(carts.size())).toBe(1_200)
})

test('waits for the cluster within the deadline, and names what it waited for', async () => {
  const env = new VirtualEnv()
  const grid = new MemberGrid({ env, name: 'goose-1' })
  await expect(env.until(grid.map('carts').get('a'))).rejects.toThrow('no cluster within the deadline')
  expect(env.monotonicMs).toBe(6_000)
  const get = grid.map('carts').get('a', { deadline: '10s' })
  const [cluster] = LoneCluster.of('goose-1')
  grid.attach(cluster.peers.get('goose-1'))
  await cluster.env.settle()
  expect(await env.until(get)).toBeUndefined()
  expect(env.timerCount).toBe(0)
})

test('an abort before sending did not happen, one after is told as the peer knows it', async () => {
  const { grid, env, peer } = setUp()
  await expect(env.until(grid.map('carts').put('a', 1, { signal: AbortSignal.abort() }))).rejects.toThrow(AbortedError)
  const controller = new AbortController()
  const put = grid.map('carts').put('a', 1, { signal: controller.signal })
  while (peer.called.length === 0) await Promise.resolve()
  controller.abort()
  await expect(env.until(put)).rejects.toThrow(AbortedError)
})

test('refuses what the wire would not carry, before it is sent', async () => {
  const { grid, env, peer } = setUp()
  await expect(env.until(grid.counter('hits').add(0.5))).rejects.toThrow(InvalidError)
  await expect(env.until(grid.partitions.run(99, []))).rejects.toThrow(InvalidError)
  await expect(env.until(grid.partitions.ask(0, { kind: 'map.get', map: 'm' } as never))).rejects.toThrow(InvalidError)
  expect(peer.called).toEqual([])
})

test('each answer of the peer is its own kind of error', async () => {
  const { grid, env, peer } = setUp()
  const refused = (code: string) =>
    ({ kind: 'refused', code, message: 'm', operation: 0, detail: null }) as LonePeer['answers'][number]
  const codes = [
    'STALE_TOKEN',
    'FULL',
    'TOO_MANY_OPEN',
    'WRONG_TYPE',
    'INVALID',
    'NOT_FOUND',
    'GRID_FULL',
    'NOT_ENOUGH_COPIES',
    'SESSION_ENDED',
    'CLOSED',
  ]
  peer.answers.push(...codes.map(refused), { kind: 'unavailable', message: 'm' })
  const seen: unknown[] = []
  for (let n = 0; n <= codes.length; n++)
    seen.push(
      await env.until(
        grid
          .counter('c')
          .add()
          .catch((error: { code: string }) => error.code),
      ),
    )
  expect(seen).toEqual([
    'STALE_TOKEN',
    'FULL',
    'FULL',
    'WRONG_TYPE',
    'INVALID',
    'CONFLICT',
    'GRID_FULL',
    'NOT_ENOUGH_COPIES',
    'UNAVAILABLE',
    'CLOSED',
    'UNAVAILABLE',
  ])
})

test('a read that nobody could answer did not happen, however it was lost', async () => {
  const { grid, env, peer } = setUp()
  peer.answers.push({ kind: 'indeterminate', message: 'this member stopped' })
  await expect(env.until(grid.map('carts').get('a'))).rejects.toThrow(UnavailableError)
})

test('a closed grid refuses at once, waiting calls too', async () => {
  const env = new VirtualEnv()
  const grid = new MemberGrid({ env, name: 'goose-1' })
  const waiting = grid.map('carts').get('a')
  await grid.close()
  await expect(env.until(waiting)).rejects.toThrow(ClosedError)
  await expect(env.until(grid.map('carts').get('a'))).rejects.toThrow(ClosedError)
})

test('puts of one turn in one partition are one command, a second of the same key and whatever is conditional come after', async () => {
  const { grid, env, peer } = setUp()
  const carts = grid.map<number>('carts')
  const home = grid.partitions.of('a')
  const near: string[] = []
  for (let at = 0; near.length < 2; at++) if (grid.partitions.of(`k${at}`) === home) near.push(`k${at}`)
  const [b, c] = near as [string, string]
  await env.until(carts.put('a', 0))
  peer.called.length = 0
  const versions = Promise.all([carts.put('a', 1), carts.put(b, 2), carts.put('a', 3), carts.put(c, 4)])
  const isDeleted = carts.delete('a')
  const own = carts.put(b, 5, { deadline: '1s' })
  const [[first, second, third, fourth]] = await env.until(Promise.all([versions, isDeleted, own]))
  const keys = peer.called.map(operations =>
    operations.map(({ kind, ...rest }) => `${kind} ${(rest as { key: string }).key}`),
  )
  expect(keys).toEqual([
    ['map.put a', `map.put ${b}`],
    ['map.put a', `map.put ${c}`],
    ['map.delete a'],
    [`map.put ${b}`],
  ])
  expect(new Set([first, second, third, fourth].map(version => version?.join())).size).toBe(4)
  expect(await env.until(carts.get('a'))).toBeUndefined()
  expect(await env.until(Promise.all([carts.get(b), carts.get(c)]))).toEqual([5, 4])
})

test('puts wait for the answer to those of their partition that are under way, and travel together, but not for long', async () => {
  const { grid, env, peer } = setUp()
  const carts = grid.map<number>('carts')
  const home = grid.partitions.of('a')
  const near: string[] = []
  for (let at = 0; near.length < 3; at++) if (grid.partitions.of(`k${at}`) === home) near.push(`k${at}`)
  const [b, c, d] = near as [string, string, string]
  const lengths = (): number[] => peer.called.map(operations => operations.length)
  peer.answerMs = 20
  const puts = [carts.put('a', 1)]
  await env.advance(1)
  puts.push(carts.put(b, 2))
  await env.advance(1)
  puts.push(carts.put(c, 3))
  await env.advance(10)
  expect(lengths()).toEqual([1])
  await env.until(Promise.all(puts))
  expect(lengths()).toEqual([1, 2])
  peer.answerMs = 1_000
  const slow = carts.put('a', 4)
  await env.advance(1)
  const held = carts.put(d, 5)
  await env.advance(20)
  expect(lengths()).toEqual([1, 2, 1])
  await env.advance(80)
  expect(lengths()).toEqual([1, 2, 1, 1])
  await env.until(Promise.all([slow, held]))
})
