/** Two producers, one pair: what the trial `aggregate` sends halves to. */
import * as v from 'valibot'
import { flow, http, queue } from '../../../lib/index.ts'
import type { AnyMessage, Flow } from '../../../lib/index.ts'

const Half = v.object({ n: v.number() })

const pairs: Flow<AnyMessage> = flow('pairs')
  .from({
    head: http.post('/pairs/:id/head', { body: Half }),
    payload: http.post('/pairs/:id/payload', { body: Half }),
  })
  .aggregator('join', {
    by: m => m.params.id,
    complete: { each: ['head', 'payload'] },
    timeout: '5m',
    onTimeout: 'dead-letter',
    onLate: 'discard',
    merge: ({ head, payload }, id) => ({ id, head: head.n, payload: payload.n }),
  })
  .to(queue('joined'))

export default pairs
