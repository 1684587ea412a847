/** HTTP at both ends of a flow, over real sockets and a peer that is alone. */
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { http } from '../../lib/connectors/http/http.ts'
import { flow } from '../../lib/flow/builder.ts'
import { runFlows, type FlowRunner } from '../../lib/flow/runner.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import { join } from '../../lib/index.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}
interface Heard {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

class Elsewhere {
  readonly heard: Heard[] = []
  readonly #server: Server
  readonly #waiting: (() => void)[] = []
  /** By path, in order; then 200. */
  readonly answers = new Map<string, number[]>()

  constructor() {
    this.#server = createServer((request, response) => {
      let body = ''
      request.on('data', chunk => (body += chunk))
      request.on('end', () => {
        const path = request.url ?? ''
        this.heard.push({ path, headers: request.headers, body })
        response.writeHead(this.answers.get(path)?.shift() ?? 200).end()
        for (const wake of this.#waiting.splice(0)) wake()
      })
    })
  }

  async open(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Requests to the path, once there are so many. */
  async until(path: string, count: number): Promise<readonly Heard[]> {
    for (;;) {
      const found = this.heard.filter(each => each.path === path)
      if (found.length >= count) return found
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

describe('a flow from HTTP to HTTP', () => {
  const elsewhere = new Elsewhere()
  let grid: Grid
  let runner: FlowRunner
  let port: number

  beforeAll(async () => {
    const target = await elsewhere.open()
    grid = await join({ name: 'goose-1', memory: '128MB', deadline: '20s' })
    const orders = flow('orders')
      .from(
        http.post('/orders/:id', {
          body: z.object({ total: z.number(), note: z.string().default('none') }),
          bytesMax: 10_000,
        }),
      )
      .stage('send')
      .retry({ attempts: 4, backoff: ['20ms', '50ms'] })
      .to(
        http(m => `${target}/billing/${m.params.id}`, { timeout: '5s' }),
        'billing',
      )
    runner = await runFlows(grid, [orders], { connectors: { http: { listen: '127.0.0.1:0' } } })
    port = Number((runner.connector('http-listener') as { readonly address: string }).address.split(':')[1])
  })
  afterAll(async () => {
    await runner.stop()
    await grid.close()
    elsewhere.close()
  })

  async function send(
    path: string,
    body: string,
    headers: Record<string, string> = {},
    method = 'POST',
  ): Promise<Answer> {
    return await new Promise((resolve, reject) => {
      const options = {
        port,
        host: '127.0.0.1',
        path,
        method,
        headers: { 'content-type': 'application/json', ...headers },
      }
      const request = httpRequest(options, response => {
        let text = ''
        response.on('data', chunk => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  test('takes a body in, validated and completed by the schema, and hands it on with its key', async () => {
    const answer = await send('/orders/o1', '{"total":5,"other":1}', { traceparent: '00-1-2-01' })
    expect(answer.status).toBe(202)
    const { id } = JSON.parse(answer.body) as { readonly id: string }
    const [heard] = await elsewhere.until('/billing/o1', 1)
    expect(JSON.parse(heard?.body ?? '')).toEqual({ total: 5, note: 'none' })
    expect(heard?.headers).toMatchObject({ 'idempotency-key': `${id}/billing`, traceparent: '00-1-2-01' })
  })

  test('tries again with the same key after 503, and not after 422', async () => {
    elsewhere.answers.set('/billing/o2', [503, 500])
    elsewhere.answers.set('/billing/o3', [422])
    await send('/orders/o2', '{"total":1}')
    await send('/orders/o3', '{"total":1}')
    const tries = await elsewhere.until('/billing/o2', 3)
    expect(new Set(tries.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
    const letters = grid.dead('orders.dead')
    for (let count = 0; count === 0;) count = await letters.count()
    expect(elsewhere.heard.filter(({ path }) => path === '/billing/o3')).toHaveLength(1)
  })

  test('answers an Idempotency-Key as it did the first time, also where both come at once', async () => {
    const headers = { 'idempotency-key': 'key-1' }
    const answers = await Promise.all(Array.from({ length: 8 }, () => send('/orders/o4', '{"total":1}', headers)))
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(202))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
    expect(answers.filter(each => each.headers['idempotency-replayed'] === 'true')).toHaveLength(7)
    await elsewhere.until('/billing/o4', 1)
    // Whatever came after it would have come by now: the next message has.
    await send('/orders/o5', '{"total":1}')
    await elsewhere.until('/billing/o5', 1)
    expect(elsewhere.heard.filter(({ path }) => path === '/billing/o4')).toHaveLength(1)
  })

  test.each<readonly [string, string, string, Record<string, string>, number, string]>([
    ['what the schema does not take', '/orders/1', '{"total":"five"}', {}, 400, 'INVALID'],
    ['what is not JSON', '/orders/1', '{"total":', {}, 400, 'MALFORMED'],
    ['what is too large', '/orders/1', `"${'x'.repeat(20_000)}"`, {}, 413, 'TOO_LARGE'],
    ['another media type', '/orders/1', 'x', { 'content-type': 'image/png' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['another path', '/nothing', '{}', {}, 404, 'NOT_FOUND'],
    ['a key that is too long', '/orders/1', '{"total":1}', { 'idempotency-key': 'k'.repeat(300) }, 400, 'INVALID'],
  ])('refuses %s', async (_, path, body, headers, status, code) => {
    const answer = await send(path, body, headers)
    expect([answer.status, (JSON.parse(answer.body) as { readonly code: string }).code]).toEqual([status, code])
  })

  test('says what is wrong with a body, and where', async () => {
    const { body } = await send('/orders/1', '{"total":"five"}')
    expect(JSON.parse(body)).toMatchObject({ retryable: false, indeterminate: false, issues: [{ path: 'total' }] })
  })

  test('cuts off a body that is longer than it said it would be, and stays up', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write(
      'POST /orders/1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    for (let i = 0; i < 4; i++) socket.write(`2000\r\n${'x'.repeat(0x2000)}\r\n`)
    const answer = await new Promise<string>(resolve => socket.once('data', chunk => resolve(String(chunk))))
    socket.destroy()
    expect(answer).toMatch(/^HTTP\/1.1 413/)
    const garbage = connect(port, '127.0.0.1')
    garbage.write('\u0000\u0001 nonsense\r\n\r\n')
    await new Promise(resolve => garbage.once('close', resolve).resume())
    expect((await send('/orders/o6', '{"total":1}')).status).toBe(202)
  })

  test('serves on when it is about to close, and ends each connection with its answer', async () => {
    runner.part()
    const { status, headers } = await send('/orders/parting', '{"total":1}', { connection: 'keep-alive' })
    expect([status, headers.connection]).toEqual([202, 'close'])
  })

  test('refuses nobody while it drains: what has come is answered, and then nothing listens', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => send(`/orders/d${n}`, '{"total":1}')))
    expect(answers.every(({ status }) => status === 202)).toBe(true)
    const inHand = Array.from({ length: 20 }, (_, n) => send(`/orders/e${n}`, '{"total":1}'))
    await new Promise(setImmediate)
    const drained = runner.drain({ isEmptying: true, deadlineMs: 20_000 })
    const ends = await Promise.allSettled(inHand)
    // Each was taken, or not even connected to: none was refused, none cut off.
    const isFair = (end: PromiseSettledResult<Answer>): boolean =>
      end.status === 'fulfilled'
        ? end.value.status === 202
        : (end.reason as NodeJS.ErrnoException).syscall === 'connect'
    expect(ends.filter(end => !isFair(end))).toEqual([])
    expect(await drained).toBe(true)
    for (let n = 0; n < 20; n++) await elsewhere.until(`/billing/d${n}`, 1)
    await expect(send('/orders/late', '{"total":1}')).rejects.toThrow('ECONNREFUSED')
  })
})
