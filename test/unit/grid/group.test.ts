import { expect, test } from 'vitest'
import { ConflictError } from '../../../lib/base/errors.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { LoneCluster } from './lone-peer.ts'

const piece = (source: string) => ({ source, id: `${source}-1`, body: new Uint8Array([source.length]) })

function setUp() {
  const [cluster, grid] = LoneCluster.of('one') as [LoneCluster, MemberGrid]
  return { grid, env: cluster.env, group: grid.group('join', { complete: { each: ['head', 'payload'] } }) }
}

test('collects pieces until all are there, and hands them out whole, once', async () => {
  const { grid, env, group } = setUp()
  expect(await env.until(group.add('d1', piece('head')))).toMatchObject({ state: 'open', pieces: 1 })
  expect(await env.until(group.add('d1', piece('head')))).toMatchObject({ state: 'duplicate' })
  const closing = await env.until(group.add('d1', piece('payload')))
  expect(closing).toMatchObject({ state: 'closed', pieces: 2 })
  const partition = grid.partitions.of('d1')
  const [ready] = await env.until(group.ready(partition))
  expect(ready).toMatchObject({ key: 'd1', reason: 'complete', generation: closing.generation })
  const collected = await env.until(group.closed({ partition, generation: closing.generation }))
  expect(collected?.pieces.map(each => [each.source, [...each.body]])).toEqual([
    ['head', [4]],
    ['payload', [7]],
  ])
  await env.until(group.release({ partition, generation: closing.generation }))
  await expect(env.until(group.release({ partition, generation: closing.generation }))).rejects.toThrow(ConflictError)
  expect(await env.until(group.add('d1', piece('head')))).toMatchObject({ state: 'late', generation: 0 })
  expect(await env.until(group.counts())).toEqual({ open: 0, closed: 0, remembered: 1, late: 1, duplicates: 1 })
})

test('closes by hand what is not complete', async () => {
  const { env, group } = setUp()
  expect(await env.until(group.close('d1'))).toBeUndefined()
  await env.until(group.add('d1', piece('head')))
  const closed = await env.until(group.close('d1'))
  expect((await env.until(group.closed(closed as NonNullable<typeof closed>)))?.reason).toBe('forced')
})

test('takes in and releases in one transaction with what is handed on', async () => {
  const { grid, env, group } = setUp()
  await env.until(group.add('d1', piece('head')))
  await env.until(
    grid.transaction(tx => tx.group('join').add('d1', piece('payload'), { complete: { each: ['head', 'payload'] } })),
  )
  const partition = grid.partitions.of('d1')
  const [ready] = await env.until(group.ready(partition))
  await env.until(
    grid.transaction(tx => {
      tx.group('join').release(ready ?? { partition, generation: 0 })
      tx.queue('joined').put('d1', { key: 'd1' })
    }),
  )
  expect((await env.until(grid.queue('joined').receive())).map(message => message.partition)).toEqual([partition])
})
