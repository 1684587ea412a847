/**
 * Requests to elsewhere, at least once: `http('https://example.org/hooks')`. Each carries its `Idempotency-Key`, the same
 * at every try, so that a receiver which knows the key does it once. 2xx is done; 408, 425, 429, 5xx and network errors
 * are tried again by the stage's retry; any other answer goes to the dead letters at once.
 */
import { durationMs, type Duration } from '../../grid/duration.ts'
import { TerminalError } from '../../flow/errors.ts'
import type { AnyMessage, Message } from '../../flow/message.ts'
import type { Departure, Target, TargetHost } from '../../flow/ports.ts'

export interface HttpTargetOptions<Body> {
  /** Default 'POST'. */
  readonly method?: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Default: the body as JSON. */
  readonly body?: ((message: Message<Body>) => string | Uint8Array | undefined) | undefined
  /** Of one request; the message's expiry shortens it. Default '30s'. */
  readonly timeout?: Duration | undefined
}

const again = new Set([408, 425, 429])

export function httpTarget<Body>(
  url: string | ((message: Message<Body>) => string),
  options: HttpTargetOptions<Body> = {},
): Target<Body> {
  const { method = 'POST', headers = {}, body, timeout = '30s' } = options
  const timeoutMs = durationMs(timeout, 'timeout')
  const address = (typeof url === 'string' ? () => url : url) as (message: AnyMessage) => string
  const content = (body ?? (message => JSON.stringify(message.body))) as (message: AnyMessage) => Content | undefined
  return {
    edge: 'target',
    kind: 'http',
    style: 'call',
    settings: { url: String(url), method, headers, timeoutMs, body: String(body) },
    open: host => ({
      send: departure => send(departure, host, { method, headers, timeoutMs, address, content }),
      close: () => Promise.resolve(),
    }),
  }
}

type Content = string | Uint8Array<ArrayBuffer>

interface Call {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly address: (message: AnyMessage) => string
  readonly content: (message: AnyMessage) => Content | undefined
}

async function send(
  { message, idempotencyKey, signal, expiresAt }: Departure,
  host: TargetHost,
  call: Call,
): Promise<void> {
  const leftMs = expiresAt === undefined ? Infinity : expiresAt - host.env.now().wallMs
  if (leftMs <= 0) throw new TerminalError('expired before it could be sent')
  const url = call.address(message)
  const { traceparent } = message.headers
  const body = call.content(message)
  const response = await fetch(url, {
    method: call.method,
    headers: {
      'content-type': 'application/json',
      ...(traceparent !== undefined && { traceparent }),
      ...call.headers,
      'idempotency-key': idempotencyKey,
    },
    ...(body !== undefined && { body }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(Math.min(call.timeoutMs, leftMs))]),
    redirect: 'manual',
  }).catch((error: unknown) => {
    const cause = (error as { readonly cause?: { readonly code?: string } }).cause?.code
    throw new Error(`${url} did not answer: ${cause ?? String(error)}`, { cause: error })
  })
  // Read to its end, so that the connection can be used again.
  await response.body?.cancel()
  if (response.ok) return
  const text = `${url} answered ${response.status} ${response.statusText}`.trimEnd()
  if (response.status >= 500 || again.has(response.status)) throw new Error(text)
  throw new TerminalError(text)
}
