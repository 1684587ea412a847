/** Who may link with whom while a cluster that was recovered and what was left behind meet. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MeshOptions } from '../../../lib/transport/mesh.ts'
import { partedBy } from '../../../lib/transport/hello.ts'
import type { OwnHello } from '../../../lib/transport/network.ts'
import { MeshWorld } from './mesh-world.ts'

function hello(member: string, cluster: string, kept?: readonly string[]): OwnHello {
  return {
    cluster,
    member,
    peer: `peer-${member}`,
    name: member,
    addresses: [],
    holdsData: true,
    memoryBytes: 1,
    versionMin: 1,
    versionMax: 1,
    ...(kept && { isKept: other => kept.includes(other) }),
  }
}

describe('two members', () => {
  test.for([
    ['c', 'c', undefined],
    ['', 'c+1', undefined],
    ['c', 'd', 'cluster'],
    ['c+1', 'c+2', 'cluster'],
    ['c+1', 'c', 'recovered'],
    ['c', 'c+1', undefined],
  ] as const)('of %s and %s: the first one says %s', ([ours, theirs, apart]) => {
    expect(partedBy(hello('a', ours, []), hello('b', theirs))).toBe(apart)
  })

  test('stay linked while one that was kept has not heard of the recovery yet', () => {
    expect(partedBy(hello('a', 'c+1', ['b']), hello('b', 'c'))).toBeUndefined()
    expect(partedBy(hello('a', 'c+1', ['x']), hello('b', 'c'))).toBe('recovered')
  })
})

describe('mesh', () => {
  let world: MeshWorld
  beforeEach(() => void (world = new MeshWorld()))
  afterEach(() => world.stop())

  const of = (own: OwnHello): Partial<MeshOptions> => ({ hello: () => own })

  test.for(['the former', 'the recovered'])('who was left behind learns it from the hello, if %s dials', async who => {
    const after = await world.start('a~1', 'A', of(hello('a~1', 'c+1', [])))
    const before = await world.start('b~1', 'B', of(hello('b~1', 'c')))
    const [from, to] = who === 'the former' ? [before, after] : [after, before]
    from.network.connect({ addresses: to.network.self.addresses })
    await world.env.rest()
    expect(before.told.refusals.map(({ code, member }) => [code, member])).toContainEqual(['superseded', 'a~1'])
    expect(after.told.refusals.map(({ code, member }) => [code, member])).toContainEqual(['recovered', 'b~1'])
    expect([before.network.links, after.network.links]).toEqual([[], []])
  })

  test('who was left behind and is linked already learns it when the other end announces its new cluster', async () => {
    let own = hello('a~1', 'c', ['b~1'])
    const after = await world.start('a~1', 'A', { hello: () => own })
    const before = await world.start('b~1', 'B', of(hello('b~1', 'c')))
    before.network.connect({ addresses: after.network.self.addresses })
    await world.env.rest()
    expect(before.network.links).toEqual(['a~1'])
    own = hello('a~1', 'c+1', [])
    after.network.announce()
    await world.env.rest()
    expect(before.told.refusals.map(({ code }) => code)).toContain('superseded')
    expect(after.network.links).toEqual([])
  })

  test('who was kept stays linked', async () => {
    const after = await world.start('a~1', 'A', of(hello('a~1', 'c+1', ['b~1'])))
    const before = await world.start('b~1', 'B', of(hello('b~1', 'c')))
    before.network.connect({ addresses: after.network.self.addresses })
    await world.env.rest()
    expect([before.network.links, after.network.links]).toEqual([['a~1'], ['b~1']])
    expect(before.told.refusals).toEqual([])
  })
})
