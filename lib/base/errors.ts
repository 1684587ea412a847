/**
 * Errors of the public API. Two kinds matter more than any code: `FailedError` says the operation did not happen, and
 * `IndeterminateError` that it may have. `code` is stable; `retryable` says whether the same call may succeed later.
 */
import type { Plain } from './shape.ts'

export abstract class SkeinError extends Error {
  abstract readonly code: string
  abstract readonly retryable: boolean
  /** True if the operation may have happened. */
  abstract readonly indeterminate: boolean
  override get name(): string {
    return this.constructor.name
  }
}

/** It did not happen. */
export abstract class FailedError extends SkeinError {
  readonly indeterminate = false as const
}

/** It may have happened: read the state, or retry with the same idempotency key. */
export class IndeterminateError extends SkeinError {
  readonly code: string = 'INDETERMINATE'
  readonly indeterminate = true as const
  readonly retryable = true
}

/** No owner could be asked within the deadline: no quorum, no lease, or the partition waits for its only copy. */
export class UnavailableError extends FailedError {
  readonly code = 'UNAVAILABLE'
  readonly retryable = true
}

/** Fewer live copies than `minCopies`. */
export class NotEnoughCopiesError extends FailedError {
  readonly code = 'NOT_ENOUGH_COPIES'
  readonly retryable = true
}

/** The memory budget is at its refusal mark and the write would grow. */
export class GridFullError extends FailedError {
  readonly code = 'GRID_FULL'
  readonly retryable = true
}

/** A bounded structure (a queue's capacity, a session's open requests) is full. */
export class FullError extends FailedError {
  readonly code = 'FULL'
  readonly retryable = true
}

/** A condition did not hold: version, absence, presence. */
export class ConflictError extends FailedError {
  readonly code = 'CONFLICT'
  readonly retryable = true
  /** What is there instead, as the operation says: a version, a fence, null for nothing. */
  readonly detail: Plain

  constructor(message: string, { detail = null, ...options }: ErrorOptions & { readonly detail?: Plain } = {}) {
    super(message, options)
    this.detail = detail
  }
}

/** The token is not the newest grant, or its lease ended. */
export class StaleTokenError extends FailedError {
  readonly code = 'STALE_TOKEN'
  readonly retryable = false
}

/** The key holds another type of value. */
export class WrongTypeError extends FailedError {
  readonly code = 'WRONG_TYPE'
  readonly retryable = false
}

/** What the caller passed is not acceptable: says what, where, and what to do. */
export class InvalidError extends FailedError {
  readonly code = 'INVALID'
  readonly retryable = false
}

/** The caller's signal aborted before anything was sent. */
export class AbortedError extends FailedError {
  readonly code = 'ABORTED'
  readonly retryable = false
}

/** The member is leaving or closed. */
export class ClosedError extends FailedError {
  readonly code = 'CLOSED'
  readonly retryable = false
}

/** An optional package is missing; the message names the `npm install` line. */
export class MissingPackageError extends FailedError {
  readonly code = 'MISSING_PACKAGE'
  readonly retryable = false
}

/** Bytes from outside that are not what they must be. Internal to the edges: closes a connection or answers 400. */
export class MalformedError extends FailedError {
  readonly code = 'MALFORMED'
  readonly retryable = false
}
