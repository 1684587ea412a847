import { expect, test } from 'vitest'
import { ConflictError, StaleTokenError } from '../../../lib/base/errors.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster, type LonePeer } from './lone-peer.ts'

function setUp() {
  const [cluster, one, two] = LoneCluster.of('one', 'two') as [LoneCluster, MemberGrid, MemberGrid]
  return { cluster, one, two, env: cluster.env, peer: cluster.peers.get('one') as LonePeer }
}

test('grants to one at a time, in order of arrival, with growing fences', async () => {
  const { one, two, env } = setUp()
  const order: string[] = []
  const fences: number[] = []
  const work = (name: string, grid: MemberGrid) =>
    grid.lock('nightly').run(async ({ fence }) => {
      order.push(`${name} begins`)
      fences.push(fence)
      await new Promise<void>(resolve => env.at(env.monotonicMs + 50, resolve))
      order.push(`${name} ends`)
    })
  await env.until(Promise.all([work('a', one), work('b', two), work('c', one)]))
  expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  expect(fences).toEqual([...fences].sort((a, b) => a - b))
  expect(new Set(fences).size).toBe(3)
})

test('gives up when the wait is over and leaves the line', async () => {
  const { one, two, env } = setUp()
  const held = await env.until(one.lock('nightly').acquire())
  await expect(env.until(two.lock('nightly').acquire({ wait: '200ms' }))).rejects.toThrow(ConflictError)
  await expect(env.until(two.lock('nightly').acquire({ wait: 0 }))).rejects.toThrow(ConflictError)
  await env.settle()
  expect(await env.until(two.lock('nightly').holder())).toEqual({ fence: held.fence, session: 'one#1', waiterCount: 0 })
  await env.until(held.release())
  expect(await env.until(two.lock('nightly').holder())).toBeUndefined()
})

test('extends its lease for as long as the work takes', async () => {
  const { one, env } = setUp()
  const run = one.lock('nightly').run(
    async ({ signal }) => {
      await new Promise<void>(resolve => env.at(env.monotonicMs + 60_000, resolve))
      return signal.aborted
    },
    { lease: '3s' },
  )
  expect(await env.until(run)).toBe(false)
})

test('aborts the work the moment its own clock says that the lease is over', async () => {
  const { one, env, peer } = setUp()
  const held = await env.until(one.lock('nightly').acquire({ lease: '3s' }))
  const grantedMs = env.monotonicMs
  let abortedMs = 0
  held.signal.addEventListener('abort', () => (abortedMs = env.monotonicMs))
  peer.call = () => 0 // nothing answers any more
  await env.advance(10_000)
  expect(abortedMs - grantedMs).toBe(3_000)
  expect(held.signal.reason).toBeInstanceOf(StaleTokenError)
})

test('a lease counts from when it was asked for, not from when the answer came', async () => {
  const { one, env } = setUp()
  const sentMs = env.monotonicMs
  const acquiring = one.lock('nightly').acquire({ lease: '3s', holder: 'time' })
  env.monotonicMs += 2_000 // the answer takes two seconds
  const held = await env.until(acquiring)
  let abortedMs = 0
  held.signal.addEventListener('abort', () => (abortedMs = env.monotonicMs))
  await env.advance(10_000)
  expect(abortedMs - sentMs).toBe(3_000)
})

test('aborts at once when the session ends, but not what is held by time alone', async () => {
  const { one, env } = setUp()
  const mine = await env.until(one.lock('a').acquire())
  const free = await env.until(one.lock('b').acquire({ holder: 'time' }))
  one.listener.session(undefined, -Infinity)
  expect([mine.signal.aborted, free.signal.aborted]).toEqual([true, false])
})

test('a run that lost its lease rejects, although its work succeeded', async () => {
  const { one, two, env } = setUp()
  const run = one.lock('nightly').run(async ({ fence }) => {
    await env.until(two.lock('nightly').release(fence))
    return 'done'
  })
  await expect(env.until(run)).rejects.toThrow(StaleTokenError)
})

test('a run whose work fails rejects as the work does and frees the lock', async () => {
  const { one, two, env } = setUp()
  const run = one.lock('nightly').run(() => {
    throw new Error('no disk')
  })
  await expect(env.until(run)).rejects.toThrow('no disk')
  expect(await env.until(two.lock('nightly').holder())).toBeUndefined()
})

test('checks a fence from anywhere', async () => {
  const { one, two, env } = setUp()
  const held = await env.until(one.lock('nightly').acquire())
  await env.until(two.lock('nightly').verify(held.fence))
  await env.until(held.release())
  await expect(env.until(two.lock('nightly').verify(held.fence))).rejects.toThrow(StaleTokenError)
  await expect(env.until(two.lock('nightly').extend(held.fence))).rejects.toThrow(StaleTokenError)
})
