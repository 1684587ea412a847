/**
 * HTTP sources: `http.post('/deliveries/:id/head', { body: Head })`. 202 with `{"id":...}` only when every copy holds the
 * message; 400 with the issues if the body is not what the schema takes; 503 with Retry-After if there is no room or no quorum
 * (it did not happen), 504 if it may have happened. A sender that repeats a request with its `Idempotency-Key`, at any
 * peer, gets the first answer; one without a key may have its message twice, and an idempotent receiver is what helps.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { FullError, GridFullError, InvalidError, SkeinError } from '../../base/errors.ts'
import { durationMs, type Duration } from '../../grid/duration.ts'
import { InvalidMessageError } from '../../flow/errors.ts'
import type { Arrival, OpenSource, Source, SourceHost } from '../../flow/ports.ts'
import type { Schema } from '../../flow/schema.ts'
import { HttpListener, type HttpListenerOptions, type Method } from './listener.ts'
import { BodyError, readBody } from './body.ts'

/** { id: string } of '/deliveries/:id/head'. */
export type PathParams<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${infer Name}/${infer More}`
    ? { readonly [K in Name]: string } & PathParams<`/${More}`>
    : { readonly [K in Rest]: string }
  : object

export interface HttpSourceOptions<Body> {
  /** Default: any JSON, text or bytes. */
  readonly body?: Schema<Body> | undefined
  /** Larger is refused with 413. Default 1 MiB. */
  readonly bytesMax?: number | undefined
  /** How long an Idempotency-Key is known. Default '1h'. */
  readonly remember?: Duration | undefined
  /** Header fields that go along, lower case. `traceparent`, `tracestate` and `baggage` always do. */
  readonly headers?: readonly string[] | undefined
}

const bytesMaxDefault = 1 << 20
const keyLengthMax = 255
const retryAfterSeconds = '1'
const traced = ['traceparent', 'tracestate', 'baggage']

export function httpSource<const Path extends string, Body = unknown>(
  method: Method,
  path: Path,
  options: HttpSourceOptions<Body> = {},
): Source<Body, PathParams<Path>> {
  const { body, bytesMax = bytesMaxDefault, remember = '1h', headers = [] } = options
  if (!path.startsWith('/')) throw new InvalidError(`the path '${path}' does not begin with '/'`)
  const rememberMs = durationMs(remember, 'remember')
  const settings = { method, path, bytesMax, rememberMs, headers: [...traced, ...headers] }
  return {
    edge: 'source',
    kind: 'http',
    settings,
    schema: body,
    open: async host => {
      const listener = host.shared(
        'http-listener',
        () => new HttpListener(host.env, host.option('http') as HttpListenerOptions),
      )
      const source = new OpenHttpSource(host, settings, listener)
      const unroute = listener.route(method, path, (request, response, params) =>
        source.take(request, response, params),
      )
      await listener.listening()
      return source.opened(unroute)
    },
  }
}

interface HttpSettings {
  readonly method: Method
  readonly path: string
  readonly bytesMax: number
  readonly rememberMs: number
  readonly headers: readonly string[]
}

class OpenHttpSource {
  readonly #host: SourceHost
  readonly #settings: HttpSettings
  readonly #listener: HttpListener
  #inHand = 0
  #isClosed = false
  #emptied: (() => void) | undefined

  constructor(host: SourceHost, settings: HttpSettings, listener: HttpListener) {
    this.#host = host
    this.#settings = settings
    this.#listener = listener
  }

  opened(unroute: () => void): OpenSource {
    return {
      address: `${this.#settings.method} ${this.#settings.path}`,
      close: async () => {
        this.#isClosed = true
        if (this.#inHand > 0) await new Promise<void>(resolve => (this.#emptied = resolve))
        unroute()
      },
    }
  }

  take(request: IncomingMessage, response: ServerResponse, params: Readonly<Record<string, string>>): void {
    this.#inHand++
    this.#answer(request, response, params)
      .catch((error: unknown) => {
        if (response.headersSent) return void response.destroy()
        refuse(response, error)
        if (error instanceof BodyError && error.status === 413)
          this.#listener.refused(
            request,
            'too-large',
            `${this.#settings.path}: ${error.message}`,
            'send it in parts, or raise bytesMax of the source',
          )
        if (!request.complete) request.resume()
      })
      .finally(() => {
        if (--this.#inHand === 0) this.#emptied?.()
      })
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (this.#isClosed) return busy(response, 'CLOSED', 'this peer takes nothing more in: ask another one')
    if (this.#host.isPaused) return busy(response, 'FULL', 'there is no room for more: try again later')
    const { value, contentType } = await readBody(request, this.#settings.bytesMax, this.#host.isTyped)
    const body = await this.#host.validated(value)
    const accepted = await this.#host.accept(this.#arrival(request, params, body, contentType))
    const text = JSON.stringify({ id: accepted.id })
    const replayed = accepted.isRepeat ? { 'idempotency-replayed': 'true' } : undefined
    response
      .writeHead(202, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...replayed })
      .end(text)
  }

  #arrival(
    request: IncomingMessage,
    params: Readonly<Record<string, string>>,
    body: unknown,
    contentType: string,
  ): Arrival {
    const key = request.headers['idempotency-key']
    const headers: Record<string, string> = {}
    for (const name of this.#settings.headers) {
      const value = request.headers[name]
      if (value !== undefined) headers[name] = String(value)
    }
    // No prototype in the router's answer; what is stored is a plain object.
    const arrival = { params: { ...params }, body, contentType, headers }
    if (key === undefined) return arrival
    if (typeof key !== 'string' || key === '' || key.length > keyLengthMax)
      throw new InvalidError(`an Idempotency-Key has 1 to ${keyLengthMax} characters`)
    const scope = (request.url ?? '').split('?', 1)[0] as string
    return { ...arrival, idempotency: { key, scope, rememberMs: this.#settings.rememberMs } }
  }
}

function busy(response: ServerResponse, code: string, message: string): void {
  const text = JSON.stringify({ code, message, retryable: true, indeterminate: false })
  response
    .writeHead(503, { 'content-type': 'application/json', 'retry-after': retryAfterSeconds, connection: 'close' })
    .end(text)
}

function refuse(response: ServerResponse, error: unknown): void {
  const { status, code, message, retryable, indeterminate } = refusalOf(error)
  const issues = error instanceof InvalidMessageError ? { issues: error.issues } : undefined
  const text = JSON.stringify({ code, message, retryable, indeterminate, ...issues })
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(retryable && { 'retry-after': retryAfterSeconds }),
    ...((status === 413 || status === 408) && { connection: 'close' }),
  })
  response.end(text)
}

interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly indeterminate: boolean
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof BodyError)
    return { status: error.status, code: error.code, message: error.message, retryable: false, indeterminate: false }
  if (!(error instanceof SkeinError))
    return { status: 500, code: 'INTERNAL', message: 'a fault of the flow', retryable: true, indeterminate: true }
  const { code, message, retryable, indeterminate } = error
  return { status: statusOf(error), code, message, retryable, indeterminate }
}

function statusOf(error: SkeinError): number {
  if (error instanceof InvalidMessageError || error instanceof InvalidError) return 400
  if (error instanceof GridFullError) return 507
  if (error instanceof FullError) return 503
  return error.indeterminate ? 504 : 503
}
