/** From what the layers below answer to what a program sees: the one place where outcomes become errors, and errors are told apart. */
import {
  AbortedError,
  ClosedError,
  ConflictError,
  FullError,
  GridFullError,
  IndeterminateError,
  InvalidError,
  NotEnoughCopiesError,
  StaleTokenError,
  UnavailableError,
  WrongTypeError,
  type SkeinError,
} from '../base/errors.ts'
import type { Plain } from '../base/shape.ts'
import type { Settled } from '../replication/caller.ts'

export type Refused = Extract<Settled, { kind: 'refused' }>

/** The results, or throws what became of the call. */
export function resultsOf(settled: Settled, signal?: AbortSignal): readonly Plain[] {
  if (settled.kind === 'done') return settled.results
  throw errorOf(settled, signal)
}

export function errorOf(settled: Exclude<Settled, { kind: 'done' }>, signal?: AbortSignal): SkeinError {
  switch (settled.kind) {
    case 'refused':
      return refusalError(settled)
    case 'indeterminate':
      return new IndeterminateError(settled.message)
    case 'unavailable':
      if (signal?.aborted === true) return new AbortedError('aborted before it happened', { cause: signal.reason })
      return new UnavailableError(settled.message)
  }
}

function refusalError({ code, message, detail }: Refused): SkeinError {
  switch (code) {
    case 'CONFLICT':
    case 'NOT_FOUND':
      return new ConflictError(message, { detail })
    case 'STALE_TOKEN':
      return new StaleTokenError(message)
    case 'FULL':
    case 'TOO_MANY_OPEN':
      return new FullError(message)
    case 'WRONG_TYPE':
      return new WrongTypeError(message)
    case 'INVALID':
      return new InvalidError(message)
    case 'GRID_FULL':
      return new GridFullError(message)
    case 'NOT_ENOUGH_COPIES':
      return new NotEnoughCopiesError(message)
    case 'SESSION_ENDED':
      return new UnavailableError(message)
    case 'CLOSED':
      return new ClosedError(message)
  }
}

/** No quorum, a failover, no room: the same may be well a moment later. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof UnavailableError ||
    error instanceof IndeterminateError ||
    error instanceof FullError ||
    error instanceof GridFullError ||
    error instanceof NotEnoughCopiesError
  )
}

/** It did not happen, and asked again as it is it would not either. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ConflictError || error instanceof StaleTokenError || error instanceof InvalidError
}
