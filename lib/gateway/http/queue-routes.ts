/**
 * `/v1/queues/{queue}`: put, receive, and settle by token. Leases taken here belong to no member and end by time alone.
 */
import { ConflictError, StaleTokenError } from '../../base/errors.ts'
import { Delivery, parseToken } from '../../grid/message.ts'
import type { Message, Queue } from '../../grid/queue-handles.ts'
import { contentCodec, type Content } from '../../grid/values.ts'
import type { QueueOperation } from '../../structures/queue-operations.ts'
import { gateOf } from '../byte-gate.ts'
import { contentOf, shownBody } from './content.ts'
import { leaseMsMax, waitMsMax, type Answer, type Exchange, type Route } from './exchange.ts'
import type { QueueNames } from './queue-names.ts'
import { HttpRefusal } from './refusal.ts'

const receiveMax = 1_000
const tokensMax = 1_000
const peekMax = 1_000
const groupLengthMax = 1_024
/** Answers to receives with an Idempotency-Key. */
const answersMap = 'skein.answers'
const answersKept = '1h'
const delayMsMax = 100 * 365 * 86_400_000

export function queueRoutes(names: QueueNames): readonly Route[] {
  return [
    { method: 'GET', path: '/v1/queues', run: exchange => list(exchange, names) },
    {
      method: 'POST',
      path: '/v1/queues/:queue',
      query: ['group', 'delayMs', 'expiresMs'],
      run: exchange => put(exchange, names),
    },
    ...routes,
  ]
}

const routes: readonly Route[] = [
  { method: 'POST', path: '/v1/queues/:queue/receive', query: ['max', 'leaseMs', 'waitMs'], run: receive },
  { method: 'GET', path: '/v1/queues/:queue/peek', query: ['max'], run: peek },
  {
    method: 'POST',
    path: '/v1/queues/:queue/ack',
    run: exchange => settle(exchange, token => ({ kind: 'queue.ack', ...token })),
  },
  {
    method: 'POST',
    path: '/v1/queues/:queue/nack',
    query: ['delayMs'],
    run: exchange =>
      settle(exchange, (token, body) => ({
        kind: 'queue.nack',
        ...token,
        delayMs: exchange.uintIn(body, 'delayMs', 0, delayMsMax),
        error: optionalText(body['error'], 'error'),
        isDead: optionalFlag(body['dead'], 'dead'),
      })),
  },
  {
    method: 'POST',
    path: '/v1/queues/:queue/extend',
    query: ['leaseMs'],
    run: exchange =>
      settle(exchange, (token, body) => ({
        kind: 'queue.extend',
        ...token,
        leaseMs: exchange.uintIn(body, 'leaseMs', 1, leaseMsMax),
      })),
  },
]

async function list({ grid }: Exchange, names: QueueNames): Promise<Answer> {
  const queues = []
  for (const queue of await names.list()) {
    const [counts, dead] = await Promise.all([grid.queue(queue).counts(), grid.dead(deadListOf(grid, queue)).count()])
    queues.push({ queue, ...counts, dead })
  }
  return { status: 200, json: { queues } }
}

/** The list that dead messages of a queue go to; a name that is no queue's is the list's own. */
export function deadListOf(grid: Exchange['grid'], name: string): string {
  const definition = grid.definitions(`queue/${name}`).get(`queue/${name}`) as
    { readonly deadLetter?: string } | undefined
  return definition === undefined ? name : (definition.deadLetter ?? `${name}.dead`)
}

async function put(exchange: Exchange, names: QueueNames): Promise<Answer> {
  const group = exchange.query.get('group') ?? undefined
  if (group !== undefined && (group === '' || group.length > groupLengthMax))
    throw new HttpRefusal('INVALID', `group has 1 to ${groupLengthMax} characters`)
  const delay = exchange.uint('delayMs', 0, delayMsMax)
  const expires = exchange.uint('expiresMs', 1, delayMsMax)
  const { write } = exchange
  const queue = queueOf(exchange)
  const content = await contentOf(exchange)
  const begin = (): Promise<string> => queue.put(content, { group, delay, expires, ...write })
  const id = await gateOf(exchange.grid).pass(content.bytes.length, begin)
  names.note(queue.name)
  return { status: 201, json: { id } }
}

/** With an Idempotency-Key messages are handed out once: a repeat gets the same ones, and their tokens. */
async function receive(exchange: Exchange): Promise<Answer> {
  const { grid, write } = exchange
  const queue = queueOf(exchange)
  const answers = grid.map<object>(answersMap)
  const name = `${queue.name}#${write.idempotencyKey}`
  const isOnce = write.idempotencyKey !== undefined
  const before = isOnce ? await answers.get(name) : undefined
  if (before !== undefined) return { status: 200, json: before }
  const messages = await taken(exchange, queue)
  const json = { messages: messages.map(shown) }
  if (!isOnce || messages.length === 0) return { status: 200, json }
  try {
    await answers.put(name, json, { ifAbsent: true, ttl: answersKept })
    return { status: 200, json }
  } catch (error) {
    // The same request was faster elsewhere.
    await giveBack(queue, messages)
    if (!(error instanceof ConflictError)) throw error
    return { status: 200, json: await answers.get(name) }
  }
}

async function taken(exchange: Exchange, queue: Queue<Content>): Promise<readonly Message<Content>[]> {
  const messages = await queue.receive({
    max: exchange.uint('max', 1, receiveMax),
    lease: exchange.uint('leaseMs', 1, leaseMsMax),
    wait: exchange.uint('waitMs', 0, waitMsMax),
    holder: 'time',
    signal: exchange.waiting,
  })
  for (const message of messages) if (message instanceof Delivery) message.lease.end()
  if (!exchange.isGone) return messages
  // Nobody reads it: back to whoever does.
  await giveBack(queue, messages)
  return []
}

async function giveBack(queue: Queue<Content>, messages: readonly Message<Content>[]): Promise<void> {
  if (messages.length === 0) return
  await queue.nack(
    messages.map(({ token }) => token),
    { delay: 0, error: 'the receiver went away' },
  )
}

function shown(message: Message<Content>): object {
  const { id, token, attempt, group, lastError, enqueuedAtMs } = message
  return {
    id,
    token,
    attempt,
    ...shownBody(message.body),
    ...(group !== undefined && { group }),
    ...(lastError !== undefined && { lastError }),
    enqueuedAt: enqueuedAtMs,
  }
}

async function peek(exchange: Exchange): Promise<Answer> {
  const items = await queueOf(exchange).peek({ max: exchange.uint('max', 1, peekMax) })
  return { status: 200, json: { messages: items.map(({ body, ...item }) => ({ ...item, ...shownBody(body) })) } }
}

type TokenOperation = Extract<QueueOperation, { readonly token: number }>

/** Each token for itself; with an Idempotency-Key each is remembered, so a repeat answers the same. */
async function settle(
  exchange: Exchange,
  operationOf: (
    named: { readonly queue: string; readonly token: number },
    body: Readonly<Record<string, unknown>>,
  ) => TokenOperation,
): Promise<Answer> {
  const { grid, write } = exchange
  const body = await exchange.object()
  const tokens = tokensOf(body['tokens'])
  const queue = exchange.name('queue')
  const operations = tokens.map(text => {
    const [partition, token] = parseToken(text)
    return { text, partition, operation: operationOf({ queue, token }, body) }
  })
  const results = await Promise.all(
    operations.map(async ({ text, partition, operation }) => {
      const options =
        write.idempotencyKey === undefined ? {} : { ...write, idempotencyKey: `${write.idempotencyKey}/${text}` }
      try {
        await grid.partitions.run(partition, [operation], options)
        return true
      } catch (error) {
        if (error instanceof StaleTokenError) return false
        throw error
      }
    }),
  )
  return {
    status: 200,
    json: { accepted: tokens.filter((_, at) => results[at]), stale: tokens.filter((_, at) => results[at] !== true) },
  }
}

function tokensOf(given: unknown): readonly string[] {
  const isTokens = Array.isArray(given) && given.length <= tokensMax && given.every(each => typeof each === 'string')
  if (!isTokens) throw new HttpRefusal('INVALID', `tokens must be a list of at most ${tokensMax} texts`)
  return [...new Set(given as readonly string[])]
}

function optionalText(value: unknown, what: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw new HttpRefusal('INVALID', `${what} must be text`)
  return value.slice(0, 1_000)
}

function optionalFlag(value: unknown, what: string): boolean {
  if (value !== undefined && typeof value !== 'boolean')
    throw new HttpRefusal('INVALID', `${what} must be true or false`)
  return value === true
}

function queueOf(exchange: Exchange): Queue<Content> {
  return exchange.grid.queue(exchange.name('queue'), { codec: contentCodec })
}
