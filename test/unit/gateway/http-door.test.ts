/** The HTTP door over fake grids: two doors of one cluster, so that what one did the other knows. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import type { Door } from '../../../lib/gateway/door.ts'
import { startHttpDoor, type HttpDoorOptions } from '../../../lib/gateway/http/http-door.ts'
import { FakeCluster, type FakeGrid } from './fake-grid.ts'

let cluster: FakeCluster
let here: FakeGrid
let doors: Door[]

beforeEach(async () => {
  cluster = new FakeCluster('goose-1', 'goose-2')
  here = cluster.members[0] as FakeGrid
  doors = await Promise.all(cluster.members.map(({ grid }) => startHttpDoor(grid, { listen: '127.0.0.1:0' })))
})

afterEach(async () => {
  await Promise.all(doors.map(door => door.close({ graceMs: 0 })))
  cluster.close()
})

async function open(options: Partial<HttpDoorOptions>): Promise<number> {
  return doors.push(await startHttpDoor(here.grid, { listen: '127.0.0.1:0', ...options })) - 1
}

interface Said {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

interface Asked {
  readonly at?: number
  readonly headers?: Record<string, string>
  /** Bytes and text as they are, anything else as JSON. */
  readonly body?: unknown
  readonly signal?: AbortSignal
}

async function ask(method: string, path: string, { at = 0, headers = {}, body, signal }: Asked = {}): Promise<Said> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array || body === undefined
  const response = await fetch(`http://${(doors[at] as Door).address}${path}`, {
    method,
    headers: { ...(!isRaw && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: isRaw ? (body as string) : JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type') === 'application/json'
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text }
}

function refusal(code: string, { retryable = false, indeterminate = false } = {}): object {
  return { code, message: expect.any(String) as string, retryable, indeterminate }
}

describe('maps', () => {
  test('keep a value with its media type, under any key', async () => {
    const path = `/v1/maps/m%C3%A4p/${encodeURIComponent('a/b ?%\u{1f986}')}`
    const bytes = new Uint8Array([0, 1, 255])
    const put = await ask('PUT', path, { body: bytes, headers: { 'content-type': 'image/png' } })
    expect(put.status).toBe(200)
    const got = await fetch(`http://${(doors[1] as Door).address}${path}`)
    expect(got.headers.get('content-type')).toBe('image/png')
    expect(got.headers.get('etag')).toBe(put.headers.get('etag'))
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(bytes)
    const head = await ask('HEAD', path)
    expect([head.status, head.headers.get('content-length'), head.body]).toEqual([200, '3', ''])
  })

  test('give programs the JSON that came in, and doors what programs put', async () => {
    await ask('PUT', '/v1/maps/m/web', { body: { n: 1 } })
    expect(await here.grid.map('m').get('web')).toEqual({ n: 1 })
    await here.grid.map('m').put('program', { list: [1, 'two'] })
    expect((await ask('GET', '/v1/maps/m/program')).body).toEqual({ list: [1, 'two'] })
  })

  test('judge conditions on the version', async () => {
    const path = '/v1/maps/m/k'
    expect((await ask('PUT', path, { body: 'x', headers: { 'if-match': '*' } })).status).toBe(412)
    const first = await ask('PUT', path, { body: 'x', headers: { 'if-none-match': '*' } })
    const etag = first.headers.get('etag') as string
    const again = await ask('PUT', path, { body: 'y', headers: { 'if-none-match': '*' } })
    expect([again.status, again.headers.get('etag')]).toEqual([412, etag])
    expect(again.body).toEqual(refusal('PRECONDITION_FAILED'))
    expect((await ask('GET', path, { headers: { 'if-none-match': etag } })).status).toBe(304)
    const second = await ask('PUT', path, { body: 'y', headers: { 'if-match': etag } })
    expect(second.status).toBe(200)
    expect((await ask('GET', path, { headers: { 'if-match': etag } })).status).toBe(412)
    expect((await ask('DELETE', path, { headers: { 'if-match': etag } })).status).toBe(412)
    const now = second.headers.get('etag') as string
    expect((await ask('DELETE', path, { headers: { 'if-match': now } })).status).toBe(204)
    expect((await ask('GET', path)).body).toEqual(refusal('NOT_FOUND'))
    expect((await ask('DELETE', path)).status).toBe(404)
    expect((await ask('PUT', path, { body: 'x', headers: { 'if-match': 'mine' } })).body).toEqual(refusal('INVALID'))
  })

  test('forget an entry after its ttlMs', async () => {
    await ask('PUT', '/v1/maps/m/k?ttlMs=30', { body: 'x' })
    const remaining = Number((await ask('GET', '/v1/maps/m/k')).headers.get('skein-remaining-ms'))
    expect(remaining).toBeGreaterThan(0)
    while ((await ask('GET', '/v1/maps/m/k')).status === 200) continue
    expect((await ask('PUT', '/v1/maps/m/k?ttlMs=soon', { body: 'x' })).status).toBe(400)
  })
})

describe('an Idempotency-Key', () => {
  const headers = { 'idempotency-key': 'order-17' }

  test('makes a write happen once, and answers the same at any member', async () => {
    const counts = await Promise.all(
      [0, 1, 0].map(at => ask('POST', '/v1/counters/c', { at, headers, body: { by: 5 } })),
    )
    expect(counts.map(({ body }) => body)).toEqual([{ value: 5 }, { value: 5 }, { value: 5 }])
    const ids = await Promise.all([0, 1].map(at => ask('POST', '/v1/queues/q', { at, headers, body: 'x' })))
    expect(ids[0]?.body).toEqual(ids[1]?.body)
    expect((await here.grid.queue('q').counts()).total).toBe(1)
    const puts = await Promise.all(
      [0, 1].map(at => ask('PUT', '/v1/maps/m/k', { at, headers: { ...headers, 'if-none-match': '*' }, body: 'x' })),
    )
    expect(puts.map(({ status }) => status)).toEqual([200, 200])
    expect(puts[0]?.headers.get('etag')).toBe(puts[1]?.headers.get('etag'))
  })

  test('grants a lock once', async () => {
    const first = await ask('POST', '/v1/locks/l?leaseMs=60000', { headers })
    expect((await ask('POST', '/v1/locks/l?leaseMs=60000', { at: 1, headers })).body).toEqual(first.body)
    expect((await ask('POST', '/v1/locks/l?leaseMs=60000', { headers: { 'idempotency-key': 'other' } })).status).toBe(
      409,
    )
    for (const at of [0, 1])
      expect((await ask('DELETE', '/v1/locks/l', { at, headers, body: first.body })).status).toBe(204)
  })

  test('acknowledges once, with one answer', async () => {
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const { body } = await ask('POST', '/v1/queues/q/receive?waitMs=1000')
    const [{ token }] = (body as { messages: [{ token: string }] }).messages
    for (const at of [0, 1]) {
      const acked = await ask('POST', '/v1/queues/q/ack', { at, headers, body: { tokens: [token, '3.7'] } })
      expect(acked.body).toEqual({ accepted: [token], stale: ['3.7'] })
    }
    expect((await ask('POST', '/v1/queues/q/ack', { body: { tokens: [token] } })).body).toEqual({
      accepted: [],
      stale: [token],
    })
  })

  test('has a length', async () => {
    expect(
      (await ask('PUT', '/v1/maps/m/k', { headers: { 'idempotency-key': 'x'.repeat(256) }, body: 'x' })).status,
    ).toBe(400)
  })
})

describe('queues', () => {
  test('hand out messages with bodies by their media type', async () => {
    const bodies = [
      { body: { n: 1 } },
      { body: 'hello', headers: { 'content-type': 'text/plain' } },
      { body: new Uint8Array([1, 2, 255]) },
    ]
    for (const each of bodies) expect((await ask('POST', '/v1/queues/q?group=g', each)).status).toBe(201)
    const seen = []
    for (let n = 0; n < 3; n++) {
      const { body } = await ask('POST', '/v1/queues/q/receive?max=5&waitMs=1000', { at: 1 })
      const { messages } = body as { messages: { token: string; body: unknown; encoding?: string; attempt: number }[] }
      for (const { body: inner, encoding, attempt } of messages) seen.push([inner, encoding, attempt])
      await ask('POST', '/v1/queues/q/ack', { body: { tokens: messages.map(({ token }) => token) } })
    }
    expect(seen).toEqual([
      [{ n: 1 }, undefined, 1],
      ['hello', undefined, 1],
      ['AQL/', 'base64', 1],
    ])
  })

  test('give a lease that nack ends, extend prolongs, and time ends too', async () => {
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const take = async (query: string): Promise<{ token: string; attempt: number; lastError?: string }> => {
      const { body } = await ask('POST', `/v1/queues/q/receive?waitMs=5000&${query}`)
      return (body as { messages: [{ token: string; attempt: number }] }).messages[0]
    }
    const first = await take('leaseMs=60000')
    expect(
      (await ask('POST', '/v1/queues/q/extend', { body: { tokens: [first.token], leaseMs: 50_000 } })).body,
    ).toEqual({
      accepted: [first.token],
      stale: [],
    })
    await ask('POST', '/v1/queues/q/nack', { body: { tokens: [first.token], delayMs: 0, error: 'no luck' } })
    const second = await take('leaseMs=20')
    expect(second).toMatchObject({ attempt: 2, lastError: 'no luck' })
    const third = await take('')
    expect(third.attempt).toBe(3)
    expect((await ask('POST', '/v1/queues/q/ack', { body: { tokens: [second.token] } })).body).toMatchObject({
      accepted: [],
    })
  })

  test('answer none when the wait is over, and take nothing for whoever went away', async () => {
    expect((await ask('POST', '/v1/queues/q/receive?waitMs=10')).body).toEqual({ messages: [] })
    const leaving = new AbortController()
    const waiting = ask('POST', '/v1/queues/q/receive?waitMs=60000&leaseMs=60000', { signal: leaving.signal })
    const ended = expect(waiting).rejects.toThrow('abort')
    setImmediate(() => leaving.abort())
    await ended
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const { body } = await ask('POST', '/v1/queues/q/receive?waitMs=5000')
    expect((body as { messages: unknown[] }).messages).toHaveLength(1)
  })

  test('are listed, peeked into, and buried', async () => {
    await ask('POST', '/v1/queues/orders', { body: { n: 1 } })
    const receive = await ask('POST', '/v1/queues/orders/receive?waitMs=1000')
    const [{ id, token }] = (receive.body as { messages: [{ id: string; token: string }] }).messages
    expect((await ask('GET', '/v1/queues/orders/peek?max=3')).body).toMatchObject({
      messages: [{ id, state: 'leased', body: { n: 1 } }],
    })
    await ask('POST', '/v1/queues/orders/nack', { body: { tokens: [token], dead: true, error: 'broken' } })
    expect((await ask('GET', '/v1/queues')).body).toMatchObject({ queues: [{ queue: 'orders', ready: 0, leased: 0 }] })
    const dead = '/v1/dead/orders.dead'
    expect((await ask('GET', dead)).body).toMatchObject({ messages: [{ id, attempt: 1, reason: 'broken' }] })
    expect((await ask('GET', `${dead}/${id}`)).body).toMatchObject({ id, body: { n: 1 } })
    expect((await ask('GET', `${dead}/none`)).status).toBe(404)
    expect((await ask('POST', `${dead}/replay`, { body: { ids: ['none'] } })).body).toEqual({ replayed: 0 })
    expect((await ask('POST', `${dead}/replay`, { body: { ids: [id] } })).body).toEqual({ replayed: 1 })
    const again = await ask('POST', '/v1/queues/orders/receive?waitMs=1000')
    const [{ token: next }] = (again.body as { messages: [{ token: string }] }).messages
    await ask('POST', '/v1/queues/orders/nack', { body: { tokens: [next], dead: true } })
    expect((await ask('DELETE', dead, { body: { ids: [] } })).body).toEqual({ dropped: 1 })
  })
})

describe('locks', () => {
  test('are held by a growing number, and refuse a stale one', async () => {
    const first = (await ask('POST', '/v1/locks/l?leaseMs=60000')).body as { token: number }
    expect((await ask('POST', '/v1/locks/l', { at: 1 })).body).toEqual(refusal('CONFLICT', { retryable: true }))
    const waiting = ask('POST', '/v1/locks/l?waitMs=10000&leaseMs=60000', { at: 1 })
    expect((await ask('PUT', '/v1/locks/l?leaseMs=50000', { body: first })).body).toEqual(first)
    while (((await ask('GET', '/v1/locks/l')).body as { waiting: number }).waiting === 0) continue
    expect((await ask('DELETE', '/v1/locks/l', { body: first })).status).toBe(204)
    const second = (await waiting).body as { token: number }
    expect(second.token).toBeGreaterThan(first.token)
    for (const method of ['PUT', 'DELETE'])
      expect((await ask(method, '/v1/locks/l', { body: first })).body).toEqual(refusal('STALE_TOKEN'))
    expect((await ask('DELETE', `/v1/locks/l?token=${second.token}`)).status).toBe(204)
    expect((await ask('GET', '/v1/locks/l')).status).toBe(404)
  })

  test('end by time alone', async () => {
    const first = (await ask('POST', '/v1/locks/l?leaseMs=20')).body as { token: number }
    here.grid.listener.session(undefined, 0)
    const second = (await ask('POST', '/v1/locks/l?waitMs=10000', { at: 1 })).body as { token: number }
    expect(second.token).toBeGreaterThan(first.token)
  })

  test('forget a waiter that went away', async () => {
    await ask('POST', '/v1/locks/l?leaseMs=60000')
    const leaving = new AbortController()
    const ended = expect(ask('POST', '/v1/locks/l?waitMs=60000', { signal: leaving.signal })).rejects.toThrow('abort')
    const waiters = async (): Promise<number> => ((await ask('GET', '/v1/locks/l')).body as { waiting: number }).waiting
    while ((await waiters()) === 0) continue
    leaving.abort()
    await ended
    while ((await waiters()) > 0) continue
  })
})

describe('refusals', () => {
  test.each([
    [{ kind: 'unavailable', message: 'no owner' }, 503, 'UNAVAILABLE', { retryable: true }],
    [{ kind: 'indeterminate', message: 'no answer' }, 504, 'INDETERMINATE', { retryable: true, indeterminate: true }],
    [
      { kind: 'refused', code: 'GRID_FULL', message: 'full', operation: 0, detail: null },
      507,
      'GRID_FULL',
      { retryable: true },
    ],
    [{ kind: 'refused', code: 'FULL', message: 'full', operation: 0, detail: null }, 503, 'FULL', { retryable: true }],
    [
      { kind: 'refused', code: 'NOT_ENOUGH_COPIES', message: 'one', operation: 0, detail: null },
      503,
      'NOT_ENOUGH_COPIES',
      { retryable: true },
    ],
  ] as const)('%o is %d %s', async (settled, status, code, flags) => {
    here.peer.answers.push(settled)
    const said = await ask('POST', '/v1/counters/c', { body: { by: 1 } })
    expect(said.body).toEqual(refusal(code, flags))
    expect(said.status).toBe(status)
    expect(said.headers.get('retry-after')).toBe(status === 503 ? '1' : null)
  })

  test.each([
    ['GET', '/v1/nothing', {}, 404, 'NOT_FOUND'],
    ['GET', '/v1/maps/m/%zz', {}, 404, 'NOT_FOUND'],
    ['PATCH', '/v1/maps/m/k', {}, 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/v1/counters/c', { body: '{"by":', headers: { 'content-type': 'application/json' } }, 400, 'INVALID'],
    ['POST', '/v1/counters/c', { body: { by: 1.5 } }, 400, 'INVALID'],
    ['POST', '/v1/counters/c', { body: [1] }, 400, 'INVALID'],
    ['POST', '/v1/counters/c', { body: 'by=1', headers: { 'content-type': 'text/plain' } }, 415, 'UNSUPPORTED_TYPE'],
    ['POST', '/v1/queues/q', { body: 'x', headers: { 'content-encoding': 'gzip' } }, 415, 'UNSUPPORTED_TYPE'],
    ['POST', '/v1/queues/q', { body: '{', headers: { 'content-type': 'application/json' } }, 400, 'INVALID'],
    ['POST', '/v1/queues/q/ack', { body: { tokens: 'x' } }, 400, 'INVALID'],
    ['POST', '/v1/queues/q/ack', { body: { tokens: ['x'] } }, 400, 'INVALID'],
    ['POST', '/v1/queues/q/ack', { body: { tokens: ['999999.1'] } }, 400, 'INVALID'],
    ['POST', '/v1/queues/q/receive?max=0', {}, 400, 'INVALID'],
    ['DELETE', '/v1/locks/l', { body: { token: 'x' } }, 400, 'INVALID'],
    ['PUT', '/v1/maps/m/k', { body: new Uint8Array(8 * 1024 * 1024 + 1) }, 413, 'TOO_LARGE'],
    ['GET', `/v1/maps/m/${'x'.repeat(2_000)}`, {}, 400, 'INVALID'],
    ['POST', '/v1/admin/leave', { body: {} }, 501, 'NOT_IMPLEMENTED'],
  ] as const)('%s %s with %o is %d %s', async (method, path, asked, status, code) => {
    const said = await ask(method, path, asked as Asked)
    expect(said.body).toEqual(refusal(code))
    expect(said.status).toBe(status)
  })

  test('JSON too deep is not parsed', async () => {
    const body = `{"by":${'['.repeat(100)}${']'.repeat(100)}}`
    const said = await ask('POST', '/v1/counters/c', { body, headers: { 'content-type': 'application/json' } })
    expect(said.body).toMatchObject({ code: 'INVALID', message: 'JSON is at most 64 levels deep here' })
  })
})

describe('access', () => {
  test('without a token is on loopback only', async () => {
    await expect(startHttpDoor(here.grid, { listen: '0.0.0.0:0' })).rejects.toThrow(InvalidError)
    await expect(startHttpDoor(here.grid, { listen: '[::]:0' })).rejects.toThrow('access token')
  })

  test('with a token is by Bearer, but for the probes', async () => {
    const at = await open({ listen: '0.0.0.0:0', accessToken: 'hush' })
    const status = async (path: string, authorization?: string): Promise<number> => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
      const response = await fetch(`http://127.0.0.1:${(doors[at] as Door).port}${path}`, { headers })
      return response.status
    }
    expect(await status('/v1/cluster')).toBe(401)
    expect(await status('/v1/cluster', 'Bearer wrong')).toBe(401)
    expect(await status('/v1/cluster', 'Basic hush')).toBe(401)
    expect(await status('/v1/cluster', 'Bearer hush')).toBe(200)
    expect(await status('/-/metrics')).toBe(401)
    expect(await status('/-/live')).toBe(200)
    expect(await status('/-/ready')).toBe(200)
  })

  test.each([
    { host: 'evil.example' },
    { host: '127.0.0.1.evil.example' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
  ])('without a token refuses a web page: %o', async headers => {
    const asked = request({ port: (doors[0] as Door).port, host: '127.0.0.1', path: '/v1/cluster', headers }).end()
    const [response] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }]
    response.resume()
    expect(response.statusCode).toBe(403)
  })
})

describe('probes', () => {
  test('tell the cluster', async () => {
    const { body } = await ask('GET', '/v1/cluster')
    expect(body).toMatchObject({
      cluster: 'fake',
      leader: 'goose-1',
      epoch: 1,
      safety: { level: 0, reason: 'alone, one copy' },
      members: [{ name: 'goose-1', member: 'goose-1', state: 'live' }, { name: 'goose-2' }],
      partitions: { count: 12 },
    })
    const metrics = (await ask('GET', '/-/metrics')).body as string
    expect(metrics).toMatch(/^skein_safety_level 0$/m)
    expect(metrics).toMatch(/^skein_http_requests_total\{method="GET",route="\/v1\/cluster",status="200"\} 1$/m)
  })

  test('are ready only in a cluster with quorum, and once copies are back after a start', async () => {
    const ready = async (at = 0): Promise<readonly [number, unknown]> => {
      const { status, body } = await ask('GET', '/-/ready', { at })
      return [status, (body as { reason: string }).reason]
    }
    expect(await ready()).toEqual([200, ''])
    cluster.apply({ ...cluster.state, settings: { ...cluster.state.settings, copies: 2 } })
    // It was safe before: one copy less is no reason to send it no work.
    expect(await ready()).toEqual([200, ''])
    const fresh = await open({})
    expect(await ready(fresh)).toEqual([503, '1 of 2 copies of each partition since the start'])
    here.grid.listener.session(undefined, 0)
    expect((await ready())[0]).toBe(503)
    expect((await ask('GET', '/-/live')).status).toBe(200)
  })

  test('hand orders of the command line on', async () => {
    let orders = ''
    const stop = async (): Promise<void> => void (orders += 'stop ')
    const at = await open({ admin: { leave: () => void (orders += 'leave '), stop } })
    expect((await ask('POST', '/v1/admin/stop', { at, body: {} })).status).toBe(202)
    expect((await ask('POST', '/v1/admin/leave', { at, body: {} })).status).toBe(202)
    await new Promise(setImmediate)
    expect(orders).toBe('stop leave ')
  })
})

test('what is not HTTP is told so, with one line in the log', async () => {
  const socket = connect((doors[0] as Door).port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.write('\x16\x03\x01 garbage\r\n\r\n')
  await once(socket, 'close')
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
  expect(here.events.filter(({ event }) => event === 'http.malformed')).toHaveLength(1)
})

test('a body that is announced and never comes holds nothing', async () => {
  const socket = connect((doors[0] as Door).port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('PUT /v1/maps/m/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc')
  socket.destroy()
  await once(socket, 'close')
  expect((await ask('GET', '/v1/maps/m/k')).status).toBe(404)
})

test('a door that closes answers those who wait', async () => {
  const waiting = ask('POST', '/v1/queues/q/receive?waitMs=60000')
  const slow = request({ port: (doors[0] as Door).port, host: '127.0.0.1', path: '/v1/counters/c', method: 'POST' })
  slow.flushHeaders()
  await once(slow, 'socket')
  await ask('GET', '/-/live')
  const closed = (doors[0] as Door).close()
  slow.end()
  const [response] = (await once(slow, 'response')) as [{ statusCode: number; resume(): void }]
  response.resume()
  expect(response.statusCode).toBe(200)
  expect((await waiting).body).toEqual({ messages: [] })
  await closed
})
