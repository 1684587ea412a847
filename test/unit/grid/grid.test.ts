import { expect, test } from 'vitest'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster, partitionCount, type LonePeer } from './lone-peer.ts'

function setUp() {
  const [cluster, one, two] = LoneCluster.of('one', 'two') as [LoneCluster, MemberGrid, MemberGrid]
  return { cluster, one, two, env: cluster.env, peer: cluster.peers.get('one') as LonePeer }
}

test('tells its status', () => {
  const { one } = setUp()
  const status = one.status()
  expect(status).toMatchObject({ cluster: 'test', self: 'one', isReady: true, reason: '', epoch: 1 })
  expect(status.partitions).toEqual({
    count: partitionCount,
    served: partitionCount,
    waiting: 0,
    copies: 1,
    copiesWanted: 1,
    copiesNeeded: 1,
  })
  expect(status.members.map(({ name, owned, backups }) => [name, owned, backups])).toEqual([
    ['one', 6, 0],
    ['two', 6, 0],
  ])
})

test('is ready while it has a session and is not leaving', async () => {
  const { one, env } = setUp()
  one.listener.session(undefined, -Infinity)
  expect(one.status()).toMatchObject({ isReady: false, reason: 'no quorum: no lease was granted' })
  const ready = one.ready()
  await env.advance(100)
  one.listener.session('one#2', Infinity)
  await env.until(ready)
})

test('without a lease it is not ready, and promises nothing', async () => {
  const { one, env, peer } = setUp()
  peer.leaseUntilMs = env.monotonicMs
  const ready = one.ready()
  await env.advance(1_500)
  const reason = 'no quorum: no lease for 1.5 s; refusing writes'
  expect(one.status()).toMatchObject({ isReady: false, reason, lapsedMs: 1_500, safety: { level: -1, reason } })
  peer.leaseUntilMs = Infinity
  one.listener.turned()
  await env.until(ready)
  expect(one.safety.level).toBe(0)
})

test('tells of members that come, go and change', () => {
  const { cluster, one } = setUp()
  const seen: unknown[] = []
  const stop = one.on('member', change => seen.push(change))
  const members = new Map(cluster.state.members)
  members.set('two', { ...(members.get('two') as NonNullable<ReturnType<typeof members.get>>), state: 'silent' })
  cluster.apply({ ...cluster.state, members })
  const left = new Map(members)
  left.delete('two')
  cluster.apply({ ...cluster.state, members: left })
  stop()
  cluster.apply({ ...cluster.state, members: new Map() })
  expect(seen).toEqual([
    { member: 'two', name: 'two', state: 'silent' },
    { member: 'two', name: 'two', state: 'gone' },
  ])
})

test('a listener that throws disturbs nobody, and is told of', () => {
  const { cluster, one, env } = setUp()
  let isTold = false
  one.on('state', () => {
    throw new Error('listener broke')
  })
  one.on('state', () => (isTold = true))
  cluster.apply({ ...cluster.state })
  expect(isTold).toBe(true)
  expect(env.events.map(event => [event.event, event.fields['reason']])).toEqual([
    ['grid.listener-failed', 'listener broke'],
  ])
})

test('memory presses at 80 % and refuses at 90 % of the budget', () => {
  const { one, peer } = setUp()
  const seen: string[] = []
  one.on('pressure', pressure => seen.push(pressure))
  for (const ratio of [0.5, 0.79, 0.8, 0.89, 0.9, 1, 0.85, 0.1]) {
    peer.bytes = Math.ceil(ratio * one.budget.bytesMax)
    one.listener.turned()
    expect(one.budget.isFull()).toBe(ratio >= 0.9)
  }
  expect(seen).toEqual(['high', 'full', 'high', 'normal'])
})

test('leaving finishes what is in hand and hands over', async () => {
  const { one, env } = setUp()
  await env.until(one.queue('orders').putAll([1, 2]))
  const done: unknown[] = []
  one.queue('orders').consume(async n => {
    await new Promise<void>(resolve => env.at(env.monotonicMs + 500, resolve))
    done.push(n)
  })
  await env.advance(100)
  expect(await env.until(one.leave())).toEqual({ isHandedOver: true, remaining: { messages: 0, bytes: 0 } })
  expect(done).toEqual([1])
  expect(one.status().reason).toBe('leaving')
})

test('the last peer tells what remains', async () => {
  const [cluster, grid] = LoneCluster.of('one') as [LoneCluster, MemberGrid]
  await cluster.env.until(grid.queue('orders').putAll([1, 2, 3]))
  const { isHandedOver, remaining } = await cluster.env.until(grid.leave())
  expect([isHandedOver, remaining.messages, remaining.bytes > 0]).toEqual([false, 3, true])
})

test('handles go on over another peer, and leases of the old one are lost', async () => {
  const { cluster, one, env, peer } = setUp()
  const held = await env.until(one.lock('nightly').acquire())
  one.attach(undefined)
  expect(held.signal.aborted).toBe(true)
  const put = one.map('m').put('a', 1)
  await env.advance(1_000)
  one.attach(peer)
  one.listener.applied(cluster.state)
  await env.until(put)
  expect(await env.until(one.map('m').get('a'))).toBe(1)
})

test('a definition is agreed on once; replacing is asked for', async () => {
  const { one, two, env } = setUp()
  expect(await env.until(one.define('flow/a', { v: 1 }))).toEqual({ v: 1 })
  expect(await env.until(two.define('flow/a', { v: 2 }))).toEqual({ v: 1 })
  expect(await env.until(two.define('flow/a', { v: 2 }, { isReplacing: true }))).toEqual({ v: 2 })
  expect(one.definitions('flow/')).toEqual(new Map([['flow/a', { v: 2 }]]))
})

test('a definition that got lost is proposed again', async () => {
  const { one, env, peer } = setUp()
  const define = peer.define.bind(peer)
  let asked = 0
  peer.define = command => (++asked < 3 ? undefined : define(command))
  expect(await env.until(one.define('flow/a', { v: 1 }))).toEqual({ v: 1 })
  expect(asked).toBe(3)
})
