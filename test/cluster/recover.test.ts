/** Two of three peers are killed at once, and a person goes on with the third: real processes over real connections. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ReadyLine } from '../../bin/start/banner.ts'
import type { GridStatus } from '../../lib/grid/handles.ts'
import { Stage, type Ended, type PeerProcess } from './stage.ts'

const door = ['--http', '127.0.0.1:0', '--partitions', '31']
const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)

let stage: Stage
beforeEach(() => void (stage = new Stage()))
afterEach(() => stage.clear())

test('what the survivor of three holds is there after skein recover, and a newcomer is let in', async () => {
  const [one, two, three] = await cluster()
  for (const key of keys) expect(await put(one.http, key)).toBe(200)
  expect((await recover(one)).stderr).toContain('has a leader')
  await Promise.all([two.peer.signal('SIGKILL'), three.peer.signal('SIGKILL')])
  await until(async () => (await recover(one)).stderr.includes('say it with --yes'))
  const asked = await recover(one)
  expect(asked.code).toBe(1)
  expect(asked.stdout).toContain('would go on with: goose-1')
  expect(asked.stdout).toContain('given up: goose-2, goose-3')
  expect(asked.stdout).toMatch(/partitions that begin empty: \d+ of 31 \(/)
  await until(async () => !(await isReady(one)))

  const done = await recover(one, '--yes', '--json')
  expect(done.code).toBe(0)
  expect(JSON.parse(done.stdout)).toMatchObject({ isDone: true, partitionCount: 31 })
  await until(() => isReady(one))
  await until(async () => (await put(one.http, 'after')) === 200)
  // Two copies over three peers: about a third of the partitions had none here.
  const found = await Promise.all(keys.map(async key => (await fetch(`${one.http}/v1/maps/m/${key}`)).status))
  expect(found.filter(code => code !== 200 && code !== 404)).toEqual([])
  expect(found.filter(code => code === 200).length).toBeGreaterThan(keys.length / 4)
  expect(one.peer.stderr).toContain('placement.partition-lost')

  const [, four] = await stage.start('goose-4', one.ready, ...door)
  await until(async () => (await status(one)).partitions.copies === 2)
  expect(await (await fetch(`${four.http}/v1/maps/m/after`)).text()).toBe('after')
}, 60_000)

test('two that were only stopped come back under fresh member ids, with nothing that the survivor had not', async () => {
  const [one, two, three] = await cluster('--copies', '3')
  for (const key of keys) expect(await put(one.http, key)).toBe(200)
  await until(async () => (await status(one)).partitions.copies === 3)
  for (const { peer } of [two, three]) peer.child.kill('SIGSTOP')
  await until(async () => (await recover(one, '--yes')).code === 0)
  await until(() => isReady(one))
  for (const { peer } of [two, three]) peer.child.kill('SIGCONT')
  await until(async () => (await status(one)).members.filter(({ state }) => state === 'live').length === 3)
  const { cluster: id, members } = await status(one)
  for (const { ready } of [two, three]) expect(members.map(({ member }) => member)).not.toContain(ready.member)
  await until(async () => (await status(two)).cluster === id && (await status(three)).cluster === id)
  for (const key of keys) expect(await (await fetch(`${one.http}/v1/maps/m/${key}`)).text()).toBe(key)
}, 60_000)

interface Started {
  readonly peer: PeerProcess
  readonly ready: ReadyLine
  readonly http: string
}

/** Three voters, each partition with a second copy. */
async function cluster(...args: readonly string[]): Promise<[Started, Started, Started]> {
  const start = async (name: string, joins?: ReadyLine): Promise<Started> => {
    const [peer, ready] = await stage.start(name, joins, ...door, ...args)
    return { peer, ready, http: ready.http ?? '' }
  }
  const one = await start('goose-1')
  const [two, three] = await Promise.all([start('goose-2', one.ready), start('goose-3', one.ready)])
  await until(async () => {
    const { safety, members } = await status(one)
    return safety.level >= 1 && members.filter(({ roles }) => roles.includes('voter')).length === 3
  })
  return [one, two, three]
}

async function recover({ http }: Started, ...args: readonly string[]): Promise<Ended> {
  return await stage.run('recover', '--http', http, ...args).ended()
}

async function put(http: string, key: string): Promise<number> {
  return (await fetch(`${http}/v1/maps/m/${key}`, { method: 'PUT', body: key })).status
}

async function isReady({ http }: Started): Promise<boolean> {
  return (await fetch(`${http}/-/ready`)).ok
}

async function status({ http }: Started): Promise<GridStatus> {
  return (await (await fetch(`${http}/v1/cluster`)).json()) as GridStatus
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}
