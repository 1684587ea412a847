/** The types that a flow's author relies on: what is right compiles, and what is wrong does not. Checked by the compiler. */
import { z } from 'zod'
import { file } from '../../lib/connectors/file/file.ts'
import { http } from '../../lib/connectors/http/http.ts'
import { log } from '../../lib/connectors/log-target.ts'
import { queue } from '../../lib/connectors/queue-target.ts'
import { timer } from '../../lib/connectors/timer.ts'
import { flow, type Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage, Message } from '../../lib/flow/message.ts'

const Head = z.object({ event: z.string(), sentAt: z.string() })
const Payload = z.object({ action: z.string(), repository: z.object({ full_name: z.string() }) })

const halves = flow('deliveries').from({
  head: http.post('/deliveries/:id/head', { body: Head }),
  payload: http.post('/deliveries/:id/payload/:part', { body: Payload }),
})

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(is: Same<A, B>): boolean => is

halves.filter(m => {
  same<typeof m.source, 'head' | 'payload'>(true)
  same<typeof m.params.id, string>(true)
  if (m.source === 'head') {
    same<typeof m.body, { event: string; sentAt: string }>(true)
    // @ts-expect-error: this route has no such parameter.
    void m.params.part
    // @ts-expect-error: that is in the other body.
    void m.body.action
  } else {
    same<typeof m.params.part, string>(true)
    same<typeof m.body.repository.full_name, string>(true)
  }
  // @ts-expect-error: no source has that name.
  void (m.source === 'tail')
  // @ts-expect-error: no route has that parameter.
  void m.params.key
  return true
})

const joined = halves.aggregator('join', {
  by: m => m.params.id,
  complete: { each: ['head', 'payload'] },
  timeout: '5m',
  onTimeout: 'dead-letter',
  onLate: 'discard',
  merge: ({ head, payload }, id) => ({ id, event: head.event, repo: payload.repository.full_name }),
})
joined.filter(m => {
  same<typeof m.body, { id: string; event: string; repo: string }>(true)
  same<typeof m.source, 'join'>(true)
  // @ts-expect-error: the merged body has no such field.
  void m.body.action
  return m.body.event !== 'ping'
})

halves.aggregator('some', {
  by: m => m.params.id,
  // @ts-expect-error: no source has that name.
  complete: { each: ['head', 'tail'] },
  merge: () => 1,
})
halves.aggregator('half', {
  by: m => m.params.id,
  complete: { each: ['head'] },
  // @ts-expect-error: only what `each` names is sure to be there.
  merge: ({ payload }) => payload,
})
halves.aggregator('maybe', {
  by: m => m.params.id,
  complete: { each: ['head', 'payload'] },
  timeout: '1m',
  onTimeout: 'release',
  merge: parts => {
    // @ts-expect-error: with 'release' a part may be missing.
    void parts.head.event
    return parts.head?.event ?? ''
  },
})
halves.aggregator('batch', {
  by: () => 'all',
  complete: { size: 10 },
  merge: messages => messages.map(m => m.source),
})
halves.aggregator('judged', {
  by: m => m.params.id,
  complete: messages => messages.length > 3,
  merge: messages => messages.length,
})
// @ts-expect-error: a key is text or a number.
halves.idempotentReceiver({ by: m => m.body })
// @ts-expect-error: a duration is '5m' or milliseconds.
halves.idempotentReceiver({ by: m => m.params.id, remember: '5 minutes' })

const words = flow('words')
  .from(http.post('/words', { body: z.object({ words: z.array(z.string()) }) }))
  .splitter(m => m.body.words)
same<typeof words, Flow<Message<string, 'in', object>>>(true)
words.transform(m => m.body.length).to(queue<number>('lengths'))
// @ts-expect-error: the target takes numbers.
words.to(queue<number>('lengths'))
words.to(file('words.txt', { format: m => `${m.body.toUpperCase()}\n` }))
words.to(http(m => `https://example.org/${m.body.trim()}`))
words.contentBasedRouter(routes =>
  routes
    .when(
      'short',
      m => m.body.length < 3,
      short => short.to(log()),
    )
    .otherwise(other => other.to(queue('long'))),
)
const narrowed = halves.filter((m): m is Extract<typeof m, { readonly source: 'head' }> => m.source === 'head')
narrowed.transform(m => m.body.sentAt)

flow('ticks')
  .from(timer('5s'))
  .transform(m => new Date(m.body.dueAt).toISOString())
  .to(log())

/** Every flow can be run, whatever its messages. */
export const any: readonly Flow<AnyMessage>[] = [joined, words, narrowed]
