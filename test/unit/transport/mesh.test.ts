import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { parseAddress } from '../../../lib/transport/addresses.ts'
import type { Wire } from '../../../lib/transport/wires.ts'
import { frameOf, MeshWorld } from './mesh-world.ts'

describe('mesh', () => {
  let world: MeshWorld

  beforeEach(() => {
    world = new MeshWorld()
  })
  afterEach(() => world.stop())

  describe('on a link', () => {
    test.each<[string, Uint8Array]>([
      ['a frame of a gigabyte', Uint8Array.of(0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
      ['a frame of another version', frameOf('whole', new Uint8Array(1), { version: 2 })],
      ['a piece out of place', frameOf('last', new Uint8Array(1), { version: 1, session: 0x0101_0101 })],
      ['a frame of admission', frameOf('ready', new Uint8Array(0), { version: 1 })],
      ['an announce that is none', frameOf('announce', Uint8Array.of(1), { version: 1 })],
    ])('%s closes it with one reason', async (_, bytes) => {
      const { a, b } = await world.pair()
      b.wires[0]?.write(bytes)
      await world.env.rest()
      expect(a.told.log[0]).toBe('up b~1')
      expect(a.told.log.filter(line => line === 'refused malformed')).toHaveLength(1)
      expect(a.told.log.filter(line => line.startsWith('down b~1'))).toHaveLength(1)
    })

    test('gives it up after three seconds of silence, not earlier, at both ends', async () => {
      const { a, b } = await world.pair()
      await world.env.advance(20_000)
      expect([a.told.log, b.told.log]).toEqual([['up b~1'], ['up a~1']])
      world.hub.hold('B')
      await world.env.advance(2_400)
      expect(a.told.log).toHaveLength(1)
      await world.env.advance(1_700)
      expect(a.told.log[1]).toMatch(/^down b~1 silent for \d+ ms$/)
      expect(b.told.log[1]).toMatch(/^down a~1 silent for \d+ ms$/)
    })

    test('does not take its own sleep for the silence of others', async () => {
      const { a } = await world.pair()
      await world.env.advance(10)
      world.env.sleep(60_000)
      await world.env.advance(5_000)
      expect(a.told.log).toEqual(['up b~1'])
    })

    test('sends nothing on a busy link but messages, and a ping a second on an idle one', async () => {
      const { a, b } = await world.pair()
      let pings = 0
      const wire = a.wires[0] as Wire
      const write = wire.write.bind(wire)
      wire.write = bytes => {
        if (bytes[4] === 5) pings++
        write(bytes)
      }
      for (let i = 0; i < 50; i++) {
        a.network.send('b~1', 'data', new Uint8Array(1))
        await world.env.advance(100)
      }
      expect(pings).toBe(0)
      await world.env.advance(10_000)
      expect(pings).toBeGreaterThanOrEqual(10)
      expect(pings).toBeLessThanOrEqual(21)
      expect(b.told.log.filter(line => line.startsWith('message'))).toHaveLength(50)
    })

    test('sends all messages of a turn in one write', async () => {
      const { a } = await world.pair()
      const wire = a.wires[0] as Wire
      const write = wire.write.bind(wire)
      let writes = 0
      wire.write = bytes => {
        writes++
        write(bytes)
      }
      for (let i = 0; i < 300; i++)
        a.network.send('b~1', (['control', 'data', 'bulk'] as const)[i % 3] ?? 'data', new Uint8Array(50))
      await world.env.rest()
      expect(writes).toBe(1)
    })

    test('does not call back from inside a call, and tells in order', async () => {
      const { a, b } = await world.pair()
      a.network.drop('b~1', 'unwanted')
      expect(a.told.log).toEqual(['up b~1'])
      await world.env.rest()
      expect(a.told.log).toEqual(['up b~1', 'refused malformed', 'down b~1 unwanted'])
      expect(b.told.refusals[0]?.reason).toContain('unwanted')
    })

    test('stops handing over messages of a link that its driver drops', async () => {
      const { a, b } = await world.pair()
      b.told.onMessage = from => b.network.drop(from, 'unwanted')
      for (let i = 0; i < 5; i++) a.network.send('b~1', 'data', new Uint8Array(1))
      await world.env.rest()
      expect(b.told.log.filter(line => line.startsWith('message'))).toHaveLength(1)
    })

    test('drops a message over the limit of a frame, says so, and goes on', async () => {
      const { a, b } = await world.pair()
      a.network.send('b~1', 'bulk', new Uint8Array(16 * 1024 * 1024 + 1))
      a.network.send('b~1', 'bulk', new Uint8Array(1))
      await world.env.rest()
      expect(b.told.log).toEqual(['up a~1', 'message a~1 bulk 1'])
      expect(world.env.emitted.at(-1)).toMatchObject({ level: 'error', event: 'transport.message-too-long' })
    })

    test('lets control pass while bulk is stuck, and keeps little of bulk under way', async () => {
      const { a, b } = await world.pair()
      world.hub.hold('B')
      for (let i = 0; i < 60; i++) a.network.send('b~1', 'bulk', new Uint8Array(100_000))
      await world.env.rest()
      expect(a.wires[0]?.unsentBytes).toBeLessThan(256 * 1024 + 100_000)
      a.network.send('b~1', 'control', new Uint8Array(3))
      await world.env.rest()
      world.hub.release('B')
      await world.env.rest()
      const at = b.told.log.findIndex(line => line.startsWith('message a~1 control'))
      expect(b.told.log.slice(0, at).filter(line => line.includes('bulk')).length).toBeLessThanOrEqual(4)
      expect(b.told.log.filter(line => line.includes('bulk'))).toHaveLength(60)
    })
  })

  describe('between two peers', () => {
    test('a dial while linked is turned away as long as the first is young', async () => {
      const { a, b } = await world.pair()
      b.network.connect({ addresses: a.network.self.addresses })
      await world.env.rest()
      expect([a.told.log, b.told.log]).toEqual([['up b~1'], ['up a~1']])
      expect([a.told.refusals, b.told.refusals]).toEqual([[], []])
    })

    test.each(['decides', 'does not decide'])(
      'an end that lost its link is let in again, although the other has not noticed: the one that %s',
      async which => {
        const { a, b } = await world.pair()
        await world.env.advance(5_000)
        const [loser, other] = which === 'decides' ? [b, a] : [a, b]
        // its end vanishes without a word to the other
        ;(loser.wires[0] as unknown as { end(reason: string): void }).end('lost')
        await world.env.advance(500)
        expect(a.network.links).toEqual(['b~1'])
        expect(b.network.links).toEqual(['a~1'])
        expect(other.told.log.slice(1)).toEqual([
          expect.stringContaining('replaced by a newer connection'),
          other.told.log[0],
        ])
      },
    )

    test('a new start of the same peer replaces the old one', async () => {
      const { b } = await world.pair()
      const again = await world.start('a~2', 'A')
      again.network.connect({ addresses: b.network.self.addresses })
      await world.env.rest()
      expect(b.network.links).toEqual(['a~2'])
      expect(b.told.log.slice(0, 3)).toEqual(['up a~1', 'down a~1 replaced by a newer connection', 'up a~2'])
    })

    test('both dialing at once makes one link, and it never flaps', async () => {
      const a = await world.start('a~1', 'A')
      const b = await world.start('b~1', 'B')
      a.network.connect({ addresses: b.network.self.addresses, member: 'b~1' })
      b.network.connect({ addresses: a.network.self.addresses, member: 'a~1' })
      await world.env.advance(10_000)
      expect([a.told.log, b.told.log]).toEqual([['up b~1'], ['up a~1']])
      expect(a.wires).toHaveLength(2)
    })

    test('a target that is the own member is left alone', async () => {
      const a = await world.start('a~1', 'A')
      a.network.connect({ addresses: a.network.self.addresses, member: 'a~1' })
      await world.env.advance(5_000)
      expect(a.told.log).toEqual([])
    })

    test('an address where another member answers counts as refused', async () => {
      const { a, b } = await world.pair()
      a.network.connect({ addresses: b.network.self.addresses, member: 'old~1' })
      await world.env.rest()
      expect(a.told.log).toEqual(['up b~1', 'down old~1 refused'])
      await world.env.advance(10_000)
      expect(a.told.log).toHaveLength(2)
    })

    test('dials for ever, at most every two seconds and never in step', async () => {
      const a = await world.start('a~1', 'A')
      const b = await world.start('b~1', 'B')
      const { addresses } = b.network.self
      world.hub.kill('B')
      let dials = 0
      const target = { addresses, member: 'b~1' }
      const tried: number[] = []
      const dial = world.hub.dial.bind(world.hub)
      world.hub.dial = (from, to) => {
        dials++
        tried.push(world.env.now().monotonicMs)
        return dial(from, to)
      }
      a.network.connect(target)
      await world.env.advance(600_000)
      expect(dials).toBeGreaterThan(300)
      const pauses = tried.slice(1).map((at, i) => at - (tried[i] as number))
      expect(Math.max(...pauses)).toBeLessThanOrEqual(2_000)
      expect(Math.min(...pauses.slice(6))).toBeGreaterThanOrEqual(1_000)
      expect(new Set(pauses).size).toBeGreaterThan(100)
      expect(a.told.log).toEqual(['down b~1 refused'])
      a.network.forget(target)
      await world.env.advance(60_000)
      expect(dials).toBe(tried.length)
    })

    test('a link that keeps failing is not dialed without pause', async () => {
      const { a, b } = await world.pair()
      for (let i = 0; i < 600; i++) {
        for (const wire of a.wires) wire.abort('flap')
        await world.env.advance(100)
      }
      // a minute of it, at a pause of one to two seconds
      expect(a.told.ups.length).toBeLessThan(70)
      expect(a.told.ups.length).toBeGreaterThan(25)
      await world.env.advance(5_000)
      expect(b.network.links).toEqual(['a~1'])
    })

    test('peers of differently named clusters never join, although neither has a secret', async () => {
      const a = await world.start('a~1', 'A', { clusterName: 'shop' })
      const b = await world.start('b~1', 'B', { clusterName: 'shed' })
      a.network.connect({ addresses: b.network.self.addresses })
      await world.env.rest()
      expect([a.told.log, b.told.log]).toEqual([['refused secret'], ['refused secret']])
    })

    test('the same refusal is logged once a minute, not at every retry', async () => {
      const a = await world.start('a~1', 'A', { secret: 'one' })
      const b = await world.start('b~1', 'B', { secret: 'other' })
      a.network.connect({ addresses: b.network.self.addresses })
      await world.env.advance(59_000)
      expect(b.wires.length).toBeGreaterThan(10)
      const lines = (): readonly unknown[] =>
        world.env.emitted
          .filter(({ event }) => event === 'network.refused')
          .map(({ fields: { door, code, remedy, more } }) => [door, code, remedy ?? more])
      const line = ['peer port', 'secret', expect.stringContaining('--secret-file')]
      expect(lines()).toEqual([line, line])
      await world.env.advance(2_000)
      const count = ['peer port', 'secret', expect.any(Number)]
      expect(lines().slice(2, 4)).toEqual([count, count])
    })
  })

  describe('at start', () => {
    test('refuses to be reachable from other machines without a secret', async () => {
      const wires = Object.assign(world.hub.wires('X'), { listen: [parseAddress('0.0.0.0:7400')] })
      await expect(world.start('x~1', 'X', { wires })).rejects.toThrow('there is no cluster secret')
      await expect(world.start('x~1', 'X', { announce: ['10.0.0.7:7400'] })).rejects.toThrow(InvalidError)
      await expect(world.start('x~1', 'X', { announce: ['10.0.0.7:7400'], secret: 'grey lag' })).resolves.toBeDefined()
    })

    test('refuses more addresses than a hello can carry', async () => {
      const announce = Array.from(
        { length: 16 },
        (_, i) => `${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.${'w'.repeat(50)}${i}:7400`,
      )
      await expect(
        world.start('x~1', 'X', { announce, secret: 's', limits: { helloBytesMax: 3_000 } }),
      ).rejects.toThrow('too many for a hello')
    })

    test('refuses an address that is none at connect', async () => {
      const a = await world.start('a~1', 'A')
      expect(() => a.network.connect({ addresses: ['nowhere'] })).toThrow(InvalidError)
    })
  })
})
