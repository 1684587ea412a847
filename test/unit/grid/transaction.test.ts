import { expect, test } from 'vitest'
import { ClosedError, ConflictError, StaleTokenError } from '../../../lib/base/errors.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import type { Transaction } from '../../../lib/grid/handles.ts'
import { LoneCluster, type LonePeer } from './lone-peer.ts'

function setUp() {
  const [cluster, one, two] = LoneCluster.of('one', 'two') as [LoneCluster, MemberGrid, MemberGrid]
  return { cluster, one, two, env: cluster.env, peer: cluster.peers.get('one') as LonePeer }
}

test('commits everything at once: map, queue, counter', async () => {
  const { one, env, peer } = setUp()
  await env.until(one.queue<string>('in').put('order 1'))
  const [message] = await env.until(one.queue<string>('in').receive())
  peer.called.length = 0
  const id = await env.until(
    one.transaction(tx => {
      tx.queue('in').ack({ token: message?.token ?? '' })
      tx.map<number>('seen').put('order 1', 1)
      tx.counter('orders').add(2)
      tx.counter('orders').add(3)
      return tx.queue('out').put('order 1', { group: 'c42' })
    }),
  )
  expect(peer.called).toHaveLength(1)
  const out = await env.until(one.queue('out').receive())
  expect(out.map(each => [each.id, each.body, each.group])).toEqual([[id, 'order 1', 'c42']])
  expect(await env.until(one.counter('orders').get())).toBe(5)
  expect((await env.until(one.queue('in').counts())).total).toBe(0)
})

test('nothing happens when one thing does not hold', async () => {
  const { one, env } = setUp()
  const commit = one.transaction(tx => {
    tx.map<number>('seen').put('order 1', 1)
    tx.lock('nightly').verify(17)
  })
  await expect(env.until(commit)).rejects.toThrow(StaleTokenError)
  expect(await env.until(one.map('seen').has('order 1'))).toBe(false)
})

test('nothing happens when its function throws', async () => {
  const { one, env, peer } = setUp()
  const commit = one.transaction(tx => {
    tx.map<number>('seen').put('order 1', 1)
    throw new Error('changed my mind')
  })
  await expect(env.until(commit)).rejects.toThrow('changed my mind')
  expect(peer.called).toEqual([])
})

test('sees what it wrote, and what it read stays as it read it', async () => {
  const { one, two, env } = setUp()
  await env.until(one.map<number>('m').put('a', 1))
  const seen = await env.until(
    one.transaction(async tx => {
      const map = tx.map<number>('m')
      const first = await map.get('a')
      map.put('b', 2)
      const own = await map.get('b')
      map.delete('b')
      return [first, await map.get('a'), own, await map.get('b')]
    }),
  )
  expect(seen).toEqual([1, 1, 2, undefined])
  expect(await env.until(two.map('m').has('b'))).toBe(false)
})

test('runs again when what it read has changed, and then counts what the other did', async () => {
  const { one, two, env } = setUp()
  let runs = 0
  const increment = async (tx: Transaction): Promise<void> => {
    const map = tx.map<number>('m')
    const before = (await map.get('n')) ?? 0
    if (++runs === 1) await two.map<number>('m').put('n', 10)
    map.put('n', before + 1)
  }
  await env.until(one.transaction(increment))
  expect([runs, await env.until(one.map('m').get('n'))]).toEqual([2, 11])
})

test('transfers between accounts keep the sum, and every read of all sees it', async () => {
  const { one, two, env } = setUp()
  const accounts = ['a', 'b', 'c', 'd']
  await env.until(Promise.all(accounts.map(each => one.map<number>('bank').put(each, 100))))
  const move = (grid: MemberGrid, from: string, to: string, amount: number): Promise<void> =>
    grid.transaction(
      async tx => {
        const bank = tx.map<number>('bank')
        const [source, target] = [await bank.get(from), await bank.get(to)]
        bank.put(from, (source ?? 0) - amount)
        bank.put(to, (target ?? 0) + amount)
      },
      { deadline: '1m' },
    )
  const total = (): Promise<number> =>
    two.transaction(
      async tx => {
        let sum = 0
        for (const each of accounts) sum += (await tx.map<number>('bank').get(each)) ?? 0
        return sum
      },
      { deadline: '1m' },
    )
  const totals = [total()]
  const moves: Promise<void>[] = []
  for (let n = 0; n < 20; n++) {
    const [from, to] = [accounts[n % 4] as string, accounts[(n * 3 + 1) % 4] as string]
    if (from !== to) moves.push(move(n % 2 === 0 ? one : two, from, to, n))
    if (n % 5 === 0) totals.push(total())
  }
  await env.until(Promise.all(moves))
  expect(new Set(await env.until(Promise.all(totals)))).toEqual(new Set([400]))
})

test('gives up as a conflict when others are always faster', async () => {
  const { one, two, env } = setUp()
  const commit = one.transaction(async tx => {
    const map = tx.map<number>('m')
    const before = (await map.get('n')) ?? 0
    await two.map<number>('m').put('n', before + 100)
    map.put('n', before + 1)
  })
  const sinceMs = env.monotonicMs
  await expect(env.until(commit)).rejects.toThrow(ConflictError)
  expect(env.monotonicMs - sinceMs).toBeLessThanOrEqual(5_000)
})

test('a conflict that another run would not mend is told at once', async () => {
  const { one, env } = setUp()
  let runs = 0
  const commit = one.transaction(tx => {
    runs++
    tx.group('join').release({ partition: 0, generation: 7 })
  })
  await expect(env.until(commit)).rejects.toThrow(ConflictError)
  expect(runs).toBe(1)
})

test('is over when its function is', async () => {
  const { one, env } = setUp()
  let kept: Transaction | undefined
  await env.until(one.transaction(tx => void (kept = tx)))
  expect(() => kept?.map('m').put('a', 1)).toThrow(ClosedError)
})
