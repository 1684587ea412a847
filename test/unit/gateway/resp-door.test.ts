/** The RESP door with real clients over fake grids: what parity with one redis-server cannot show. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import type { Door } from '../../../lib/gateway/door.ts'
import { startRespDoor } from '../../../lib/gateway/resp/resp-door.ts'
import { FakeCluster, type FakeGrid } from './fake-grid.ts'

let cluster: FakeCluster
let here: FakeGrid
let doors: Door[]
let clients: Redis[]
let sockets: Socket[]

beforeEach(async () => {
  cluster = new FakeCluster('goose-1', 'goose-2')
  here = cluster.members[0] as FakeGrid
  clients = []
  sockets = []
  doors = await Promise.all(cluster.members.map(({ grid }) => startRespDoor(grid, { listen: '127.0.0.1:0' })))
})

afterEach(async () => {
  for (const client of clients) client.disconnect()
  for (const socket of sockets) socket.destroy()
  await Promise.all(doors.map(door => door.close({ graceMs: 0 })))
  cluster.close()
})

function client(at = 0, options: object = {}): Redis {
  const made = new Redis({ port: (doors[at] as Door).port, retryStrategy: null, ...options })
  made.on('error', () => undefined)
  clients.push(made)
  return made
}

async function raw(
  at = 0,
): Promise<{ socket: Socket; say: (text: string) => void; until: (end: string) => Promise<string> }> {
  const socket = connect((doors[at] as Door).port, '127.0.0.1')
  sockets.push(socket)
  await once(socket, 'connect')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  return {
    socket,
    say: said => void socket.write(said),
    until: async end => {
      while (!text.endsWith(end)) await Promise.race([once(socket, 'data'), once(socket, 'close')])
      const heard = text
      text = ''
      return heard
    },
  }
}

/** Resolves once so many clients wait for lists at a door. */
async function waiting(at: number, count: number): Promise<void> {
  const asker = client(at)
  while (!(await asker.info('clients')).includes(`blocked_clients:${count}\r\n`)) await new Promise(setImmediate)
}

describe('a pipeline', () => {
  test('is answered in order, and reads its own writes', async () => {
    here.peer.callTurns = 3
    const redis = client()
    const pipeline = redis.pipeline()
    for (let n = 0; n < 100; n++) pipeline.incr('n').get('n').set(`k${n}`, n).get(`k${n}`)
    const results = (await pipeline.exec()) as [unknown, unknown][]
    const wanted = Array.from({ length: 100 }, (_, n) => [n + 1, `${n + 1}`, 'OK', `${n}`]).flat()
    expect(results.map(([, value]) => value)).toEqual(wanted)
  })

  test('of equal commands on one key answers each as if it had run alone', async () => {
    here.peer.callTurns = 3
    const redis = client()
    const pipeline = redis.pipeline()
    for (let n = 0; n < 4; n++) pipeline.incr('n')
    pipeline.get('n').decr('n').decr('n').get('n')
    for (let n = 0; n < 4; n++) pipeline.rpush('l', `${n}a`, `${n}b`)
    for (let n = 0; n < 3; n++) pipeline.lpush('l', `${n}c`)
    pipeline.lrange('l', 0, -1)
    for (let n = 0; n < 12; n++) pipeline.lpop('l')
    for (let n = 0; n < 3; n++) pipeline.set('s', n)
    pipeline.get('s').set('s', 7).set('s', 8, 'NX').set('s', 9).get('s')
    const results = ((await pipeline.exec()) as [unknown, unknown][]).map(([, value]) => value)
    const list = ['2c', '1c', '0c', '0a', '0b', '1a', '1b', '2a', '2b', '3a', '3b']
    expect(results).toEqual([
      1,
      2,
      3,
      4,
      '4',
      3,
      2,
      '2',
      2,
      4,
      6,
      8,
      9,
      10,
      11,
      list,
      ...list,
      null,
      ...Array(3).fill('OK'),
      '2',
      'OK',
      null,
      'OK',
      '9',
    ])
  })

  test('of equal commands tells each its own refusal', async () => {
    here.peer.callTurns = 3
    const redis = client()
    await redis.set('n', '9223372036854775804')
    await redis.set('s', 'text')
    const pipeline = redis.pipeline()
    for (let n = 0; n < 5; n++) pipeline.incr('n')
    for (let n = 0; n < 3; n++) pipeline.rpush('s', 'x')
    const results = ((await pipeline.exec()) as [Error | null, unknown][]).map(([error]) => error?.message ?? 'done')
    const overflow = 'ERR increment or decrement would overflow'
    const wrongType = 'WRONGTYPE Operation against a key holding the wrong kind of value'
    expect(results).toEqual(['done', 'done', 'done', overflow, overflow, wrongType, wrongType, wrongType])
    expect(await redis.get('n')).toBe('9223372036854775807')
  })

  test('of equal commands tells all of them what became of none', async () => {
    here.peer.callTurns = 3
    const redis = client()
    await redis.ping()
    here.peer.answers.push({ kind: 'done', results: ['1'] }, { kind: 'indeterminate', message: 'no answer' })
    const results = (await redis.pipeline().incr('n').incr('n').incr('n').exec()) as [Error | null, unknown][]
    expect(results.map(([error, value]) => error?.message ?? value)).toEqual([
      1,
      'INDETERMINATE no answer',
      'INDETERMINATE no answer',
    ])
  })

  test('sees with DBSIZE all that it wrote before, and nothing that it writes after', async () => {
    here.peer.callTurns = 3
    const redis = client()
    const pipeline = redis.pipeline()
    for (let n = 0; n < 50; n++) pipeline.set(`a${n}`, n)
    pipeline.dbsize()
    for (let n = 0; n < 50; n++) pipeline.set(`b${n}`, n)
    pipeline.dbsize()
    const results = (await pipeline.exec()) as [unknown, unknown][]
    expect([results[50]?.[1], results[101]?.[1]]).toEqual([50, 100])
  })

  test('of ten thousand commands does not stop', async () => {
    const redis = client()
    const all = await Promise.all(Array.from({ length: 10_000 }, (_, n) => redis.append('long', String(n % 10))))
    expect(all.at(-1)).toBe(10_000)
  })
})

describe('several keys', () => {
  test('are written and deleted from any member, and counted exactly', async () => {
    const [a, b] = [client(0), client(1)]
    expect(await a.mset({ x: 1, y: 2, z: 3, w: 4 })).toBe('OK')
    expect(await b.mget('x', 'y', 'z', 'w')).toEqual(['1', '2', '3', '4'])
    expect(await b.del('x', 'none', 'y', 'x')).toBe(2)
    expect(await a.exists('x', 'y', 'z', 'w')).toBe(2)
  })

  test('are deleted once each by many who try at the same time', async () => {
    const keys = Array.from({ length: 20 }, (_, n) => `key${n}`)
    await client().mset(keys.flatMap(key => [key, 'v']))
    const counts = await Promise.all([0, 1, 0, 1].map(at => client(at).del(keys)))
    expect(counts.reduce((sum, count) => sum + count)).toBe(20)
  })
})

describe('scan', () => {
  test('returns what is there throughout once at least, while other keys come and go', async () => {
    const redis = client()
    const stays = Array.from({ length: 300 }, (_, n) => `stays:${n}`)
    await redis.mset(stays.flatMap(key => [key, 'v']))
    const found = new Set<string>()
    let cursor = '0'
    let round = 0
    do {
      // Each page is asked of another member, as after a failover.
      const [next, keys] = await client(round % 2).scan(cursor, 'MATCH', 'stays:*', 'COUNT', 7)
      for (const key of keys) found.add(key)
      await redis.set(`comes:${round}`, 'v')
      if (round > 0) await redis.del(`comes:${round - 1}`)
      cursor = next
      round++
    } while (cursor !== '0')
    expect(found).toEqual(new Set(stays))
    expect(round).toBeGreaterThan(20)
  })

  test('ends at a cursor beyond the end', async () => {
    expect(await client().scan('18446744073709551615')).toEqual(['0', []])
  })
})

describe('blocking pops', () => {
  test('are served in the order they came, by a push through another member', async () => {
    const order: string[] = []
    const pops: Promise<unknown>[] = []
    for (const name of ['first', 'second', 'third']) {
      pops.push(
        client()
          .blpop('list', 0)
          .then(popped => order.push(`${name} ${popped?.[1]}`)),
      )
      await waiting(0, pops.length)
    }
    await client(1).rpush('list', 'a', 'b', 'c')
    await Promise.all(pops)
    expect(order).toEqual(['first a', 'second b', 'third c'])
  })

  test('take from the first of several lists, one element a client', async () => {
    const pop = client().brpop('one', 'two', 0)
    await waiting(0, 1)
    const pusher = client()
    await pusher.rpush('two', 'x', 'y')
    expect(await pop).toEqual(['two', 'y'])
    expect(await pusher.lrange('two', 0, -1)).toEqual(['x'])
  })

  test('stand behind those who wait already, also where something has come meanwhile', async () => {
    const late = client()
    await late.ping()
    const first = client().blpop('list', 0)
    await waiting(0, 1)
    // Through the other member, so that this one has not noticed yet.
    await client(1).lpush('list', 'x')
    const second = late.blpop('list', 0)
    expect(await first).toEqual(['list', 'x'])
    await client().lpush('list', 'y')
    expect(await second).toEqual(['list', 'y'])
  })

  test('end with their client, and take nothing any more', async () => {
    const gone = await raw()
    gone.say('BLPOP list 0\r\n')
    await waiting(0, 1)
    gone.socket.destroy()
    await waiting(0, 0)
    const redis = client()
    await redis.rpush('list', 'x')
    expect(await redis.lrange('list', 0, -1)).toEqual(['x'])
  })

  test('hold back what their connection asks behind them, and nobody else', async () => {
    const { say, until } = await raw()
    say('BLPOP list 0\r\nPING\r\n')
    await waiting(0, 1)
    await client().rpush('list', 'x')
    expect(await until('+PONG\r\n')).toBe('*2\r\n$4\r\nlist\r\n$1\r\nx\r\n+PONG\r\n')
  })

  test('stay blocked while the key holds something else', async () => {
    const pop = client().blpop('key', 0)
    await waiting(0, 1)
    const redis = client()
    await redis.set('key', 'no list')
    await redis.del('key')
    await redis.rpush('key', 'x')
    expect(await pop).toEqual(['key', 'x'])
  })
})

describe('refusals', () => {
  test.each([
    [{ kind: 'unavailable', message: 'no owner' }, 'CLUSTERDOWN no owner'],
    [{ kind: 'indeterminate', message: 'no answer' }, 'INDETERMINATE no answer'],
    [
      { kind: 'refused', code: 'GRID_FULL', message: 'full', operation: 0, detail: null },
      "OOM command not allowed when used memory > 'maxmemory'.",
    ],
    [{ kind: 'refused', code: 'NOT_ENOUGH_COPIES', message: 'one', operation: 0, detail: null }, 'CLUSTERDOWN one'],
  ] as const)('%o is told as %s', async (settled, text) => {
    here.peer.answers.push(settled)
    await expect(client().set('a', '1')).rejects.toThrow(text)
  })

  test('of one command leave those beside it as they are', async () => {
    here.peer.answers.push({ kind: 'unavailable', message: 'no owner' })
    const results = await client(0, { enableReadyCheck: false }).pipeline().set('a', 1).set('b', 2).get('b').exec()
    expect(results?.map(([error, value]) => error?.message ?? value)).toEqual(['CLUSTERDOWN no owner', 'OK', '2'])
  })
})

describe('access', () => {
  test('without a token is on loopback only', async () => {
    await expect(startRespDoor(here.grid, { listen: '0.0.0.0:0' })).rejects.toThrow(InvalidError)
  })

  test('with a token is by AUTH', async () => {
    const door = await startRespDoor(here.grid, { listen: '0.0.0.0:0', accessToken: 'hush' })
    doors.push(door)
    const at = doors.length - 1
    const { say, until } = await raw(at)
    say('GET a\r\nAUTH wrong\r\nAUTH hush\r\nPING\r\n')
    expect(await until('+PONG\r\n')).toBe(
      '-NOAUTH Authentication required.\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n+PONG\r\n',
    )
    expect(await client(at, { password: 'hush' }).set('a', 1)).toBe('OK')
    const hello = await raw(at)
    hello.say('HELLO 3 AUTH default hush\r\nGET none\r\n')
    expect(await hello.until('_\r\n')).toMatch(/^%7\r\n\$6\r\nserver/)
  })

  test('refuses a stranger a large value before it comes', async () => {
    doors.push(await startRespDoor(here.grid, { listen: '127.0.0.1:0', accessToken: 'hush' }))
    const { say, until } = await raw(doors.length - 1)
    say('*1\r\n$1000000\r\n')
    expect(await until('length\r\n')).toBe('-ERR Protocol error: unauthenticated bulk length\r\n')
  })

  test('tells those too many', async () => {
    doors.push(await startRespDoor(here.grid, { listen: '127.0.0.1:0', connectionsMax: 1 }))
    const first = await raw(doors.length - 1)
    first.say('PING\r\n')
    await first.until('+PONG\r\n')
    const second = await raw(doors.length - 1)
    expect(await second.until('\r\n')).toBe('-ERR max number of clients reached\r\n')
  })
})

test('garbage ends a connection with one line in the log, and nothing else', async () => {
  const { say, socket } = await raw()
  say('*1\r\n:garbage\r\n')
  await once(socket, 'close')
  const warned = here.events.filter(({ level }) => level === 'warn')
  expect(warned.map(({ event, fields }) => [event, fields['reason']])).toEqual([
    ['resp.refused', "expected '$', got ':'"],
  ])
  expect(await client().ping()).toBe('PONG')
})

test('a client that talks on after garbage hears why, and is cut off', async () => {
  const socket = connect({ port: (doors[0] as Door).port, host: '127.0.0.1', allowHalfOpen: true })
  sockets.push(socket)
  let heard = ''
  socket.on('data', chunk => (heard += chunk.toString()))
  socket.on('error', () => undefined)
  const closed = new Promise(resolve => socket.on('close', resolve))
  socket.write('*1\r\n:garbage\r\n')
  const talk = (): void => {
    if (!socket.destroyed) socket.write('more of it', () => setImmediate(talk))
  }
  talk()
  await closed
  expect(heard).toBe("-ERR Protocol error: expected '$', got ':'\r\n")
})

test('a door that closes answers what is in hand, and those who wait for lists', async () => {
  const { say, until, socket } = await raw()
  say('PING\r\nBLPOP list 0\r\n')
  await until('+PONG\r\n')
  await waiting(0, 1)
  const end = once(socket, 'end')
  await (doors[0] as Door).close()
  await end
  expect(await until('*-1\r\n')).toBe('*-1\r\n')
})

test('a client that does not read is not read from for ever', async () => {
  const redis = client()
  await redis.set('large', Buffer.alloc(1_000_000))
  const { socket, say } = await raw()
  socket.pause()
  say('GET large\r\n'.repeat(200))
  // Everybody else is served meanwhile.
  for (let n = 0; n < 50; n++) expect(await redis.incr('n')).toBe(n + 1)
  expect((await client().info('clients')).includes('connected_clients')).toBe(true)
})
