/** Records what redis-server 7.0 answers to the scripts: `node test/record-replies.ts`, with one on the PATH. */
import { writeFile } from 'node:fs/promises'
import { startRedis } from './connectors/redis-server.ts'
import { waitingOf, waitingSeeds } from './connectors/resp-blocked.ts'
import { scripts } from './connectors/resp-body.ts'
import { digestOf, recordedScripts, repliesOf } from './connectors/resp-random.ts'
import { transcriptOf } from './connectors/resp-transcript.ts'

await using redis = await startRedis()
if (redis === undefined) throw new Error('there is no redis-server on the PATH')
if (!redis.version.startsWith('7.0.')) throw new Error(`this is redis-server ${redis.version}, and 7.0 is wanted`)
const random: string[] = []
for (const script of recordedScripts) random.push(digestOf(await repliesOf(redis.port, script)))
const waiting: string[] = []
for (const seed of waitingSeeds) waiting.push(digestOf(await waitingOf(redis.port, seed)))
const recorded = {
  server: `redis-server ${redis.version}`,
  replies: await transcriptOf(redis.port, scripts),
  random,
  waiting,
}
await writeFile(new URL('connectors/resp-replies.json', import.meta.url), `${JSON.stringify(recorded, null, 1)}\n`)
