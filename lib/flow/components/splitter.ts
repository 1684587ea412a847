/**
 * Splitter (Hohpe & Woolf, p. 259): one message becomes several, `id/0`, `id/1` ... in the commit that ends its own unit
 * of work. Each knows its parent, its place and how many there are, so that an aggregator can wait for all of them.
 */
import { TerminalError } from '../errors.ts'
import { childOf, type Envelope } from '../envelope.ts'
import type { AnyMessage, StepContext } from '../message.ts'

/** Children of one message: they are one commit. */
export const partsMax = 1_000

export interface SplitterNode {
  readonly kind: 'splitter'
  readonly name: string
  readonly split: (message: AnyMessage, context: StepContext) => unknown
}

export async function partsOf(
  node: SplitterNode,
  envelope: Envelope,
  message: AnyMessage,
  context: StepContext,
): Promise<readonly Envelope[]> {
  const found = node.split(message, context)
  const bodies = (found instanceof Promise ? await found : found) as Iterable<unknown>
  const parts = [...bodies]
  if (parts.length > partsMax)
    throw new TerminalError(`${node.name} made ${parts.length} parts, at most ${partsMax} go`)
  return parts.map((body, at) => ({
    ...childOf(envelope, at, body),
    correlation: envelope.id,
    headers: { ...envelope.headers, 'skein-part': String(at), 'skein-parts': String(parts.length) },
  }))
}
