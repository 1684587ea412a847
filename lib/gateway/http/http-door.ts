/**
 * The HTTP door: maps, queues, locks and counters as JSON API under `/v1`, probes and metrics under `/-`. Every refusal is
 * a status and `{code, message, retryable, indeterminate}`. Writes take an Idempotency-Key: repeated at any member they
 * happen once and answer the same.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import router from 'find-my-way'
import { RefusalLog } from '../../base/refusal-log.ts'
import { addressOf, clientFault, tooManyConnections, type ClientError } from '../../connectors/http/client-error.ts'
import type { Grid } from '../../grid/handles.ts'
import {
  AccessToken,
  addressText,
  graceMsDefault,
  guardedAddress,
  listen,
  type Door,
  type DoorOptions,
} from '../door.ts'
import { adminRoutes, type AdminActions } from './admin-routes.ts'
import { clusterRoutes } from './cluster-routes.ts'
import { counterRoutes } from './counter-routes.ts'
import { deadRoutes } from './dead-routes.ts'
import { Exchange, type Answer, type BodyBudget, type Route } from './exchange.ts'
import { guard } from './guard.ts'
import { lockRoutes } from './lock-routes.ts'
import { mapRoutes } from './map-routes.ts'
import { DoorMetrics } from './metrics.ts'
import { QueueNames } from './queue-names.ts'
import { queueRoutes } from './queue-routes.ts'
import { ReadinessProbe } from './readiness.ts'
import { answerOf, HttpRefusal, refusalOf, type RefusalBody } from './refusal.ts'

export interface HttpDoorOptions extends DoorOptions {
  /** Connections above it are closed at once. Default 10,000. */
  readonly connectionsMax?: number | undefined
  readonly admin?: AdminActions | undefined
}

const connectionsMaxDefault = 10_000
/** Bodies of all requests in hand. */
const bodiesBytesMax = 128 * 1024 * 1024
const pathLengthMax = 4_096
/** Against those who send a byte now and then. */
const headersTimeoutMs = 10_000
const requestTimeoutMs = 60_000
const keepAliveTimeoutMs = 65_000
const headersBytesMax = 16 * 1024

/** Resolves once it listens. Throws InvalidError if it may not or cannot. */
export async function startHttpDoor(grid: Grid, options: HttpDoorOptions): Promise<Door> {
  const door = new HttpDoor(grid, options)
  await door.start()
  return door
}

type Router = ReturnType<typeof router>

class HttpDoor implements Door, BodyBudget {
  address = ''
  host = ''
  port = 0
  readonly #grid: Grid
  readonly #options: HttpDoorOptions
  readonly #token: AccessToken | undefined
  readonly #routes: Router
  readonly #metrics: DoorMetrics
  readonly #readiness: ReadinessProbe
  readonly #refusals: RefusalLog
  readonly #server = createServer({
    maxHeaderSize: headersBytesMax,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: 5_000,
  })
  readonly #open = new Set<Exchange>()
  #bodiesBytes = 0
  #isParting = false
  #isClosing = false

  constructor(grid: Grid, options: HttpDoorOptions) {
    this.#grid = grid
    this.#options = options
    this.#token = options.accessToken === undefined ? undefined : new AccessToken(options.accessToken)
    this.#metrics = new DoorMetrics(grid)
    this.#refusals = new RefusalLog(grid.env, { event: 'http.refused', door: 'HTTP door' })
    this.#readiness = new ReadinessProbe(grid, options.isServing ?? (() => true))
    this.#routes = routesOf([
      ...clusterRoutes(this.#readiness, this.#metrics),
      ...mapRoutes,
      ...queueRoutes(new QueueNames(grid)),
      ...lockRoutes,
      ...counterRoutes,
      ...deadRoutes,
      ...adminRoutes(options.admin ?? {}),
    ])
    this.#server.maxConnections = options.connectionsMax ?? connectionsMaxDefault
    this.#server.on('request', (request, response) => void this.#answer(request, response))
    this.#server.on('drop', far => this.#refusals.tell({ from: addressOf(far ?? {}), ...tooManyConnections }))
    this.#server.on('clientError', (error: ClientError, socket) => this.#garbage(error, socket as Socket))
  }

  async start(): Promise<void> {
    try {
      const bound = await listen(this.#server, guardedAddress(this.#options, 'the HTTP door'))
      this.address = addressText(bound)
      this.host = bound.address
      this.port = bound.port
    } catch (error) {
      this.#end()
      throw error
    }
  }

  part(): void {
    this.#isParting = true
    this.#readiness.close()
  }

  async close({ graceMs = graceMsDefault }: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#end()
    const closed = new Promise<void>(resolve => void this.#server.close(() => resolve()))
    for (const exchange of this.#open) exchange.stopWaiting()
    this.#server.closeIdleConnections()
    const { env } = this.#grid
    const cancel = env.at(env.now().monotonicMs + graceMs, () => this.#server.closeAllConnections())
    await closed
    cancel()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  take(bytes: number): boolean {
    if (this.#bodiesBytes + bytes > bodiesBytesMax) return false
    this.#bodiesBytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bodiesBytes -= bytes
  }

  #end(): void {
    this.#readiness.close()
    this.#metrics.close()
    this.#refusals.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const beganMs = this.#grid.now().monotonicMs
    const method = request.method ?? ''
    let route = 'none'
    let answer: Answer
    try {
      const found = this.#find(method, request.url ?? '')
      route = found.route.path
      guard(request, this.#token, found.route.isOpen === true)
      if (isStored(route) && this.#options.isServing?.() === false)
        throw new HttpRefusal('UNAVAILABLE', 'this peer starts: what the last stop left is being loaded')
      answer = await this.#run(found, request, response)
    } catch (error) {
      answer = this.#refusal(error)
      this.#tell(request, answer)
    }
    this.#metrics.answered(method.slice(0, 10), route, answer.status, (this.#grid.now().monotonicMs - beganMs) / 1_000)
    // What is left of a body that nobody reads would be taken for the next request.
    const isLeft = !request.complete
    send(response, answer, method === 'HEAD', isLeft || this.#isParting || this.#isClosing)
  }

  #find(method: string, url: string): Found {
    if (url.length > pathLengthMax) throw new HttpRefusal('INVALID', `a path has at most ${pathLengthMax} characters`)
    const [path = '', query = ''] = splitOnce(url, '?')
    const match = lookUp(this.#routes, method === 'HEAD' ? 'GET' : method, path)
    if (match !== undefined) return { ...match, query: new URLSearchParams(query) }
    const allowed = (['GET', 'PUT', 'POST', 'DELETE'] as const).filter(each => lookUp(this.#routes, each, path))
    if (allowed.length === 0) throw new HttpRefusal('NOT_FOUND', 'there is nothing at this path')
    throw new HttpRefusal('METHOD_NOT_ALLOWED', `this path knows ${allowed.join(', ')}`, { allow: allowed.join(', ') })
  }

  async #run({ route, params, query }: Found, request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    checkQuery(route, query)
    const exchange = new Exchange(this.#grid, request, params, query, this)
    this.#open.add(exchange)
    if (this.#isClosing) exchange.stopWaiting()
    const gone = (): void => {
      if (!response.writableFinished) exchange.leave()
    }
    response.on('close', gone)
    try {
      return await route.run(exchange)
    } finally {
      exchange.end()
      this.#open.delete(exchange)
    }
  }

  #refusal(error: unknown): Answer {
    const known = refusalOf(error)
    if (known !== undefined) return known
    const code = (error as { code?: unknown } | null)?.code
    // The client went away in the middle of its body.
    if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE')
      return answerOf('REQUEST_TIMEOUT', 'the request ended early')
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#grid.env.emit({ kind: 'emit', level: 'error', event: 'http.failed', fields: { reason } })
    return answerOf('INTERNAL', 'internal error: see the log of this peer', true)
  }

  /** What is not HTTP, or too large or too slow to be taken for it. */
  #garbage(error: ClientError, socket: Socket): void {
    const fault = clientFault(error, headersBytesMax)
    if (fault !== undefined) this.#refusals.tell({ from: addressOf(socket), ...fault })
    if (fault === undefined || !socket.writable) return void socket.destroy()
    const { status, json } = answerOf(answerCodes[fault.status], fault.reason)
    const body = JSON.stringify(json)
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`
    socket.end(head + body, () => socket.destroy())
  }

  /** For the log, where somebody has to know. */
  #tell({ socket }: IncomingMessage, { json }: Answer): void {
    const { code, message } = json as RefusalBody
    const remedy = remedies[code]
    if (remedy !== undefined)
      this.#refusals.tell({
        from: addressOf(socket),
        code: code.toLowerCase().replace('_', '-'),
        reason: message,
        remedy,
      })
  }
}

const answerCodes = { 400: 'INVALID', 408: 'REQUEST_TIMEOUT', 431: 'HEADERS_TOO_LARGE' } as const

const remedies: Readonly<Record<string, string | undefined>> = {
  UNAUTHORIZED:
    'send the token of --access-token-file as Authorization: Bearer; if it is none of yours, keep it off by a firewall',
  FORBIDDEN: 'ask as localhost, or start the peer with an --access-token-file and send the token',
  TOO_LARGE: 'send it in parts',
}

/** Whether what is behind the route is stored: not the cluster's state, and not orders to this peer. */
function isStored(route: string): boolean {
  return route.startsWith('/v1/') && route !== '/v1/cluster' && !route.startsWith('/v1/admin/')
}

interface Match {
  readonly route: Route
  readonly params: Readonly<Record<string, string | undefined>>
}
type Found = Match & { readonly query: URLSearchParams }

function routesOf(routes: readonly Route[]): Router {
  const made = router({ maxParamLength: pathLengthMax, caseSensitive: true })
  // The route lies in the store; the handler is never called.
  for (const route of routes) made.on(route.method, route.path, () => undefined, route)
  return made
}

function lookUp(routes: Router, method: string, path: string): Match | undefined {
  const found = routes.find(method as 'GET', path)
  return found === null ? undefined : { route: found.store as Route, params: found.params }
}

function splitOnce(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function send(response: ServerResponse, answer: Answer, isHead: boolean, isLast: boolean): void {
  if (response.destroyed) return
  const { status, headers = {}, json, text, bytes } = answer
  const body = json !== undefined ? Buffer.from(JSON.stringify(json)) : text !== undefined ? Buffer.from(text) : bytes
  response.statusCode = status
  if (json !== undefined) response.setHeader('content-type', 'application/json')
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (isLast) response.setHeader('connection', 'close')
  if (status !== 204 && status !== 304) response.setHeader('content-length', body?.length ?? 0)
  response.setHeader('cache-control', 'no-store')
  response.setHeader('x-content-type-options', 'nosniff')
  if (isHead || body === undefined) response.end()
  else response.end(body)
}

/** What a caller meant by a parameter that is not known, or given twice, cannot be told. */
function checkQuery({ path, query: known = [] }: Route, query: URLSearchParams): void {
  if (!path.startsWith('/v1/')) return
  const names = [...query.keys()]
  const strange = names.find((name, at) => !known.includes(name) || names.indexOf(name) < at)
  if (strange === undefined) return
  const problem = known.includes(strange) ? 'is given twice' : 'is no parameter here'
  const remedy = known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`
  throw new HttpRefusal('INVALID', `${JSON.stringify(strange)} ${problem}: ${remedy}`)
}
