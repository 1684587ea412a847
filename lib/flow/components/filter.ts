/** Message Filter (Hohpe & Woolf, p. 237): what does not pass is acknowledged, counted and gone. */
import type { AnyMessage, StepContext } from '../message.ts'

export interface FilterNode {
  readonly kind: 'filter'
  readonly name: string
  readonly test: (message: AnyMessage, context: StepContext) => unknown
}

export async function passes(node: FilterNode, message: AnyMessage, context: StepContext): Promise<boolean> {
  const verdict = node.test(message, context)
  return Boolean(verdict instanceof Promise ? await verdict : verdict)
}
