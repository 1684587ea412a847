/** What a request comes to, for its caller. */
import type { Outcome } from './command.ts'

/** `retry` only of requests that give way to a locked key. */
export type Answer = Outcome | { readonly kind: 'unavailable'; readonly message: string }

/** It certainly did not happen. */
export function unavailable(message: string): Answer {
  return { kind: 'unavailable', message }
}

/** It may have happened. */
export function indeterminate(message: string): Answer {
  return { kind: 'indeterminate', message }
}
