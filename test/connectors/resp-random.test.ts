/**
 * The RESP door against redis-server 7.0 on random commands: against what one was recorded to answer to some thousand of
 * them (record-replies.ts; digests, so a difference is shown by the second test where there is a server), and on others
 * against a live one where there is one on the PATH.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Door } from '../../lib/gateway/door.ts'
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import { FakeCluster, type FakeGrid } from '../unit/gateway/fake-grid.ts'
import { startRedis } from './redis-server.ts'
import { waitingOf, waitingSeeds } from './resp-blocked.ts'
import { digestOf, randomScript, recordedScripts, repliesOf } from './resp-random.ts'

const liveScripts = 60
const liveWaits = 20

async function recorded(): Promise<{ readonly random: readonly string[]; readonly waiting: readonly string[] }> {
  const file = await readFile(new URL('resp-replies.json', import.meta.url), 'utf8')
  return JSON.parse(file) as Awaited<ReturnType<typeof recorded>>
}

let cluster: FakeCluster
let door: Door

beforeAll(async () => {
  cluster = new FakeCluster('goose-1', 'goose-2')
  door = await startRespDoor((cluster.members[0] as FakeGrid).grid, { listen: '127.0.0.1:0' })
})

afterAll(async () => {
  await door.close({ graceMs: 0 })
  cluster.close()
})

test('serves random clients that wait for lists as redis-server 7.0 did', async () => {
  const { waiting } = await recorded()
  const wrong: number[] = []
  for (const [at, seed] of waitingSeeds.entries())
    if (digestOf(await waitingOf(door.port, seed)) !== waiting[at]) wrong.push(seed)
  expect(wrong).toEqual([])
})

test('answers random commands as redis-server 7.0 did', async () => {
  const { random } = await recorded()
  const wrong: number[] = []
  for (const [at, script] of recordedScripts.entries())
    if (digestOf(await repliesOf(door.port, script)) !== random[at]) wrong.push(script.seed)
  expect(wrong).toEqual([])
})

test('serves other random clients that wait for lists as a redis-server 7.0 of this machine does', async () => {
  await using redis = await startRedis()
  if (redis?.version.startsWith('7.0.') !== true) return
  for (let seed = 1_000; seed < 1_000 + liveWaits; seed++)
    expect({ seed, steps: await waitingOf(door.port, seed) }).toEqual({
      seed,
      steps: await waitingOf(redis.port, seed),
    })
})

test('answers other random commands as a redis-server 7.0 of this machine does', async () => {
  await using redis = await startRedis()
  // Another version says other things; without one the recorded replies stand alone.
  if (redis?.version.startsWith('7.0.') !== true) return
  for (let seed = 1_000; seed < 1_000 + liveScripts; seed++) {
    const script = randomScript(seed, 60)
    const [own, wanted] = await Promise.all([repliesOf(door.port, script), repliesOf(redis.port, script)])
    for (const [at, pipeline] of script.pipelines.entries())
      expect({ seed, pipeline, reply: own[at] }).toEqual({ seed, pipeline, reply: wanted[at] })
  }
})
