/**
 * Writes the sample of webhooks that the package carries, from @octokit/webhooks-examples: one of each event and action,
 * spread over sizes so that their mean is near that of all. `bin/demo/webhooks.ndjson`, one `{ event, payload }` a line.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { examples, type Webhook } from '../bin/demo/input.ts'

const countMax = 64
const seen = new Set<string>()
const distinct = examples().filter(({ event, payload }) => {
  const key = `${event} ${JSON.stringify(payload['action'])}`
  if (seen.has(key)) return false
  seen.add(key)
  return true
})
const step = distinct.length / countMax
const sample = Array.from({ length: countMax }, (_, at) => distinct[Math.floor(at * step)] as Webhook)
const text = sample.map(webhook => `${JSON.stringify(webhook)}\n`).join('')
writeFileSync(join(import.meta.dirname, '..', 'bin', 'demo', 'webhooks.ndjson'), text)
console.log(
  `${sample.length} of ${distinct.length}, ${text.length} bytes, mean ${Math.round(text.length / sample.length)}`,
)
