/** Message Translator (Hohpe & Woolf, p. 85): another body, the same message. */
import type { AnyMessage, StepContext } from '../message.ts'

export interface TransformNode {
  readonly kind: 'transform'
  readonly name: string
  readonly map: (message: AnyMessage, context: StepContext) => unknown
}

export async function transformed(node: TransformNode, message: AnyMessage, context: StepContext): Promise<unknown> {
  const body = node.map(message, context)
  return body instanceof Promise ? await body : body
}
