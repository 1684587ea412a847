/** `/v1/counters/{counter}`. */
import { optionalNumber, type Answer, type Exchange, type Route } from './exchange.ts'

const path = '/v1/counters/:counter'

export const counterRoutes: readonly Route[] = [
  { method: 'GET', path, run: get },
  { method: 'POST', path, run: add },
]

async function get(exchange: Exchange): Promise<Answer> {
  return { status: 200, json: { value: await exchange.grid.counter(exchange.name('counter')).get() } }
}

async function add(exchange: Exchange): Promise<Answer> {
  const { by } = await exchange.object()
  const step = optionalNumber(by, 'by', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  const value = await exchange.grid.counter(exchange.name('counter')).add(step, exchange.write)
  return { status: 200, json: { value } }
}
