import { randomBytes } from 'node:crypto'
import { connect, createServer, type AddressInfo } from 'node:net'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { formatAddress, multiaddrOf, parseAddress } from '../../../lib/transport/addresses.ts'
import { Libp2pWires, protocol, type Libp2pWiresOptions } from '../../../lib/transport/libp2p.ts'
import { MeshNetwork } from '../../../lib/transport/mesh.ts'
import type { NetworkLimits } from '../../../lib/transport/network.ts'
import type { Wire, WireRefusal } from '../../../lib/transport/wires.ts'
import { fastLimits } from '../../conformance/real-harness.ts'
import { realEnv } from '../../conformance/real-env.ts'
import { freePort } from '../../free-port.ts'
import { Stranger } from './stranger.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(() => Promise.all(stops.splice(0).map(stop => stop())))

async function wires(
  over: Partial<Libp2pWiresOptions> = {},
  accept: (wire: Wire) => void = () => undefined,
): Promise<{ own: Libp2pWires; address: string }> {
  const own = new Libp2pWires({ listen: ['127.0.0.1:0'], ...over })
  stops.push(() => own.stop())
  const [address] = await own.start(accept)
  return { own, address: address === undefined ? '' : formatAddress(address) }
}

const soon = (): AbortSignal => AbortSignal.timeout(5_000)
const nothing = (): void => undefined

describe('libp2p wires', () => {
  test('listen on a free port, and prove their key to who dials', async () => {
    const accepted = Promise.withResolvers<Wire>()
    const far = await wires({}, wire => accepted.resolve(wire))
    const near = await wires({ listen: [] })
    expect(far.address).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(near.address).toBe('')
    const wire = await near.own.dial(parseAddress(far.address), soon())
    const there = await accepted.promise
    expect([wire.remotePeer, there.remotePeer]).toEqual([far.own.peer, near.own.peer])
    expect([wire.isDialer, there.isDialer]).toEqual([true, false])
    expect(wire.remoteAddress).toBe(far.address)
  })

  test('keep a peer id with a given seed, and take a fresh one without', async () => {
    const seed = new Uint8Array(32).fill(5)
    const [one, two, three] = await Promise.all([wires({ keySeed: seed }), wires({ keySeed: seed }), wires()])
    expect(one.own.peer).toBe(two.own.peer)
    expect(three.own.peer).not.toBe(one.own.peer)
    expect(() => new Libp2pWires({ listen: [], keySeed: new Uint8Array(31) })).toThrow(InvalidError)
  })

  test('say whether nobody listens, it is the own address, or another key answers', async () => {
    const near = await wires()
    const far = await wires()
    const port = await freePort()
    const dial = (text: string): Promise<unknown> =>
      near.own.dial(parseAddress(text), soon()).then(nothing, (error: { kind: string }) => error.kind)
    expect(await dial(`127.0.0.1:${port}`)).toBe('refused')
    expect(await dial(near.address)).toBe('self')
    expect(await dial(near.address.replace('127.0.0.1', 'localhost'))).toBe('self')
    expect(await dial(`/ip4/127.0.0.1/tcp/${far.address.split(':')[1]}/p2p/${near.own.peer}`)).toBe('self')
    const other = await wires()
    expect(await dial(`/ip4/127.0.0.1/tcp/${far.address.split(':')[1]}/p2p/${other.own.peer}`)).toBe('failed')
  })

  test('give up a dial when told to, although the far end never answers', async () => {
    const mute = createServer(nothing)
    await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve))
    stops.push(() => new Promise(resolve => mute.close(resolve)))
    const near = await wires()
    const giveUp = new AbortController()
    const dial = near.own.dial(parseAddress(`127.0.0.1:${(mute.address() as AddressInfo).port}`), giveUp.signal)
    mute.once('connection', socket => {
      socket.on('error', nothing)
      stops.push(async () => socket.destroy())
      giveUp.abort()
    })
    await expect(dial).rejects.toMatchObject({ kind: 'failed' })
  })

  test(
    'close a connection from outside that says nothing, or that is admitted by libp2p and opens no stream',
    { timeout: 30_000 },
    async () => {
      const far = await wires({ idleMs: 1_000 })
      const socket = connect({ port: Number(far.address.split(':')[1]), host: '127.0.0.1' })
      socket.on('error', nothing)
      const isSilentClosed = new Promise(resolve => socket.once('close', resolve))
      const node = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
      stops.push(async () => node.stop())
      const connection = await node.dial(multiaddr(multiaddrOf(parseAddress(far.address))))
      await Promise.all([isSilentClosed, new Promise(resolve => connection.addEventListener('close', resolve))])
      expect([socket.destroyed, connection.status]).not.toContain('open')
    },
  )

  test('tell an address in use', async () => {
    const one = await wires()
    await expect(wires({ listen: [one.address] })).rejects.toThrow(InvalidError)
  })

  test('resolve a name to every address', async () => {
    const near = await wires()
    const found = await near.own.resolve(parseAddress('localhost:7400'))
    expect(found.map(each => each.port)).toContain(7400)
    expect(found.every(each => each.kind !== 'dns')).toBe(true)
    await expect(near.own.resolve(parseAddress('no-such-host.invalid:1'))).rejects.toThrow('no-such-host')
  })

  test('tell of back-pressure: unsent bytes grow while the far end does not read, and drain comes when it does', async () => {
    const accepted = Promise.withResolvers<Wire>()
    const far = await wires({}, wire => accepted.resolve(wire))
    const near = await wires()
    const wire = await near.own.dial(parseAddress(far.address), soon())
    const there = await accepted.promise
    const drained = Promise.withResolvers<void>()
    wire.open({ bytes: nothing, drain: () => wire.unsentBytes === 0 && drained.resolve(), closed: nothing })
    const total = 3_000_000
    for (let i = 0; i < total / 100_000; i++) wire.write(new Uint8Array(100_000))
    expect(wire.unsentBytes).toBeGreaterThan(1_000_000)
    let got = 0
    const all = Promise.withResolvers<void>()
    there.open({ bytes: chunk => (got += chunk.length) === total && all.resolve(), drain: nothing, closed: nothing })
    await Promise.all([all.promise, drained.promise])
    expect(wire.unsentBytes).toBe(0)
  })
})

describe('who is no peer', () => {
  async function refusing(): Promise<{
    readonly refusals: WireRefusal[]
    readonly far: { readonly own: Libp2pWires; readonly address: string }
    readonly told: (count: number) => Promise<void>
  }> {
    const refusals: WireRefusal[] = []
    let wake = nothing
    const own = new Libp2pWires({ listen: ['127.0.0.1:0'], idleMs: 500 })
    stops.push(() => own.stop())
    const refused = (refusal: WireRefusal): void => {
      refusals.push(refusal)
      wake()
    }
    const [address] = await own.start(wire => wire.open({ bytes: nothing, drain: nothing, closed: nothing }), refused)
    const told = async (count: number): Promise<void> => {
      while (refusals.length < count) await new Promise<void>(resolve => (wake = resolve))
    }
    return { refusals, far: { own, address: formatAddress(address as never) }, told }
  }

  /** What libp2p encrypts and hands to the far end's muxer as it is. */
  async function behindTheHandshake(
    address: string,
  ): Promise<{ open(): Promise<unknown>; send(bytes: Uint8Array): boolean }> {
    const node = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
    stops.push(async () => node.stop())
    const connection = await node.dial(multiaddr(multiaddrOf(parseAddress(address))))
    const { muxer } = connection as unknown as { muxer: { maConn: { send(bytes: Uint8Array): boolean } } }
    return {
      open: () => connection.newStream(protocol),
      send: bytes => connection.status === 'open' && muxer.maConn.send(bytes),
    }
  }

  test.each([
    ['random bytes', randomBytes(10_000), 'not-a-peer'],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\nhost: goose\r\n\r\n'), 'unfinished'],
    ['a length of 1 GB', Uint8Array.of(0x40, 0, 0, 0, 1, 2, 3), 'unfinished'],
    ['a length of 1 GB as a varint', Uint8Array.of(0x80, 0x80, 0x80, 0x80, 4), 'unfinished'],
    ['nothing', new Uint8Array(0), 'silent'],
  ])('is told of once: %s', async (_, bytes, code) => {
    const { refusals, far, told } = await refusing()
    const socket = connect({ port: Number(far.address.split(':')[1]), host: '127.0.0.1' })
    socket.on('error', nothing).on('data', nothing)
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.write(bytes)
    const from = await new Promise(resolve => socket.once('connect', () => resolve(`127.0.0.1:${socket.localPort}`)))
    await Promise.all([told(1), closed])
    expect(refusals).toEqual([{ from, code, reason: expect.any(String) }])
  })

  test('who connects and leaves without a byte is not worth a word', async () => {
    const { refusals, far, told } = await refusing()
    const port = Number(far.address.split(':')[1])
    const quiet = connect({ port, host: '127.0.0.1' })
    const closed = new Promise(resolve => quiet.once('close', resolve))
    quiet.end()
    quiet.resume()
    await closed
    connect({ port, host: '127.0.0.1' }).on('error', nothing).end('half')
    await told(1)
    expect(refusals.map(({ code }) => code)).toEqual(['unfinished'])
  })

  test('garbage right behind the handshake ends its connection, not the process', async () => {
    const { refusals, far, told } = await refusing()
    const stranger = await behindTheHandshake(far.address)
    stranger.send(randomBytes(5_000).fill(0xff, 0, 2))
    await told(1)
    expect(refusals.map(({ code }) => code)).toEqual(['broken'])
    // Longer than a connection may be without a stream.
    const silent = connect({ port: Number(far.address.split(':')[1]), host: '127.0.0.1' }).on('error', nothing)
    await new Promise(resolve => silent.once('close', resolve))
    expect(refusals.map(({ code }) => code)).toEqual(['broken', 'silent'])
  })

  test('a frame of the muxer of 1 GB is cut off before it is gathered', async () => {
    const { refusals, far, told } = await refusing()
    const stranger = await behindTheHandshake(far.address)
    await stranger.open()
    const header = Buffer.alloc(12)
    header.writeUInt32BE(1, 4)
    header.writeUInt32BE(2 ** 30, 8)
    stranger.send(header)
    const isTold = told(1)
    let sentBytes = 0
    while (refusals.length === 0 && sentBytes < 2 ** 27) {
      stranger.send(new Uint8Array(60_000))
      sentBytes += 60_000
      await new Promise(setImmediate)
    }
    await isTold
    expect(refusals.map(({ code }) => code)).toEqual(['broken'])
    expect(refusals[0]?.reason).toContain('a frame of the muxer longer than')
  })
})

describe('a mesh over libp2p', () => {
  function network(
    name: string,
    over: { secret?: string; listen?: string[]; limits?: Partial<NetworkLimits> } = {},
  ): MeshNetwork {
    const hello = () => ({
      cluster: '',
      member: `${name}~1`,
      name,
      holdsData: true,
      memoryBytes: 1,
      versionMin: 1,
      versionMax: 1,
    })
    const { secret, listen = ['127.0.0.1:0'], limits = fastLimits } = over
    const own = new MeshNetwork({
      env: realEnv(),
      wires: new Libp2pWires({ listen }),
      hello,
      entropy: count => randomBytes(count),
      limits,
      ...(secret === undefined ? {} : { secret }),
    })
    stops.push(() => own.stop())
    return own
  }

  const silent = {
    message: nothing,
    linkUp: nothing,
    linkDown: nothing,
    laneReset: nothing,
    refused: nothing,
    heard: nothing,
  }

  test('listens on other than loopback with a secret only', async () => {
    await expect(network('a', { listen: ['0.0.0.0:0'] }).start(silent)).rejects.toThrow('there is no cluster secret')
    const open = network('b', { listen: ['0.0.0.0:0'], secret: 'grey lag' })
    await open.start(silent)
    expect(open.self.addresses.length).toBeGreaterThan(0)
  })

  test('joins ten peers of one host, each with each, in spite of libp2p limits', { timeout: 30_000 }, async () => {
    const count = 10
    const all = Promise.withResolvers<void>()
    let ups = 0
    // no second chance: whoever is turned away at first stays out
    const limits = { redialMinMs: 600_000, redialMaxMs: 600_000, dialTimeoutMs: 30_000, helloTimeoutMs: 30_000 }
    const networks = Array.from({ length: count }, (_, i) => network(`n${i}`, { limits }))
    await Promise.all(
      networks.map(each => each.start({ ...silent, linkUp: () => ++ups === count * (count - 1) && all.resolve() })),
    )
    for (const [i, near] of networks.entries())
      for (const far of networks.slice(i + 1)) near.connect({ addresses: far.self.addresses, member: far.self.member })
    await all.promise
    expect(networks.every(each => each.links.length === count - 1)).toBe(true)
  })

  test('closes the wire of a libp2p peer that is none of us, with one reason', async () => {
    const refused = Promise.withResolvers<string>()
    const own = network('a', { secret: 'grey lag' })
    await own.start({ ...silent, refused: refusal => refused.resolve(refusal.code) })
    const near = await wires()
    const far = new Stranger(await near.own.dial(parseAddress(own.self.addresses[0] as string), soon()))
    far.wire.write(randomBytes(300))
    expect(await refused.promise).toBe('malformed')
    expect(own.links).toEqual([])
  })

  test('lets links go up and down many times and leaves nothing behind', async () => {
    const own = network('a')
    const seen = { ups: 0, downs: 0 }
    let on = Promise.withResolvers<void>()
    await own.start({
      ...silent,
      linkUp: () => void seen.ups++,
      linkDown: (_, down) => down.refused || (seen.downs++, on.resolve()),
    })
    for (let i = 0; i < 15; i++) {
      on = Promise.withResolvers()
      const up = Promise.withResolvers<void>()
      const other = network(`b${i}`)
      await other.start({ ...silent, linkUp: () => up.resolve() })
      other.connect({ addresses: own.self.addresses })
      await up.promise
      await other.stop()
      await on.promise
    }
    expect(seen).toEqual({ ups: 15, downs: 15 })
    expect(own.links).toEqual([])
  })
})
