/**
 * Content-Based Router (Hohpe & Woolf, p. 230): the first route whose test holds takes the message. Routes are branches that end
 * by themselves; a message that none wants goes to the dead letters, since dropping it would be silent.
 */
import { TerminalError } from '../errors.ts'
import type { AnyMessage, StepContext } from '../message.ts'
import type { RouterNode } from '../nodes.ts'

/** The place of the route taken. */
export async function routeOf(node: RouterNode, message: AnyMessage, context: StepContext): Promise<number> {
  for (const [at, { when }] of node.routes.entries()) {
    const verdict = when === undefined || when(message, context)
    if (verdict instanceof Promise ? await verdict : verdict) return at
  }
  throw new TerminalError(`no route of ${node.name} takes the message`)
}
