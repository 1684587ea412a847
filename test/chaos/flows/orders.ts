/** What comes in by HTTP is written once: what the trial `restart` counts lines of. */
import * as v from 'valibot'
import { file, flow, http } from '../../../lib/index.ts'
import type { AnyMessage, Flow } from '../../../lib/index.ts'

const orders: Flow<AnyMessage> = flow('orders')
  .from(http.post('/orders/:id', { body: v.object({ id: v.string(), n: v.number() }) }))
  .stage('write', { concurrency: 8, capacity: 100_000 })
  .retry({ attempts: 8, backoff: ['100ms', '5s'] })
  .to(file('./orders.ndjson'))
  .deadLetter('orders.dead')

export default orders
