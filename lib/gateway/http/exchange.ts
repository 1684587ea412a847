/** One request and what comes of it, as routes see it: parameters read and bounded, body read and bounded. */
import type { IncomingMessage } from 'node:http'
import type { Grid, WriteOptions } from '../../grid/handles.ts'
import { valueBytesMax } from '../door.ts'
import { parseJson } from './json.ts'
import { HttpRefusal } from './refusal.ts'

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** One of the three, or no body. */
  readonly json?: unknown
  readonly text?: string
  readonly bytes?: Uint8Array
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** e.g. '/v1/maps/:map/:key' */
  readonly path: string
  /** Names of query parameters; under /v1 any other is refused. */
  readonly query?: readonly string[]
  /** Also without the access token: probes. */
  readonly isOpen?: boolean
  readonly run: (exchange: Exchange) => Answer | Promise<Answer>
}

/** Longest `waitMs`; whoever wants more asks again. */
export const waitMsMax = 60_000
export const leaseMsMax: number = 24 * 3_600_000
const nameLengthMax = 1_024
const idempotencyKeyLengthMax = 255

/** Bytes of bodies that one door holds at a time. */
export interface BodyBudget {
  take(bytes: number): boolean
  give(bytes: number): void
}

export class Exchange {
  readonly grid: Grid
  readonly query: URLSearchParams
  readonly #request: IncomingMessage
  readonly #params: Readonly<Record<string, string | undefined>>
  readonly #budget: BodyBudget
  readonly #waiting = new AbortController()
  #isGone = false
  // of the budget
  #bytes = 0

  constructor(
    grid: Grid,
    request: IncomingMessage,
    params: Readonly<Record<string, string | undefined>>,
    query: URLSearchParams,
    budget: BodyBudget,
  ) {
    this.grid = grid
    this.#request = request
    this.#params = params
    this.query = query
    this.#budget = budget
  }

  /** Whoever waits for something gives it up: the client is gone, or the door closes. */
  get waiting(): AbortSignal {
    return this.#waiting.signal
  }

  /** The client will not read the answer. */
  get isGone(): boolean {
    return this.#isGone
  }

  stopWaiting(): void {
    this.#waiting.abort()
  }

  leave(): void {
    this.#isGone = true
    this.#waiting.abort()
  }

  /** Gives back what the body took. */
  end(): void {
    this.#budget.give(this.#bytes)
    this.#bytes = 0
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** A part of the path. */
  name(param: string): string {
    const value = this.#params[param] ?? ''
    if (value === '' || value.length > nameLengthMax)
      throw new HttpRefusal('INVALID', `the ${param} in the path has 1 to ${nameLengthMax} characters`)
    return value
  }

  /** A whole number of the query within bounds; undefined if it is not given. */
  uint(param: string, min: number, max: number): number | undefined {
    const text = this.query.get(param)
    return text === null ? undefined : wholeNumber(/^\d{1,15}$/.test(text) ? Number(text) : NaN, param, min, max)
  }

  /** The same of the query or, where it is not there, of the body. */
  uintIn(body: Readonly<Record<string, unknown>>, param: string, min: number, max: number): number | undefined {
    const [inQuery, inBody] = [this.uint(param, min, max), optionalNumber(body[param], param, min, max)]
    if (inQuery !== undefined && inBody !== undefined && inQuery !== inBody)
      throw new HttpRefusal('INVALID', `${param} is ${inQuery} in the query and ${inBody} in the body`)
    return inQuery ?? inBody
  }

  get write(): WriteOptions {
    const key = this.header('idempotency-key')
    if (key === undefined) return {}
    if (key === '' || key.length > idempotencyKeyLengthMax)
      throw new HttpRefusal('INVALID', `Idempotency-Key has 1 to ${idempotencyKeyLengthMax} characters`)
    return { idempotencyKey: key }
  }

  get contentType(): string {
    return this.header('content-type') ?? 'application/octet-stream'
  }

  /** The whole body. TOO_LARGE above `valueBytesMax`. */
  async bytes(): Promise<Uint8Array> {
    const encoding = this.header('content-encoding') ?? 'identity'
    if (encoding !== 'identity')
      throw new HttpRefusal('UNSUPPORTED_TYPE', `Content-Encoding ${encoding} is not read here`)
    if (Number(this.header('content-length') ?? 0) > valueBytesMax) throw tooLarge()
    const chunks: Buffer[] = []
    // One that is cut off here is still to be answered.
    for await (const chunk of this.#request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (this.#bytes + chunk.length > valueBytesMax) throw tooLarge()
      if (!this.#budget.take(chunk.length))
        throw new HttpRefusal('UNAVAILABLE', 'too many requests bring bodies at once')
      this.#bytes += chunk.length
      chunks.push(chunk)
    }
    // A copy: what is stored must not pin what came in with it.
    return new Uint8Array(Buffer.concat(chunks))
  }

  /** The body as a JSON object; {} where there is none. */
  async object(): Promise<Readonly<Record<string, unknown>>> {
    const bytes = await this.bytes()
    if (bytes.length === 0) return {}
    if (this.header('content-type') !== undefined && !isJson(this.contentType))
      throw new HttpRefusal('UNSUPPORTED_TYPE', 'the body must be application/json in UTF-8')
    const value = parseJson(bytes)
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new HttpRefusal('INVALID', 'the body must be a JSON object')
    return value as Readonly<Record<string, unknown>>
  }
}

/** Throws INVALID. */
export function wholeNumber(value: unknown, what: string, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw new HttpRefusal('INVALID', `${what} must be a whole number from ${min} to ${max}`)
}

export function optionalNumber(value: unknown, what: string, min: number, max: number): number | undefined {
  return value === undefined ? undefined : wholeNumber(value, what, min, max)
}

/** application/json and application/*+json, in UTF-8. */
export function isJson(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters
    .find(each => each.trim().startsWith('charset='))
    ?.trim()
    .slice(8)
  return (
    /^application\/(?:[\w.-]+\+)?json$/.test(type.trim()) && (charset === undefined || /^"?utf-?8"?$/.test(charset))
  )
}

function tooLarge(): HttpRefusal {
  return new HttpRefusal('TOO_LARGE', `a body has at most ${valueBytesMax} bytes`, { connection: 'close' })
}
