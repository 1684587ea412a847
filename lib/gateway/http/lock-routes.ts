/** `/v1/locks/{lock}`: a grant is a number that only grows. It belongs to no member and ends by time alone. */
import { ConflictError } from '../../base/errors.ts'
import type { Grid } from '../../grid/handles.ts'
import type { Grant, LockOperation } from '../../structures/lock-operations.ts'
import { leaseMsMax, waitMsMax, wholeNumber, type Answer, type Exchange, type Route } from './exchange.ts'
import { HttpRefusal } from './refusal.ts'

const path = '/v1/locks/:lock'
const leaseMsDefault = 30_000
const tokenMax = Number.MAX_SAFE_INTEGER
/** How often a waiter looks whether it is its turn: at first, doubling up to. */
const pollMs = { min: 5, max: 100 }

export const lockRoutes: readonly Route[] = [
  { method: 'POST', path, query: ['leaseMs', 'waitMs'], run: acquire },
  { method: 'PUT', path, query: ['leaseMs', 'token'], run: extend },
  { method: 'DELETE', path, query: ['token'], run: release },
  { method: 'GET', path, run: show },
]

async function acquire(exchange: Exchange): Promise<Answer> {
  const { grid, waiting, write } = exchange
  const lock = exchange.name('lock')
  const leaseMs = exchange.uint('leaseMs', 1, leaseMsMax) ?? leaseMsDefault
  const waitMs = exchange.uint('waitMs', 0, waitMsMax) ?? 0
  // The same key stands in line once.
  const ticket = write.idempotencyKey === undefined ? `http/${drawn(grid)}` : `once/${write.idempotencyKey}`
  const place = waitMs > 0 ? { ticket, waitMs } : {}
  const operation = { kind: 'lock.acquire', lock, leaseMs, holder: 'time', ...place } as const
  const untilMs = grid.now().monotonicMs + waitMs
  const partition = grid.partitions.of(lock)
  try {
    let [[token, line]] = (await grid.partitions.run(partition, [operation], write)) as unknown as readonly [Grant]
    for (let pauseMs = pollMs.min; line !== 0; pauseMs = Math.min(2 * pauseMs, pollMs.max)) {
      const leftMs = untilMs - grid.now().monotonicMs
      if (line < 0 || leftMs <= 0 || waiting.aborted) throw new ConflictError(`lock ${lock} is held`)
      await pause(grid, Math.min(pauseMs, leftMs), waiting)
      ;[token, line] = (await grid.partitions.ask(partition, { kind: 'lock.poll', lock, ticket })) as unknown as Grant
    }
    if (exchange.isGone) throw new ConflictError('whoever asked is gone')
    return { status: 200, json: { token } }
  } catch (error) {
    // Gives up the place in line, and the lock if it was granted meanwhile. What cannot be told ends by time.
    if (waitMs > 0) await grid.partitions.run(partition, [{ kind: 'lock.cancel', lock, ticket }]).catch(() => undefined)
    throw error
  }
}

async function extend(exchange: Exchange): Promise<Answer> {
  const body = await exchange.object()
  const leaseMs = exchange.uintIn(body, 'leaseMs', 1, leaseMsMax)
  const token = tokenOf(exchange, body)
  await run(exchange, { kind: 'lock.extend', lock: exchange.name('lock'), token, leaseMs })
  return { status: 200, json: { token } }
}

async function release(exchange: Exchange): Promise<Answer> {
  const token = tokenOf(exchange, await exchange.object())
  await run(exchange, { kind: 'lock.release', lock: exchange.name('lock'), token })
  return { status: 204 }
}

async function show(exchange: Exchange): Promise<Answer> {
  const held = await exchange.grid.lock(exchange.name('lock')).holder()
  if (held === undefined) throw new HttpRefusal('NOT_FOUND', `nobody holds lock ${exchange.name('lock')}`)
  return { status: 200, json: { token: held.fence, waiting: held.waiterCount } }
}

async function run({ grid, write }: Exchange, operation: LockOperation): Promise<void> {
  await grid.partitions.run(grid.partitions.of(operation.lock), [operation], write)
}

/** In the body, or in the query for clients that send no body with a DELETE. */
function tokenOf(exchange: Exchange, body: Readonly<Record<string, unknown>>): number {
  return exchange.uintIn(body, 'token', 1, tokenMax) ?? wholeNumber(undefined, 'token', 1, tokenMax)
}

function drawn({ env }: Grid): string {
  return [0, 1, 2, 3].map(() => env.random.uint32().toString(36)).join('')
}

function pause({ env, now }: Grid, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = env.at(now().monotonicMs + ms, done)
    signal.addEventListener('abort', done)
  })
}
