import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { parseAddress } from '../../../lib/transport/addresses.ts'
import { Admission } from '../../../lib/transport/admission.ts'
import { encodeFrame, type Frame, type FrameKind } from '../../../lib/transport/frames.ts'
import { helloCodec, type WireHello } from '../../../lib/transport/hello.ts'
import { MemoryHub } from '../../../lib/transport/memory-hub.ts'
import { MeshNetwork, type MeshOptions } from '../../../lib/transport/mesh.ts'
import type { LinkDown, LinkHello, NetworkListener, Refusal } from '../../../lib/transport/network.ts'
import type { Wire, Wires } from '../../../lib/transport/wires.ts'
import { Stranger } from './stranger.ts'
import { VirtualEnv } from './virtual-env.ts'

class Told implements NetworkListener<Uint8Array> {
  readonly log: string[] = []
  readonly refusals: Refusal[] = []
  readonly ups: LinkHello[] = []
  onMessage: (from: string) => void = () => undefined
  message(from: string, lane: string, body: Uint8Array): void {
    this.log.push(`message ${from} ${lane} ${body.length}`)
    this.onMessage(from)
  }
  linkUp(hello: LinkHello): void {
    this.ups.push(hello)
    this.log.push(`up ${hello.member}`)
  }
  linkDown(member: string, down: LinkDown): void {
    this.log.push(`down ${member} ${down.refused ? 'refused' : down.reason}`)
  }
  laneReset(member: string, lane: string): void {
    this.log.push(`reset ${member} ${lane}`)
  }
  refused(refusal: Refusal): void {
    this.refusals.push(refusal)
    this.log.push(`refused ${refusal.code}`)
  }
  heard(): void {}
}

describe('mesh', () => {
  let env: VirtualEnv
  let hub: MemoryHub
  let networks: MeshNetwork[]
  let seed = 0

  beforeEach(() => {
    env = new VirtualEnv()
    hub = new MemoryHub()
    networks = []
  })
  afterEach(() => Promise.all(networks.map(network => network.stop())))

  async function start(
    name: string,
    peer: string,
    over: Partial<MeshOptions> = {},
  ): Promise<{ network: MeshNetwork; told: Told; wires: Wire[] }> {
    const wires = hub.wires(peer)
    // every wire of this peer, so that tests can put bytes on them
    const seen: Wire[] = []
    const tapped: Wires = {
      peer,
      listen: wires.listen,
      start: accept => wires.start(wire => (seen.push(wire), accept(wire))),
      resolve: address => wires.resolve(address),
      dial: async (address, signal) => {
        const wire = await wires.dial(address, signal)
        seen.push(wire)
        return wire
      },
      stop: () => wires.stop(),
    }
    const hello = () => ({
      cluster: '',
      member: name,
      name,
      holdsData: true,
      memoryBytes: 1,
      versionMin: 1,
      versionMax: 1,
    })
    const entropy = (count: number): Uint8Array => new Uint8Array(count).fill(++seed)
    const network = new MeshNetwork({ env, wires: tapped, hello, entropy, ...over })
    networks.push(network)
    const told = new Told()
    await network.start(told)
    return { network, told, wires: seen }
  }

  async function pair(): Promise<{ a: Awaited<ReturnType<typeof start>>; b: Awaited<ReturnType<typeof start>> }> {
    const a = await start('a~1', 'A')
    const b = await start('b~1', 'B')
    a.network.connect({ addresses: b.network.self.addresses })
    await env.rest()
    return { a, b }
  }

  async function stranger(to: { network: MeshNetwork }, peer = 'stranger'): Promise<Stranger> {
    const wire = await hub
      .wires(peer)
      .dial(parseAddress(to.network.self.addresses[0] as string), new AbortController().signal)
    return new Stranger(wire)
  }

  function frameOf(kind: FrameKind, body: Uint8Array = new Uint8Array(0), over: Partial<Frame> = {}): Uint8Array {
    return encodeFrame({ kind, version: 0, lane: 'control', session: 0, body, ...over })
  }

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
      const a = await start('a~1', 'A')
      const far = await stranger(a)
      for (const chunk of chunks) far.wire.write(chunk)
      await env.rest()
      expect(far.isClosed).toBe(true)
      expect(a.told.log).toEqual(['refused malformed'])
    })

    test('survives garbage of any kind in any pieces, and tells at most one reason', async () => {
      const a = await start('a~1', 'A')
      let count = 0
      await fc.assert(
        fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 10 }), async chunks => {
          const before = a.told.refusals.length
          const far = await stranger(a, `stranger-${++count}`)
          for (const chunk of chunks) far.wire.write(chunk)
          await env.rest()
          const isClosed = far.isClosed
          far.wire.abort('over')
          await env.rest()
          expect(a.told.refusals.length - before).toBe(isClosed ? 1 : 0)
          expect(a.network.links).toEqual([])
        }),
        { numRuns: 60 },
      )
    })

    test('closes the wire of who says nothing for five seconds, and of who stops halfway', async () => {
      const a = await start('a~1', 'A')
      const silent = await stranger(a, 'silent')
      const half = await stranger(a, 'half')
      half.wire.write(frameOf('nonce', new Uint8Array(32)))
      await env.advance(4_400)
      expect([silent.isClosed, half.isClosed]).toEqual([false, false])
      await env.advance(1_200)
      expect([silent.isClosed, half.isClosed]).toEqual([true, true])
      expect(a.told.refusals.map(each => each.code)).toEqual(['hello', 'hello'])
    })

    test('tells a stranger nothing but its nonce', async () => {
      const a = await start('a~1', 'A', { secret: 'grey lag' })
      const far = await stranger(a)
      far.wire.write(frameOf('nonce', new Uint8Array(32)))
      far.wire.write(frameOf('proof', new Uint8Array(32)))
      await env.rest()
      expect(far.kinds).toEqual(['nonce', 'refuse'])
      expect(a.told.refusals[0]?.reason).toContain('--secret-file')
    })

    test('takes a bounded number of wires that are not admitted', async () => {
      const a = await start('a~1', 'A', { limits: { pendingWiresMax: 3 } })
      const many = await Promise.all(Array.from({ length: 5 }, (_, i) => stranger(a, `s-${i}`)))
      await env.rest()
      expect(many.map(each => each.isClosed)).toEqual([false, false, false, true, true])
    })

    /** Goes through admission by hand, saying `hello`. */
    async function admitted(to: { network: MeshNetwork }, peer: string, over: Partial<WireHello>): Promise<Stranger> {
      const far = await stranger(to, peer)
      const hello: WireHello = {
        cluster: '',
        member: 'x~1',
        peer,
        name: 'x',
        addresses: [],
        holdsData: false,
        memoryBytes: 0,
        versionMin: 1,
        versionMax: 1,
        sessions: { control: 1, data: 1, bulk: 1 },
        isLinked: false,
        ...over,
      }
      const parties = {
        secret: to.network.secret,
        localPeer: peer,
        remotePeer: to.network.self.peer,
        isDialer: true,
        nonce: new Uint8Array(32),
      }
      const admission = new Admission(parties, () => helloCodec.encode(hello))
      let at = 0
      for (const step of admission.begin()) if (step.kind === 'send') far.wire.write(frameOf(step.frame, step.body))
      for (let i = 0; i < 4; i++) {
        await env.rest()
        for (; at < far.frames.length; at++) {
          const frame = far.frames[at] as Frame
          if (frame.kind === 'ready' || frame.kind === 'refuse') continue
          for (const step of admission.receive(frame.kind, frame.body))
            if (step.kind === 'send') far.wire.write(frameOf(step.frame, step.body))
        }
      }
      return far
    }

    test('refuses a hello with another key than the wire proved', async () => {
      const a = await start('a~1', 'A')
      const far = await admitted(a, 'Z', { peer: 'Y' })
      expect(far.isClosed).toBe(true)
      expect(a.told.refusals[0]?.reason).toContain('hello of another peer')
    })

    test('counts all bytes before admission, not each frame alone', async () => {
      const a = await start('a~1', 'A')
      const addresses = Array.from({ length: 15 }, () => 'x'.repeat(256))
      await admitted(a, 'Z', { addresses, name: 'n'.repeat(160) })
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
      const b = await start('b~1', 'B', { hello })
      const far = await admitted(b, 'A', {})
      far.wire.write(frameOf('ready'))
      await env.rest()
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
      await env.rest()
      expect(b.told.log).toEqual(['up x~1', 'refused cluster', expect.stringContaining('down x~1')])
    })

    test('refuses who bears its own member id, or that of a linked member', async () => {
      const { a, b } = await pair()
      expect((await admitted(b, 'A1', { member: 'b~1' })).isClosed).toBe(true)
      expect((await admitted(b, 'A2', { member: 'a~1' })).isClosed).toBe(true)
      expect(b.told.refusals.map(each => each.code)).toEqual(['hello', 'hello'])
      expect(a.network.links).toEqual(['b~1'])
    })

    test('waits for ready of the other end before it tells that a link is up', async () => {
      const a = await start('b~1', 'B')
      const far = await admitted(a, 'A', {})
      expect(far.kinds).toEqual(['nonce', 'proof', 'hello', 'ready'])
      expect(a.told.log).toEqual([])
      far.wire.write(frameOf('ready'))
      await env.rest()
      expect(a.told.log).toEqual(['up x~1'])
    })
  })

  describe('on a link', () => {
    test.each<[string, Uint8Array]>([
      ['a frame of a gigabyte', Uint8Array.of(0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
      ['a frame of another version', frameOf('whole', new Uint8Array(1), { version: 2 })],
      ['a piece out of place', frameOf('last', new Uint8Array(1), { version: 1, session: 0x0101_0101 })],
      ['a frame of admission', frameOf('ready', new Uint8Array(0), { version: 1 })],
      ['an announce that is none', frameOf('announce', Uint8Array.of(1), { version: 1 })],
    ])('%s closes it with one reason', async (_, bytes) => {
      seed = 0
      const { a, b } = await pair()
      b.wires[0]?.write(bytes)
      await env.rest()
      expect(a.told.log[0]).toBe('up b~1')
      expect(a.told.log.filter(line => line === 'refused malformed')).toHaveLength(1)
      expect(a.told.log.filter(line => line.startsWith('down b~1'))).toHaveLength(1)
    })

    test('gives it up after three seconds of silence, not earlier, at both ends', async () => {
      const { a, b } = await pair()
      await env.advance(20_000)
      expect([a.told.log, b.told.log]).toEqual([['up b~1'], ['up a~1']])
      hub.hold('B')
      await env.advance(2_400)
      expect(a.told.log).toHaveLength(1)
      await env.advance(1_700)
      expect(a.told.log[1]).toMatch(/^down b~1 silent for \d+ ms$/)
      expect(b.told.log[1]).toMatch(/^down a~1 silent for \d+ ms$/)
    })

    test('does not take its own sleep for the silence of others', async () => {
      const { a } = await pair()
      await env.advance(10)
      env.sleep(60_000)
      await env.advance(5_000)
      expect(a.told.log).toEqual(['up b~1'])
    })

    test('sends nothing on a busy link but messages, and a ping a second on an idle one', async () => {
      const { a, b } = await pair()
      let pings = 0
      const wire = a.wires[0] as Wire
      const write = wire.write.bind(wire)
      wire.write = bytes => {
        if (bytes[4] === 5) pings++
        write(bytes)
      }
      for (let i = 0; i < 50; i++) {
        a.network.send('b~1', 'data', new Uint8Array(1))
        await env.advance(100)
      }
      expect(pings).toBe(0)
      await env.advance(10_000)
      expect(pings).toBeGreaterThanOrEqual(10)
      expect(pings).toBeLessThanOrEqual(21)
      expect(b.told.log.filter(line => line.startsWith('message'))).toHaveLength(50)
    })

    test('sends all messages of a turn in one write', async () => {
      const { a } = await pair()
      const wire = a.wires[0] as Wire
      const write = wire.write.bind(wire)
      let writes = 0
      wire.write = bytes => {
        writes++
        write(bytes)
      }
      for (let i = 0; i < 300; i++)
        a.network.send('b~1', (['control', 'data', 'bulk'] as const)[i % 3] ?? 'data', new Uint8Array(50))
      await env.rest()
      expect(writes).toBe(1)
    })

    test('does not call back from inside a call, and tells in order', async () => {
      const { a } = await pair()
      a.network.drop('b~1', 'unwanted')
      expect(a.told.log).toEqual(['up b~1'])
      await env.rest()
      expect(a.told.log).toEqual(['up b~1', 'refused malformed', 'down b~1 unwanted'])
    })

    test('stops handing over messages of a link that its driver drops', async () => {
      const { a, b } = await pair()
      b.told.onMessage = from => b.network.drop(from, 'unwanted')
      for (let i = 0; i < 5; i++) a.network.send('b~1', 'data', new Uint8Array(1))
      await env.rest()
      expect(b.told.log.filter(line => line.startsWith('message'))).toHaveLength(1)
    })

    test('drops a message over the limit of a frame, says so, and goes on', async () => {
      const { a, b } = await pair()
      a.network.send('b~1', 'bulk', new Uint8Array(16 * 1024 * 1024 + 1))
      a.network.send('b~1', 'bulk', new Uint8Array(1))
      await env.rest()
      expect(b.told.log).toEqual(['up a~1', 'message a~1 bulk 1'])
      expect(env.emitted.at(-1)).toMatchObject({ level: 'error', event: 'transport.message-too-long' })
    })

    test('lets control pass while bulk is stuck, and keeps little of bulk under way', async () => {
      const { a, b } = await pair()
      hub.hold('B')
      for (let i = 0; i < 60; i++) a.network.send('b~1', 'bulk', new Uint8Array(100_000))
      await env.rest()
      expect(a.wires[0]?.unsentBytes).toBeLessThan(256 * 1024 + 100_000)
      a.network.send('b~1', 'control', new Uint8Array(3))
      await env.rest()
      hub.release('B')
      await env.rest()
      const at = b.told.log.findIndex(line => line.startsWith('message a~1 control'))
      expect(b.told.log.slice(0, at).filter(line => line.includes('bulk')).length).toBeLessThanOrEqual(4)
      expect(b.told.log.filter(line => line.includes('bulk'))).toHaveLength(60)
    })
  })

  describe('between two peers', () => {
    test('a dial while linked is turned away as long as the first is young', async () => {
      const { a, b } = await pair()
      b.network.connect({ addresses: a.network.self.addresses })
      await env.rest()
      expect([a.told.log, b.told.log]).toEqual([['up b~1'], ['up a~1']])
      expect([a.told.refusals, b.told.refusals]).toEqual([[], []])
    })

    test.each(['decides', 'does not decide'])(
      'an end that lost its link is let in again, although the other has not noticed: the one that %s',
      async which => {
        const { a, b } = await pair()
        await env.advance(5_000)
        const [loser, other] = which === 'decides' ? [b, a] : [a, b]
        // its end vanishes without a word to the other
        ;(loser.wires[0] as unknown as { end(reason: string): void }).end('lost')
        await env.advance(500)
        expect(a.network.links).toEqual(['b~1'])
        expect(b.network.links).toEqual(['a~1'])
        expect(other.told.log.slice(1)).toEqual([
          expect.stringContaining('replaced by a newer connection'),
          other.told.log[0],
        ])
      },
    )

    test('a new start of the same peer replaces the old one', async () => {
      const { b } = await pair()
      const again = await start('a~2', 'A')
      again.network.connect({ addresses: b.network.self.addresses })
      await env.rest()
      expect(b.network.links).toEqual(['a~2'])
      expect(b.told.log.slice(0, 3)).toEqual(['up a~1', 'down a~1 replaced by a newer connection', 'up a~2'])
    })

    test('a target that is the own member is left alone', async () => {
      const a = await start('a~1', 'A')
      a.network.connect({ addresses: a.network.self.addresses, member: 'a~1' })
      await env.advance(5_000)
      expect(a.told.log).toEqual([])
    })

    test('an address where another member answers counts as refused', async () => {
      const { a, b } = await pair()
      a.network.connect({ addresses: b.network.self.addresses, member: 'old~1' })
      await env.rest()
      expect(a.told.log).toEqual(['up b~1', 'down old~1 refused'])
      await env.advance(10_000)
      expect(a.told.log).toHaveLength(2)
    })

    test('dials for ever, at most every two seconds and never in step', async () => {
      const a = await start('a~1', 'A')
      const b = await start('b~1', 'B')
      const { addresses } = b.network.self
      hub.kill('B')
      let dials = 0
      const target = { addresses, member: 'b~1' }
      const tried: number[] = []
      const dial = hub.dial.bind(hub)
      hub.dial = (from, to) => {
        dials++
        tried.push(env.now().monotonicMs)
        return dial(from, to)
      }
      a.network.connect(target)
      await env.advance(600_000)
      expect(dials).toBeGreaterThan(300)
      const pauses = tried.slice(1).map((at, i) => at - (tried[i] as number))
      expect(Math.max(...pauses)).toBeLessThanOrEqual(2_000)
      expect(Math.min(...pauses.slice(6))).toBeGreaterThanOrEqual(1_000)
      expect(new Set(pauses).size).toBeGreaterThan(100)
      expect(a.told.log).toEqual(['down b~1 refused'])
      a.network.forget(target)
      await env.advance(60_000)
      expect(dials).toBe(tried.length)
    })

    test('a link that keeps failing is not dialed without pause', async () => {
      const { a, b } = await pair()
      for (let i = 0; i < 600; i++) {
        for (const wire of a.wires) wire.abort('flap')
        await env.advance(100)
      }
      // a minute of it, at a pause of one to two seconds
      expect(a.told.ups.length).toBeLessThan(70)
      expect(a.told.ups.length).toBeGreaterThan(25)
      await env.advance(5_000)
      expect(b.network.links).toEqual(['a~1'])
    })

    test('peers of differently named clusters never join, although neither has a secret', async () => {
      const a = await start('a~1', 'A', { clusterName: 'shop' })
      const b = await start('b~1', 'B', { clusterName: 'shed' })
      a.network.connect({ addresses: b.network.self.addresses })
      await env.rest()
      expect([a.told.log, b.told.log]).toEqual([['refused secret'], ['refused secret']])
    })

    test('the same refusal is told once, not at every retry', async () => {
      const a = await start('a~1', 'A', { secret: 'one' })
      const b = await start('b~1', 'B', { secret: 'other' })
      a.network.connect({ addresses: b.network.self.addresses })
      await env.advance(60_000)
      expect(b.wires.length).toBeGreaterThan(10)
      expect([a.told.log, b.told.log]).toEqual([['refused secret'], ['refused secret']])
    })
  })

  describe('at start', () => {
    test('refuses to be reachable from other machines without a secret', async () => {
      const wires = Object.assign(hub.wires('X'), { listen: [parseAddress('0.0.0.0:7400')] })
      await expect(start('x~1', 'X', { wires })).rejects.toThrow('there is no cluster secret')
      await expect(start('x~1', 'X', { announce: ['10.0.0.7:7400'] })).rejects.toThrow(InvalidError)
      await expect(start('x~1', 'X', { announce: ['10.0.0.7:7400'], secret: 'grey lag' })).resolves.toBeDefined()
    })

    test('refuses more addresses than a hello can carry', async () => {
      const announce = Array.from(
        { length: 16 },
        (_, i) => `${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.${'w'.repeat(50)}${i}:7400`,
      )
      await expect(start('x~1', 'X', { announce, secret: 's', limits: { helloBytesMax: 3_000 } })).rejects.toThrow(
        'too many for a hello',
      )
    })

    test('refuses an address that is none at connect', async () => {
      const a = await start('a~1', 'A')
      expect(() => a.network.connect({ addresses: ['nowhere'] })).toThrow(InvalidError)
    })
  })
})
