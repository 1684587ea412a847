/** The edge of the HTTP door: what it refuses and whom, what it tells probes, how it ends. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { valueBytesMax, type Door } from '../../../lib/gateway/door.ts'
import { startHttpDoor } from '../../../lib/gateway/http/http-door.ts'
import { said } from '../raw-client.ts'
import { ask, cluster, doors, here, open, refusal, useDoors, type Asked } from './http-bench.ts'

useDoors()

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
    ['POST', '/v1/queues/q/nack', { body: { tokens: ['1.1'], dead: 'yes' } }, 400, 'INVALID'],
    ['POST', '/v1/queues/q/receive?max=0', {}, 400, 'INVALID'],
    ['PUT', '/v1/maps/skein.queues/k', { body: 'x' }, 400, 'INVALID'],
    ['DELETE', '/v1/maps/skein.answers/k', {}, 400, 'INVALID'],
    ['DELETE', '/v1/locks/l', { body: { token: 'x' } }, 400, 'INVALID'],
    ['PUT', '/v1/maps/m/k', { body: new Uint8Array(valueBytesMax + 1) }, 413, 'TOO_LARGE'],
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

  test('are not ready before all is open, nor from the moment on at which it is to close; and all is served', async () => {
    let isServing = false
    const at = await open({ isServing: () => isServing })
    const ready = async (): Promise<number> => (await ask('GET', '/-/ready', { at })).status
    expect(await ready()).toBe(503)
    isServing = true
    expect(await ready()).toBe(200)
    ;(doors[at] as Door).part()
    expect(await ready()).toBe(503)
    const { port } = doors[at] as Door
    const response = await fetch(`http://127.0.0.1:${port}/v1/counters/n`)
    expect([response.status, response.headers.get('connection')]).toEqual([200, 'close'])
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

describe('what a door refuses is in the log once, with what to do:', () => {
  const head = 'PUT /v1/maps/m/k HTTP/1.1\r\nHost: localhost\r\n'

  test.each([
    ['what is not HTTP', '\x16\x01 garbage\r\n\r\n', 400, 'malformed'],
    ['TLS', '\x16\x03\x01 hello\r\n\r\n', 400, 'tls'],
    ['long headers', `${head}cookie: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['a length of 1 GB', `${head}Content-Length: ${2 ** 30}\r\n\r\nxx`, 413, 'too-large'],
    [
      'too many chunks',
      `${head}Transfer-Encoding: chunked\r\n\r\n${`100000\r\n${'x'.repeat(0x10_00_00)}\r\n`.repeat(5)}`,
      413,
      'too-large',
    ],
    [
      'a web page of another site',
      'GET /v1/cluster HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
      403,
      'forbidden',
    ],
  ])('%s', async (_, bytes, status, code) => {
    for (let times = 0; times < 3; times++)
      expect(await said((doors[0] as Door).port, bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    const lines = here.events.filter(({ event }) => event === 'http.refused')
    expect(lines.map(({ fields }) => [fields['door'], fields['code']])).toEqual([['HTTP door', code]])
    expect(lines[0]?.fields).toMatchObject({
      from: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      remedy: expect.any(String),
    })
  })

  test('who has no access token', async () => {
    const at = await open({ accessToken: 'hush' })
    const bytes = 'GET /v1/cluster HTTP/1.1\r\nHost: goose\r\nConnection: close\r\n\r\n'
    for (let times = 0; times < 3; times++)
      expect(await said((doors[at] as Door).port, bytes)).toMatch(/^HTTP\/1\.1 401 /)
    const lines = here.events.filter(({ event }) => event === 'http.refused')
    expect(lines.map(({ fields }) => fields['code'])).toEqual(['unauthorized'])
  })
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
