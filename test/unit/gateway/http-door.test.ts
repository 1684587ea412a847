/** The API of the HTTP door over fake grids: what one door did the other knows. */
import { describe, expect, test } from 'vitest'
import type { Door } from '../../../lib/gateway/door.ts'
import { ask, cluster, doors, here, refusal, useDoors } from './http-bench.ts'

useDoors()

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

  test('match no tag of others, and no weak one', async () => {
    const path = '/v1/maps/m/k'
    const put = (tags: string): ReturnType<typeof ask> => ask('PUT', path, { body: 'y', headers: { 'if-match': tags } })
    const etag = (await ask('PUT', path, { body: 'x' })).headers.get('etag') as string
    for (const tags of ['"mine"', '"mine", "yours"', `W/${etag}`]) {
      expect((await put(tags)).body).toEqual(refusal('PRECONDITION_FAILED'))
      expect((await ask('DELETE', path, { headers: { 'if-match': tags } })).status).toBe(412)
    }
    expect((await put(`${etag}, "1.1.1"`)).body).toEqual(refusal('INVALID'))
    expect((await put(`"mine", ${etag}`)).status).toBe(200)
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

  test('hands messages out once', async () => {
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const first = await ask('POST', '/v1/queues/q/receive?waitMs=1000', { headers })
    expect((first.body as { messages: unknown[] }).messages).toHaveLength(1)
    expect((await ask('POST', '/v1/queues/q/receive', { at: 1, headers })).body).toEqual(first.body)
    expect((await ask('POST', '/v1/queues/q/receive')).body).toEqual({ messages: [] })
  })

  test('has a length', async () => {
    expect(
      (await ask('PUT', '/v1/maps/m/k', { headers: { 'idempotency-key': 'x'.repeat(256) }, body: 'x' })).status,
    ).toBe(400)
  })
})

describe('a query', () => {
  test.for([
    ['PUT', '/v1/maps/m/k?ttl=5', '"ttl" is no parameter here: there are ttlMs'],
    ['POST', '/v1/queues/q/receive?max=1&max=2', '"max" is given twice: there are max, leaseMs, waitMs'],
    ['POST', '/v1/counters/c?by=5', '"by" is no parameter here: there are none'],
  ] as const)('%s %s is refused: %s', async ([method, path, message]) => {
    const { status, body } = await ask(method, path, { body: { by: 1 } })
    expect([status, body]).toMatchObject([400, { code: 'INVALID', message }])
  })

  test('may say how long a lease goes on, as a body may', async () => {
    await ask('POST', '/v1/queues/q', { body: { n: 1 } })
    const { body } = await ask('POST', '/v1/queues/q/receive?leaseMs=30')
    const [{ token }] = (body as { messages: [{ token: string }] }).messages
    for (const [query, inBody] of [
      [0, undefined],
      [60_000, 50_000],
    ]) {
      const refused = await ask('POST', `/v1/queues/q/extend?leaseMs=${query}`, {
        body: { tokens: [token], leaseMs: inBody },
      })
      expect(refused.status).toBe(400)
    }
    expect((await ask('POST', '/v1/queues/q/extend?leaseMs=60000', { body: { tokens: [token] } })).status).toBe(200)
    expect((await ask('POST', '/v1/queues/q/receive?waitMs=100')).body).toEqual({ messages: [] })
    expect((await ask('POST', '/v1/queues/q/ack', { body: { tokens: [token] } })).body).toMatchObject({
      accepted: [token],
    })
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

  test('keep a message for its receiver when the member it was asked of ends', async () => {
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const { body } = await ask('POST', '/v1/queues/q/receive?waitMs=1000&leaseMs=60000')
    const [{ token }] = (body as { messages: [{ token: string }] }).messages
    cluster.endSession('goose-1#1')
    expect((await ask('POST', '/v1/queues/q/ack', { at: 1, body: { tokens: [token] } })).body).toMatchObject({
      accepted: [token],
    })
  })

  test('answer none when the wait is over, and take nothing for whoever went away', async () => {
    expect((await ask('POST', '/v1/queues/q/receive?waitMs=10')).body).toEqual({ messages: [] })
    const leaving = new AbortController()
    const waiting = ask('POST', '/v1/queues/q/receive?waitMs=60000&leaseMs=60000', { signal: leaving.signal })
    const ended = waiting.catch(String)
    setImmediate(() => leaving.abort())
    expect(await ended).toContain('abort')
    await ask('POST', '/v1/queues/q', { body: 'x' })
    const { body } = await ask('POST', '/v1/queues/q/receive?waitMs=5000')
    expect((body as { messages: unknown[] }).messages).toHaveLength(1)
  })

  test('are not listed for a put that was refused', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await ask('POST', '/v1/queues/orders', { body: '{', headers })).status).toBe(400)
    expect((await ask('GET', '/v1/queues')).body).toEqual({ queues: [] })
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

  test('outlive the member they were asked of, and end by time', async () => {
    const first = (await ask('POST', '/v1/locks/l?leaseMs=60000')).body as { token: number }
    cluster.endSession('goose-1#1')
    expect((await ask('GET', '/v1/locks/l')).body).toEqual({ token: first.token, waiting: 0 })
    expect((await ask('PUT', '/v1/locks/l?leaseMs=20', { body: first })).status).toBe(200)
    const second = (await ask('POST', '/v1/locks/l?waitMs=10000', { at: 1 })).body as { token: number }
    expect(second.token).toBeGreaterThan(first.token)
  })

  test('forget a waiter that went away', async () => {
    await ask('POST', '/v1/locks/l?leaseMs=60000')
    const leaving = new AbortController()
    const ended = ask('POST', '/v1/locks/l?waitMs=60000', { signal: leaving.signal }).catch(String)
    const waiters = async (): Promise<number> => ((await ask('GET', '/v1/locks/l')).body as { waiting: number }).waiting
    while ((await waiters()) === 0) continue
    leaving.abort()
    expect(await ended).toContain('abort')
    while ((await waiters()) > 0) continue
  })
})
