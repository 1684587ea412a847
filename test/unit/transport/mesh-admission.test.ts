import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { helloCodec } from '../../../lib/transport/hello.ts'
import { frameOf, MeshWorld } from './mesh-world.ts'

describe('mesh', () => {
  let world: MeshWorld

  beforeEach(() => {
    world = new MeshWorld()
  })
  afterEach(() => world.stop())

  describe('before admission', () => {
    test.each<[string, Uint8Array[]]>([
      ['a frame of a gigabyte', [Uint8Array.of(0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]],
      ['a frame over the limit of a hello', [frameOf('nonce', new Uint8Array(5_000))]],
      ['another protocol', [Buffer.from('GET / HTTP/1.1\r\nHost: goose\r\n\r\n')]],
      ['a frame of a version not agreed', [frameOf('nonce', new Uint8Array(32), { version: 9 })]],
      ['a message', [frameOf('whole', new Uint8Array(3))]],
      ['ready without being asked', [frameOf('ready')]],
      ['two nonces', [frameOf('nonce', new Uint8Array(32)), frameOf('nonce', new Uint8Array(32))]],
      [
        'more bytes than a hello may have',
        Array.from({ length: 9 }, (_, i) => frameOf('nonce', new Uint8Array(500)).subarray(i === 0 ? 0 : 12)),
      ],
      ['a refusal that is none', [frameOf('refuse', Uint8Array.of(0xc1))]],
    ])('closes the wire of who sends %s, with one reason', async (_, chunks) => {
      const a = await world.start('a~1', 'A')
      const far = await world.stranger(a)
      for (const chunk of chunks) far.wire.write(chunk)
      await world.env.rest()
      expect(far.isClosed).toBe(true)
      expect(a.told.log).toEqual(['refused malformed'])
    })

    test('survives garbage of any kind in any pieces, and tells at most one reason', async () => {
      const a = await world.start('a~1', 'A')
      let count = 0
      await fc.assert(
        fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 10 }), async chunks => {
          const before = a.told.refusals.length
          const far = await world.stranger(a, `stranger-${++count}`)
          for (const chunk of chunks) far.wire.write(chunk)
          await world.env.rest()
          const isClosed = far.isClosed
          far.wire.abort('over')
          await world.env.rest()
          expect(a.told.refusals.length - before).toBe(isClosed ? 1 : 0)
          expect(a.network.links).toEqual([])
        }),
        { numRuns: 60 },
      )
    })

    test('closes the wire of who says nothing for five seconds, and of who stops halfway', async () => {
      const a = await world.start('a~1', 'A')
      const silent = await world.stranger(a, 'silent')
      const half = await world.stranger(a, 'half')
      half.wire.write(frameOf('nonce', new Uint8Array(32)))
      await world.env.advance(4_400)
      expect([silent.isClosed, half.isClosed]).toEqual([false, false])
      await world.env.advance(1_200)
      expect([silent.isClosed, half.isClosed]).toEqual([true, true])
      expect(a.told.refusals.map(each => each.code)).toEqual(['hello', 'hello'])
    })

    test('tells a stranger nothing but its nonce', async () => {
      const a = await world.start('a~1', 'A', { secret: 'grey lag' })
      const far = await world.stranger(a)
      far.wire.write(frameOf('nonce', new Uint8Array(32)))
      far.wire.write(frameOf('proof', new Uint8Array(32)))
      await world.env.rest()
      expect(far.kinds).toEqual(['nonce', 'refuse'])
      expect(a.told.refusals[0]?.reason).toContain('--secret-file')
    })

    test('takes a bounded number of wires that are not admitted', async () => {
      const a = await world.start('a~1', 'A', { limits: { pendingWiresMax: 3 } })
      const many = await Promise.all(Array.from({ length: 5 }, (_, i) => world.stranger(a, `s-${i}`)))
      await world.env.rest()
      expect(many.map(each => each.isClosed)).toEqual([false, false, false, true, true])
    })

    test('refuses a hello with another key than the wire proved', async () => {
      const a = await world.start('a~1', 'A')
      const far = await world.admitted(a, 'Z', { peer: 'Y' })
      expect(far.isClosed).toBe(true)
      expect(a.told.refusals[0]?.reason).toContain('hello of another peer')
    })

    test('counts all bytes before admission, not each frame alone', async () => {
      const a = await world.start('a~1', 'A')
      const addresses = Array.from({ length: 15 }, () => 'x'.repeat(256))
      await world.admitted(a, 'Z', { addresses, name: 'n'.repeat(160) })
      expect(a.told.refusals[0]?.reason).toContain('more than 4096 bytes before admission')
    })

    test('judges a hello anew when the far end announces another one', async () => {
      const hello = () => ({
        cluster: 'red',
        member: 'b~1',
        name: 'b',
        holdsData: true,
        memoryBytes: 1,
        versionMin: 1,
        versionMax: 1,
      })
      const b = await world.start('b~1', 'B', { hello })
      const far = await world.admitted(b, 'A', {})
      far.wire.write(frameOf('ready'))
      await world.env.rest()
      const announced = {
        member: 'x~1',
        peer: 'A',
        name: 'x',
        addresses: [],
        holdsData: false,
        memoryBytes: 0,
        versionMin: 1,
        versionMax: 1,
      }
      const sessions = { control: 1, data: 1, bulk: 1 }
      far.wire.write(
        frameOf('announce', helloCodec.encode({ ...announced, cluster: 'blue', sessions, isLinked: false }), {
          version: 1,
        }),
      )
      await world.env.rest()
      expect(b.told.log).toEqual(['up x~1', 'refused cluster', expect.stringContaining('down x~1')])
    })

    test('refuses who bears its own member id, or that of a linked member', async () => {
      const { a, b } = await world.pair()
      expect((await world.admitted(b, 'A1', { member: 'b~1' })).isClosed).toBe(true)
      expect((await world.admitted(b, 'A2', { member: 'a~1' })).isClosed).toBe(true)
      expect(b.told.refusals.map(each => each.code)).toEqual(['hello', 'hello'])
      expect(a.network.links).toEqual(['b~1'])
    })

    test('waits for ready of the other end before it tells that a link is up', async () => {
      const a = await world.start('b~1', 'B')
      const far = await world.admitted(a, 'A', {})
      expect(far.kinds).toEqual(['nonce', 'proof', 'hello', 'ready'])
      expect(a.told.log).toEqual([])
      far.wire.write(frameOf('ready'))
      await world.env.rest()
      expect(a.told.log).toEqual(['up x~1'])
    })
  })
})
