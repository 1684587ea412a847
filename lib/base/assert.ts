/** Thrown only for what a bug alone can cause; stays on in production. */
export class AssertionError extends Error {
  readonly code = 'ERR_ASSERTION'
}

/** States an invariant. `what` says what must hold, e.g. `assert(acked <= sent, 'acked <= sent')`. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${what}`)
}
