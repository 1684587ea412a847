/** What the API answers when it refuses: one table from error codes to statuses, one shape of body. */
import { ConflictError, SkeinError } from '../../base/errors.ts'
import type { Answer } from './exchange.ts'

/** Body of every refusal. */
export interface RefusalBody {
  readonly code: string
  readonly message: string
  /** The same request may succeed later. */
  readonly retryable: boolean
  /** It may have happened: read the state, or repeat it with the same Idempotency-Key. */
  readonly indeterminate: boolean
}

/** Codes of the grid's errors, and the door's own. */
export type RefusalCode =
  | 'INVALID'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'REQUEST_TIMEOUT'
  | 'CONFLICT'
  | 'STALE_TOKEN'
  | 'WRONG_TYPE'
  | 'PRECONDITION_FAILED'
  | 'TOO_LARGE'
  | 'UNSUPPORTED_TYPE'
  | 'HEADERS_TOO_LARGE'
  | 'INTERNAL'
  | 'MALFORMED'
  | 'MISSING_PACKAGE'
  | 'NOT_IMPLEMENTED'
  | 'UNAVAILABLE'
  | 'NOT_ENOUGH_COPIES'
  | 'FULL'
  | 'CLOSED'
  | 'ABORTED'
  | 'INDETERMINATE'
  | 'GRID_FULL'

interface Row {
  readonly status: number
  readonly retryable: boolean
}

const table: Readonly<Record<RefusalCode, Row>> = {
  INVALID: { status: 400, retryable: false },
  UNAUTHORIZED: { status: 401, retryable: false },
  FORBIDDEN: { status: 403, retryable: false },
  NOT_FOUND: { status: 404, retryable: false },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false },
  REQUEST_TIMEOUT: { status: 408, retryable: true },
  CONFLICT: { status: 409, retryable: true },
  STALE_TOKEN: { status: 409, retryable: false },
  WRONG_TYPE: { status: 409, retryable: false },
  PRECONDITION_FAILED: { status: 412, retryable: false },
  TOO_LARGE: { status: 413, retryable: false },
  UNSUPPORTED_TYPE: { status: 415, retryable: false },
  HEADERS_TOO_LARGE: { status: 431, retryable: false },
  INTERNAL: { status: 500, retryable: true },
  MALFORMED: { status: 500, retryable: false },
  MISSING_PACKAGE: { status: 500, retryable: false },
  NOT_IMPLEMENTED: { status: 501, retryable: false },
  UNAVAILABLE: { status: 503, retryable: true },
  NOT_ENOUGH_COPIES: { status: 503, retryable: true },
  FULL: { status: 503, retryable: true },
  CLOSED: { status: 503, retryable: true },
  ABORTED: { status: 503, retryable: true },
  INDETERMINATE: { status: 504, retryable: true },
  GRID_FULL: { status: 507, retryable: true },
}

const retryAfterSeconds = 1

/** Thrown by routes for what the grid has no error for. */
export class HttpRefusal extends Error {
  readonly code: RefusalCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: RefusalCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.code = code
    this.headers = headers
  }
}

/** Undefined: a bug, which is for the log as well. */
export function refusalOf(error: unknown): Answer | undefined {
  if (error instanceof HttpRefusal) return answerOf(error.code, error.message, false, error.headers)
  if (!(error instanceof SkeinError)) return undefined
  const code = Object.hasOwn(table, error.code) ? (error.code as RefusalCode) : 'INTERNAL'
  return answerOf(code, error.message, error.indeterminate)
}

export function answerOf(
  code: RefusalCode,
  message: string,
  indeterminate = false,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const { status, retryable } = table[code]
  const body: RefusalBody = { code, message, retryable, indeterminate }
  const retryAfter = status === 503 ? { 'retry-after': String(retryAfterSeconds) } : {}
  return { status, headers: { ...retryAfter, ...headers }, json: body }
}

/** A condition on a version that did not hold is 412, where the same code elsewhere is 409. */
export function preconditionFailed(error: unknown): unknown {
  if (!(error instanceof ConflictError)) return error
  const etag = etagOf(error.detail)
  return new HttpRefusal('PRECONDITION_FAILED', error.message, etag === undefined ? {} : { etag })
}

/** [3, 17, 0] -> '"3.17.0"' */
export function etagOf(version: unknown): string | undefined {
  return Array.isArray(version) && version.length === 3 ? `"${version.join('.')}"` : undefined
}
