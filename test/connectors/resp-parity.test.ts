/**
 * The RESP door against redis-server 7.0, byte for byte: against replies recorded from one (record-replies.ts), and
 * against a live one where there is one on the PATH.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Door } from '../../lib/gateway/door.ts'
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import { FakeCluster, type FakeGrid } from '../unit/gateway/fake-grid.ts'
import { startRedis } from './redis-server.ts'
import { scripts } from './resp-body.ts'
import { transcriptOf, type Transcript } from './resp-transcript.ts'

let cluster: FakeCluster
let door: Door
let answered: Transcript
let recorded: Transcript

beforeAll(async () => {
  cluster = new FakeCluster('goose-1', 'goose-2')
  door = await startRespDoor((cluster.members[0] as FakeGrid).grid, { listen: '127.0.0.1:0' })
  answered = await transcriptOf(door.port, scripts)
  const file = await readFile(new URL('resp-replies.json', import.meta.url), 'utf8')
  recorded = (JSON.parse(file) as { readonly replies: Transcript }).replies
})

afterAll(async () => {
  await door.close({ graceMs: 0 })
  cluster.close()
})

test.each(scripts.map(({ name }) => name))('answers %s as redis-server 7.0 does', name => {
  expect(answered[name]).toEqual(recorded[name])
})

test('what is recorded is what a redis-server 7.0 of this machine says', async () => {
  await using redis = await startRedis()
  // Another version says other things; without one the recorded replies stand alone.
  const isComparable = redis?.version.startsWith('7.0.') === true
  const live = isComparable ? await transcriptOf(redis.port, scripts) : recorded
  expect(live).toEqual(recorded)
})
