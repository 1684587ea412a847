/**
 * The one HTTP listener that the flows of a peer share: apart from the doors, because these are for people and tools that run
 * the cluster, and this is for the flows' callers. Loopback unless told otherwise.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import Router from 'find-my-way'
import type { Env } from '../../base/env.ts'
import { InvalidError } from '../../base/errors.ts'
import { RefusalLog } from '../../base/refusal-log.ts'
import { hostAndPort } from '../../transport/addresses.ts'
import { addressOf, clientFault, tooManyConnections, type ClientError } from './client-error.ts'

export interface HttpListenerOptions {
  /** 'host:port'; port 0 picks a free one. Default '127.0.0.1:8080'. */
  readonly listen?: string | undefined
}

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  params: Readonly<Record<string, string>>,
) => void

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

const listenDefault = '127.0.0.1:8080'
/** Slow senders are cut off: head, then all of a request. */
const headMsMax = 10_000
const requestMsMax = 30_000
const connectionsMax = 10_000
const headersBytesMax = 16 * 1024

export class HttpListener {
  readonly #router = Router({ ignoreTrailingSlash: true })
  /** What was taken here until its source closed: not unknown, but another peer's. A client must not give up on a 404. */
  readonly #left = Router({ ignoreTrailingSlash: true })
  readonly #server: Server
  readonly #options: HttpListenerOptions
  readonly #refusals: RefusalLog
  readonly #connections = new Set<Socket>()
  #isParting = false
  #isClosed = false
  #ready: Promise<string> | undefined
  #address: string | undefined

  constructor(env: Env, options: HttpListenerOptions = {}) {
    this.#options = options
    this.#refusals = new RefusalLog(env, { event: 'flows.refused', door: 'flow port' })
    const settings = {
      maxHeaderSize: headersBytesMax,
      headersTimeout: headMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: 30_000,
    }
    this.#server = createServer(settings, (request, response) => this.#handle(request, response))
    this.#server.maxConnections = connectionsMax
    this.#server.on('connection', socket => {
      socket.setNoDelay(true)
      this.#connections.add(socket)
      socket.on('close', () => this.#connections.delete(socket))
    })
    this.#server.on('drop', far => this.#refusals.tell({ from: addressOf(far ?? {}), ...tooManyConnections }))
    this.#server.on('clientError', (error: ClientError, socket) => this.#garbage(error, socket as Socket))
  }

  /** 'host:port' as it is; undefined until it listens. */
  get address(): string | undefined {
    return this.#address
  }

  /** Listens at the first call. Resolves with the address, e.g. '127.0.0.1:8080'. */
  async listening(): Promise<string> {
    this.#ready ??= this.#listen()
    return await this.#ready
  }

  /** Throws InvalidError if the route is taken. Returns how to give it up. */
  route(method: Method, path: string, handler: Handler): () => void {
    try {
      this.#router.on(method, path, (request, response, params) =>
        handler(request as IncomingMessage, response as ServerResponse, params as Readonly<Record<string, string>>),
      )
    } catch (error) {
      throw new InvalidError(`${method} ${path}: ${error instanceof Error ? error.message : String(error)}`)
    }
    this.#left.off(method, path)
    return () => {
      this.#router.off(method, path)
      this.#left.on(method, path, () => undefined)
    }
  }

  /** For the log: what a source refuses. */
  refused({ socket }: IncomingMessage, code: string, reason: string, remedy: string): void {
    this.#refusals.tell({ from: addressOf(socket), code, reason, remedy })
  }

  /** It will close soon: each answer from now on ends its connection, so that the next one is made elsewhere. */
  part(): void {
    this.#isParting = true
  }

  /** Takes no new connections, answers what is being asked, then closes. */
  async close(): Promise<void> {
    if (this.#ready === undefined || this.#isClosed) return
    this.#isClosed = true
    this.part()
    await this.#ready.catch(() => undefined)
    await new Promise<void>(resolve => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
    for (const socket of this.#connections) socket.destroy()
    this.#refusals.close()
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isParting) response.setHeader('connection', 'close')
    const path = (request.url ?? '/').split('?', 1)[0] as string
    const found = this.#router.find(request.method as Method, path)
    if (found !== null) {
      void found.handler(request, response, found.params, found.store, found.searchParams)
      return
    }
    const isLeft = this.#left.find(request.method as Method, path) !== null
    if (isLeft) refuse(response, 503, 'CLOSED', 'this peer takes nothing more in: ask another one')
    else this.#unknown(request, response, path)
    request.resume()
  }

  #unknown(request: IncomingMessage, response: ServerResponse, path: string): void {
    const reason = `no flow takes ${request.method} ${path.slice(0, 200)}`
    refuse(response, 404, 'NOT_FOUND', reason)
    if (/^\/(?:v1|-)(?:\/|$)/.test(path))
      this.refused(request, 'not-a-flow', reason, 'the API and the probes are at the port of --http')
    else
      this.refused(
        request,
        'not-found',
        reason,
        'send to an address that a flow begins with: see the lines of its start',
      )
  }

  /** What is not HTTP, or too large or too slow to be taken for it. */
  #garbage(error: ClientError, socket: Socket): void {
    const fault = clientFault(error, headersBytesMax)
    if (fault !== undefined) this.#refusals.tell({ from: addressOf(socket), ...fault })
    if (fault === undefined || !socket.writable) return void socket.destroy()
    const { status } = fault
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`
    socket.end(head, () => socket.destroy())
  }

  async #listen(): Promise<string> {
    const listen = this.#options.listen ?? listenDefault
    const match = /^(?:(.*):)?(\d{1,5})$/.exec(listen)
    if (match === null) throw new InvalidError(`flows cannot listen at '${listen}': write host:port`)
    const host = (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, '')
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(Number(match[2]), host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    const { address, port } = this.#server.address() as AddressInfo
    this.#address = hostAndPort(address, port)
    return this.#address
  }
}

/** The same body as the doors' refusals. */
function refuse(response: ServerResponse, status: 404 | 503, code: string, message: string): void {
  const isBusy = status === 503
  const text = JSON.stringify({ code, message, retryable: isBusy, indeterminate: false })
  const headers = isBusy ? { 'retry-after': '1', connection: 'close' } : {}
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)
}
