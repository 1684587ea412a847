/**
 * The flow that the demo runs: two producers, one delivery. Each half comes in by HTTP; the aggregator joins them; a line
 * for each is written exactly once.
 */
import * as v from 'valibot'
import { file } from '../../lib/connectors/file/file.ts'
import { http } from '../../lib/connectors/http/http.ts'
import { flow, type Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'

const Head = v.object({ event: v.string(), sentAt: v.string() })
// Not every webhook has an action, or is about one repository.
const Payload = v.object({
  action: v.optional(v.string()),
  repository: v.optional(v.nullable(v.object({ full_name: v.string() }))),
})

const deliveries: Flow<AnyMessage> = flow('deliveries')
  .from({
    head: http.post('/deliveries/:id/head', { body: Head }),
    payload: http.post('/deliveries/:id/payload', { body: Payload }),
  })
  .idempotentReceiver({ by: m => `${m.params.id}/${m.source}`, remember: '24h' })
  .aggregator('join', {
    by: m => m.params.id,
    complete: { each: ['head', 'payload'] },
    timeout: '5m',
    onTimeout: 'dead-letter',
    onLate: 'discard',
    merge: ({ head, payload }, id) => ({
      id,
      event: head.event,
      action: payload.action ?? null,
      repo: payload.repository?.full_name ?? null,
    }),
  })
  .filter(m => m.body.event !== 'ping')
  .stage('write', { concurrency: 16, capacity: 100_000 })
  .retry({ attempts: 8, backoff: ['100ms', '5s'] })
  .to(file('./deliveries.ndjson'))
  .deadLetter('deliveries.dead')

export default deliveries
