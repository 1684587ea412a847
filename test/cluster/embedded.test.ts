/** Three peers in this process over real libp2p on loopback: what users hold works from each of them, and when one dies. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Emit } from '../../lib/base/machine.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import { join } from '../../lib/index.ts'

const events: Emit[] = []
const settings = { onEvent: (event: Emit) => void events.push(event), memory: '256MB', deadline: '20s' } as const

/** Resolves when the event brings what is wanted, or has brought it already. */
async function until(grid: Grid, isSo: () => boolean): Promise<void> {
  if (isSo()) return
  await new Promise<void>(resolve => {
    const stops = (['safety', 'state'] as const).map(event => grid.on(event, look))
    function look(): void {
      if (!isSo()) return
      for (const stop of stops) stop()
      resolve()
    }
  })
}

async function flock(names: readonly string[], options: object = {}): Promise<Grid[]> {
  const grids: Grid[] = []
  for (const name of names) {
    const seeds = grids.flatMap(grid => grid.addresses)
    grids.push(await join({ ...settings, ...options, name, seeds }))
  }
  const [first] = grids as [Grid]
  // Safe, and balanced: each owns its share.
  const isSettled = (): boolean => {
    const { safety, members, partitions } = first.status()
    const share = Math.floor(partitions.count / names.length)
    return safety.level === 1 && members.every(member => member.owned >= share)
  }
  await until(first, isSettled)
  return grids
}

describe('three embedded peers', () => {
  let grids: Grid[]
  beforeAll(async () => {
    grids = await flock(['goose-1', 'goose-2', 'goose-3'])
  })
  afterAll(async () => {
    await Promise.all(grids.map(grid => grid.close()))
  })
  /** Every pair of a writer and a reader. */
  const pairs = (): (readonly [Grid, Grid])[] => grids.flatMap(a => grids.map(b => [a, b] as const))

  test('a map is the same from everywhere', async () => {
    for (const [a, b] of pairs()) {
      const key = `${a.name}-${b.name}`
      await a.map<string>('carts').put(key, a.name)
      expect(await b.map('carts').get(key)).toBe(a.name)
      await b.map<string>('carts').update(key, value => `${value} ${b.name}`)
      expect(await a.map('carts').get(key)).toBe(`${a.name} ${b.name}`)
    }
    expect(await grids[0]?.map('carts').size()).toBe(9)
  })

  test('counters and updates lose nothing when all write at once', async () => {
    const writes = grids.flatMap(grid =>
      Array.from({ length: 10 }, async (_, n) => {
        await grid.counter('hits').add(n)
        await grid.map<number>('m').update('n', value => (value ?? 0) + 1, { deadline: '20s' })
      }),
    )
    await Promise.all(writes)
    expect(await grids[1]?.counter('hits').get()).toBe(135)
    expect(await grids[2]?.map('m').get('n')).toBe(30)
  })

  test('a lock passes from peer to peer with a growing fence', async () => {
    let holders = 0
    let most = 0
    const fences: number[] = []
    const run = (grid: Grid): Promise<void> =>
      grid.lock('nightly').run(
        async ({ fence }) => {
          most = Math.max(most, ++holders)
          fences.push(fence)
          await grid.map('m').put('held', fence)
          holders--
        },
        { deadline: '20s' },
      )
    await Promise.all([...grids, ...grids].map(run))
    expect(most).toBe(1)
    expect(fences).toEqual(fences.toSorted((a, b) => a - b))
    expect(new Set(fences).size).toBe(6)
  })

  test('messages reach consumers on every peer, each once', async () => {
    const seen: number[] = []
    const workers = grids.map(grid => grid.queue<number>('orders').consume(n => void seen.push(n), { concurrency: 8 }))
    const puts = Array.from({ length: 300 }, (_, n) => (grids[n % 3] as Grid).queue<number>('orders').put(n))
    await Promise.all(puts)
    while ((await (grids[0] as Grid).queue('orders').counts()).total > 0);
    await Promise.all(workers.map(worker => worker.stop()))
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })

  test('one peer receives what another put', async () => {
    for (const [a, b] of pairs()) {
      await a.queue('handed').put(`${a.name} to ${b.name}`)
      const [message] = await b.queue('handed').receive({ wait: '5s' })
      expect(message?.body).toBe(`${a.name} to ${b.name}`)
      await message?.ack()
    }
  })

  test('a transaction over several partitions is all or nothing from everywhere', async () => {
    const accounts = Array.from({ length: 6 }, (_, n) => `account-${n}`)
    await Promise.all(accounts.map(each => (grids[0] as Grid).map<number>('bank').put(each, 100)))
    const move = (grid: Grid, n: number): Promise<void> =>
      grid.transaction(
        async tx => {
          const bank = tx.map<number>('bank')
          const [from, to] = [accounts[n % 6] as string, accounts[(n + 1 + (n % 4)) % 6] as string]
          const [source, target] = [await bank.get(from), await bank.get(to)]
          bank.put(from, (source ?? 0) - n)
          bank.put(to, (target ?? 0) + n)
        },
        { deadline: '20s' },
      )
    await Promise.all(Array.from({ length: 18 }, (_, n) => move(grids[n % 3] as Grid, n)))
    const total = await (grids[2] as Grid).transaction(async tx => {
      let sum = 0
      for (const each of accounts) sum += (await tx.map<number>('bank').get(each)) ?? 0
      return sum
    })
    expect(total).toBe(600)
  })

  test('an aggregator joins halves that came in at different peers', async () => {
    for (const [a, b] of pairs()) {
      const key = `${a.name}-${b.name}`
      const settings = { complete: { each: ['head', 'payload'] } }
      const body = new Uint8Array([1])
      await a.group('join', settings).add(key, { source: 'head', id: 'h', body })
      const added = await b.group('join', settings).add(key, { source: 'payload', id: 'p', body })
      expect(added).toMatchObject({ state: 'closed', pieces: 2 })
    }
  })

  test('the same idempotency key at another peer gets the first answer', async () => {
    const [a, b] = grids as [Grid, Grid]
    const first = await a.map('carts').put('once', 1, { idempotencyKey: 'request-1' })
    expect(await b.map('carts').put('once', 1, { idempotencyKey: 'request-1' })).toEqual(first)
  })

  test('definitions are agreed on', async () => {
    const [a, b] = grids as [Grid, Grid]
    expect(await a.define('flow/x', { v: 1 })).toEqual({ v: 1 })
    expect(await b.define('flow/x', { v: 2 })).toEqual({ v: 1 })
  })

  test('a number that the wire cannot carry hurts nobody', async () => {
    await expect((grids[0] as Grid).counter('hits').add(0.5)).rejects.toThrow(/unsigned|integer/)
    expect(events.filter(event => event.event.startsWith('transport.refused'))).toEqual([])
  })
})

describe('when a peer dies', () => {
  test('the others go on with everything it had acknowledged', async () => {
    const [a, b, c] = (await flock(['duck-1', 'duck-2', 'duck-3'])) as [Grid, Grid, Grid]
    const written = Array.from({ length: 200 }, (_, n) => `key-${n}`)
    await Promise.all(written.map(key => b.map<string>('m').put(key, key)))
    await b.queue<string>('orders').putAll(written)
    const taken = await b.queue<string>('orders').receive({ max: 50 })
    expect(taken.length).toBeGreaterThan(0)
    await b.close()
    // Its leases end with it: what it had in hand comes back, attempt 2.
    const values = await Promise.all(written.map(key => a.map('m').get(key)))
    expect(values).toEqual(written)
    const seen = new Map<string, number>()
    const worker = c
      .queue<string>('orders')
      .consume(body => void seen.set(body, (seen.get(body) ?? 0) + 1), { concurrency: 16 })
    while ((await a.queue('orders').counts()).total > 0);
    await worker.stop()
    expect([...seen.keys()].toSorted()).toEqual(written.toSorted())
    await until(a, () => a.status().partitions.copies === 2)
    expect(a.status().members).toHaveLength(2)
    await Promise.all([a.close(), c.close()])
  })

  test('one that leaves hands everything over first', async () => {
    const [a, b, c] = (await flock(['swan-1', 'swan-2', 'swan-3'])) as [Grid, Grid, Grid]
    await Promise.all(Array.from({ length: 50 }, (_, n) => b.map<number>('m').put(`k${n}`, n)))
    expect(await b.leave()).toMatchObject({ isHandedOver: true })
    await b.close()
    expect(await c.map('m').size()).toBe(50)
    expect(a.status().members.map(member => member.name)).toEqual(['swan-1', 'swan-3'])
    await Promise.all([a.close(), c.close()])
  })
})

describe('clusters of different names', () => {
  test('never join, and say why', async () => {
    const shop = await join({ ...settings, name: 'shop-1', cluster: 'shop' })
    const stray = join({ ...settings, name: 'stray-1', cluster: 'market', seeds: shop.addresses, deadline: '1s' })
    await expect(stray).rejects.toThrow(/could not join cluster market/)
    expect(shop.status().members).toHaveLength(1)
    expect(events.some(event => event.event === 'network.refused' && event.fields['code'] === 'secret')).toBe(true)
    await shop.close()
  })
})
