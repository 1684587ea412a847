/** The peer's log as a target: one event for each message, its body as JSON, cut off where it is long. */
import type { Target } from '../flow/ports.ts'

const textLengthMax = 2_000

export function log(event = 'flow.message'): Target<unknown> {
  return {
    edge: 'target',
    kind: 'log',
    style: 'call',
    settings: { event },
    open: host => ({
      send: ({ message }) => {
        const text = JSON.stringify(message.body) ?? 'null'
        host.log('info', event, { message: message.id, body: text.slice(0, textLengthMax) })
        return Promise.resolve()
      },
      close: () => Promise.resolve(),
    }),
  }
}
