/** The doors of three peers over real libp2p on loopback: one keyspace and one API whichever peer is asked, also when one dies. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Door } from '../../lib/gateway/door.ts'
import { startHttpDoor } from '../../lib/gateway/http/http-door.ts'
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import { join } from '../../lib/index.ts'

interface Peer {
  readonly grid: Grid
  readonly http: Door
  readonly resp: Door
}

let peers: Peer[]
let clients: Redis[]

beforeAll(async () => {
  peers = []
  for (const name of ['goose-1', 'goose-2', 'goose-3']) {
    const seeds = peers.flatMap(({ grid }) => grid.addresses)
    const grid = await join({ name, seeds, memory: '256MB', partitions: 31, deadline: '30s' })
    const [http, resp] = await Promise.all([
      startHttpDoor(grid, { listen: '127.0.0.1:0' }),
      startRespDoor(grid, { listen: '127.0.0.1:0' }),
    ])
    peers.push({ grid, http, resp })
  }
  for (const { http } of peers) await ready(http)
  clients = peers.map(({ resp }) => new Redis({ port: resp.port, maxRetriesPerRequest: 0 }))
  for (const client of clients) client.on('error', () => undefined)
})

afterAll(async () => {
  for (const client of clients) client.disconnect()
  await Promise.all(peers.flatMap(({ http, resp }) => [http.close({ graceMs: 0 }), resp.close({ graceMs: 0 })]))
  await Promise.all(peers.map(({ grid }) => grid.close()))
})

/** Asks as a balancer does. */
async function ready(http: Door): Promise<void> {
  while ((await fetch(`http://${http.address}/-/ready`)).status !== 200) await new Promise(setImmediate)
}

async function api(at: number, method: string, path: string, body: object, key: string): Promise<unknown> {
  const response = await fetch(`http://${(peers[at] as Peer).http.address}${path}`, {
    method,
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
  })
  const answer: unknown = await response.json()
  if (!response.ok) throw new Error(JSON.stringify(answer))
  return answer
}

function client(at: number): Redis {
  return clients[at] as Redis
}

test('what one member wrote every other reads', async () => {
  const keys = Array.from({ length: 60 }, (_, n) => `k${n}`)
  await Promise.all(keys.map((key, n) => client(n % 3).set(key, n)))
  expect(await client(1).mget(keys)).toEqual(keys.map((_, n) => `${n}`))
  await client(2).mset({ x: 1, y: 2, z: 3, w: 4 })
  expect(await client(0).del('x', 'y', 'none', 'z')).toBe(3)
  expect(await client(1).exists('x', 'y', 'z', 'w')).toBe(1)
  expect(await client(0).dbsize()).toBe(61)
  const found: string[] = []
  for await (const page of client(2).scanStream({ count: 5 })) found.push(...(page as string[]))
  expect(new Set(found)).toEqual(new Set([...keys, 'w']))
  await client(1).flushall()
  expect(await client(2).dbsize()).toBe(0)
})

test('a pop blocked at one member takes what another pushes', async () => {
  const popper = client(0).duplicate()
  try {
    const popped = popper.blpop('list', 10)
    await client(2).rpush('list', 'x')
    expect(await popped).toEqual(['list', 'x'])
  } finally {
    popper.disconnect()
  }
})

test('a killed member takes nothing with it that was acknowledged, and no write happens twice', async () => {
  const written = new Map<string, number>()
  let isOver = false
  // Each writer goes on to the other member when one refuses, with the same key until it is answered.
  const writer = async (id: number): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const counter = `counter-${id}-${n % 10}`
      for (let at = id; ; at++) {
        try {
          await api(at % 2, 'POST', `/v1/counters/${counter}`, { by: 1 }, `${id}/${n}`)
          break
        } catch {
          // Asked again elsewhere.
        }
      }
      written.set(counter, (written.get(counter) ?? 0) + 1)
    }
  }
  const setter = async (): Promise<number> => {
    let n = 0
    while (!isOver) {
      const isSet = await client(1)
        .set(`set-${n}`, n)
        .then(
          () => true,
          () => false,
        )
      if (isSet) n++
    }
    return n
  }
  const working = [0, 1, 2, 3].map(writer)
  const setting = setter()
  const { grid, http, resp } = peers.pop() as Peer
  while (written.size < 20) await new Promise(setImmediate)
  const before = [...written.values()].reduce((sum, count) => sum + count)
  await grid.close()
  await Promise.all([http.close({ graceMs: 0 }), resp.close({ graceMs: 0 })])
  // It goes on without the third.
  while ([...written.values()].reduce((sum, count) => sum + count) < before + 100) await new Promise(setImmediate)
  isOver = true
  await Promise.all(working)
  const setCount = await setting
  for (const [counter, count] of written)
    expect([counter, await (peers[0] as Peer).grid.counter(counter).get()]).toEqual([counter, count])
  for (let n = 0; n < setCount; n++) expect(await client(0).get(`set-${n}`)).toBe(`${n}`)
})
