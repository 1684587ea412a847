/** `/v1/dead/{list}`: messages that failed for good. A queue's name stands for the list that its dead go to. */
import type { DeadLetterList, DeadMessage } from '../../grid/queue-handles.ts'
import type { Content } from '../../grid/values.ts'
import { shownBody, type ShownBody } from './content.ts'
import type { Answer, Exchange, Route } from './exchange.ts'
import { deadListOf } from './queue-routes.ts'
import { HttpRefusal } from './refusal.ts'

const listMax = 10_000
const listDefault = 100
const idsMax = 10_000
/** Replayed or dropped by one call of the grid. */
const batchLength = 500

export const deadRoutes: readonly Route[] = [
  { method: 'GET', path: '/v1/dead/:queue', query: ['max'], run: list },
  { method: 'GET', path: '/v1/dead/:queue/:id', run: show },
  {
    method: 'POST',
    path: '/v1/dead/:queue/replay',
    run: async exchange => ({
      status: 200,
      json: { replayed: await each(exchange, (dead, tokens) => dead.replay(tokens)) },
    }),
  },
  {
    method: 'DELETE',
    path: '/v1/dead/:queue',
    run: async exchange => ({
      status: 200,
      json: { dropped: await each(exchange, (dead, tokens) => dead.drop(tokens)) },
    }),
  },
]

async function list(exchange: Exchange): Promise<Answer> {
  const max = exchange.uint('max', 1, listMax) ?? listDefault
  const messages = []
  for await (const message of deadOf(exchange).list()) {
    if (messages.length >= max) break
    messages.push(summaryOf(message))
  }
  return { status: 200, json: { messages } }
}

async function show(exchange: Exchange): Promise<Answer> {
  const id = exchange.name('id')
  for await (const message of deadOf(exchange).list())
    if (message.id === id || message.token === id)
      return { status: 200, json: { ...summaryOf(message), headers: message.headers, ...bodyOf(message.body) } }
  throw new HttpRefusal('NOT_FOUND', `no dead letter ${id}`)
}

/** Those named by id or token, or all; [] is all. */
async function each(
  exchange: Exchange,
  act: (dead: DeadLetterList<unknown>, tokens: readonly string[]) => Promise<number>,
): Promise<number> {
  const { ids = [] } = await exchange.object()
  if (!Array.isArray(ids) || ids.length > idsMax || !ids.every(id => typeof id === 'string'))
    throw new HttpRefusal('INVALID', `ids must be a list of at most ${idsMax} texts`)
  const wanted = new Set(ids as readonly string[])
  const dead = deadOf(exchange)
  const tokens: string[] = []
  for await (const { id, token } of dead.list())
    if (wanted.size === 0 || wanted.has(id) || wanted.has(token)) tokens.push(token)
  let count = 0
  for (let at = 0; at < tokens.length; at += batchLength) count += await act(dead, tokens.slice(at, at + batchLength))
  return count
}

function deadOf(exchange: Exchange): DeadLetterList<unknown> {
  return exchange.grid.dead(deadListOf(exchange.grid, exchange.name('queue')))
}

function summaryOf({ id, token, queue, attempt, reason, diedAtMs }: DeadMessage<unknown>): object {
  return { id, token, queue, attempt, reason, deadAt: diedAtMs }
}

/** As `values` decodes it. */
function bodyOf(body: unknown): ShownBody {
  if (isContent(body)) return shownBody(body)
  if (body instanceof Uint8Array) return shownBody({ contentType: 'application/octet-stream', bytes: body })
  const contentType = typeof body === 'string' ? 'text/plain' : 'application/json'
  return { body: typeof body === 'bigint' ? body.toString() : body, contentType }
}

function isContent(body: unknown): body is Content {
  return (
    typeof body === 'object' &&
    body !== null &&
    'bytes' in body &&
    body.bytes instanceof Uint8Array &&
    'contentType' in body
  )
}
