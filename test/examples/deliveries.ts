// Two producers, one delivery. Kill any peer at any point; nothing is lost or doubled.
import { z } from 'zod' // any Standard Schema validator will do
import { file } from '../../lib/connectors/file/file.ts'
import { http } from '../../lib/connectors/http/http.ts'
import { flow, type Flow } from '../../lib/flow/builder.ts'
import type { Message } from '../../lib/flow/message.ts'

const Head = z.object({ event: z.string(), sentAt: z.string() })
const Payload = z.object({ action: z.string(), repository: z.object({ full_name: z.string() }) })

interface Delivery {
  readonly id: string
  readonly event: string
  readonly repo: string
}

const deliveries: Flow<Message<Delivery, 'join', object>> = flow('deliveries')
  .from({
    // 202 only when enough members hold it
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
    merge: ({ head, payload }, id) => ({ id, event: head.event, repo: payload.repository.full_name }),
  })
  .filter(m => m.body.event !== 'ping')
  .stage('store', { concurrency: 16, capacity: 10_000 }) // replicated SEDA queue; full -> sources answer 503
  .retry({ attempts: 8, backoff: ['1s', '5m'] })
  .to(file('./deliveries.ndjson')) // exactly once: read it as deliveries*.ndjson
  .deadLetter('deliveries.dead') // skein dead ls|show|replay deliveries.dead

export default deliveries
