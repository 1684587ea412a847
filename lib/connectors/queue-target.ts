/** A queue of the grid as a target, exactly once: the put is part of the commit. `grid.queue(name)` receives the body. */
import type { Plain } from '../base/shape.ts'
import type { AnyMessage, Message } from '../flow/message.ts'
import type { Target } from '../flow/ports.ts'
import { values } from '../grid/values.ts'

export interface QueueTargetOptions<Body> {
  /** FIFO within it. */
  readonly group?: ((message: Message<Body>) => string) | undefined
}

const codec = values<unknown>()

export function queue<Body>(name: string, options: QueueTargetOptions<Body> = {}): Target<Body> {
  const groupOf = options.group as ((message: AnyMessage) => string) | undefined
  return {
    edge: 'target',
    kind: 'queue',
    style: 'grid',
    settings: { name, group: String(options.group) },
    open: () => ({
      operations: ({ message, idempotencyKey }) => {
        const group = groupOf?.(message) ?? message.group
        const { correlation = null, headers } = message
        const operation = {
          kind: 'queue.put',
          queue: name,
          id: idempotencyKey,
          body: codec.encode(message.body),
          headers: { ...headers, correlation } satisfies Plain,
          ...(group !== undefined && { group }),
        } as const
        return [group === undefined ? { operation } : { key: group, operation }]
      },
    }),
  }
}
