/**
 * What strangers send to the ports of a peer, for the trial `garbage`. Those that only need a socket come from a loopback
 * address each, so that the peer's log can be asked for the lines about each one; others prove a key, and are known by the
 * cause.
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { systemEnv } from '../../lib/peer/clock.ts'
import { multiaddrOf, parseAddress } from '../../lib/transport/addresses.ts'
import { Libp2pWires, protocol } from '../../lib/transport/libp2p.ts'
import { MeshNetwork } from '../../lib/transport/mesh.ts'
import type { LinkHello } from '../../lib/transport/network.ts'
import type { ChaosPeer } from './peer.ts'

export interface Attack {
  readonly name: string
  /** How often at once. */
  readonly times: number
  /** Of the one line in the log. */
  readonly code: string
  /** What must come back. */
  readonly expects: RegExp
  /** Resolves with what came back, e.g. '413' or 'closed'. `from`: the loopback address to come from. */
  readonly run: (peer: ChaosPeer, from: string) => Promise<string>
}

export interface PortAttack extends Attack {
  readonly isFlood: boolean
}

const gigabyte = 2 ** 30
const closedMsMax = 12_000
const nothing = (): void => undefined

const flowPort = (peer: ChaosPeer): string => peer.ready?.flows?.replace('http://', '') ?? ''
const httpPort = (peer: ChaosPeer): string => peer.http.replace('http://', '')
const respPort = (peer: ChaosPeer): string => peer.ready?.resp ?? ''
const peerPort = (peer: ChaosPeer): string => peer.ready?.addresses[0] ?? ''

const random = (): Buffer => randomBytes(64 * 1_024)
/** No line's end may turn it into something that a protocol takes for empty. */
const randomWords = (): Buffer => Buffer.concat([Buffer.from([0xff, 0xfe]), random(), Buffer.from('\r\n')])
const head = (line: string, ...fields: readonly string[]): Buffer =>
  Buffer.from(`${[`${line} HTTP/1.1`, 'host: 127.0.0.1', 'content-type: text/plain', ...fields].join('\r\n')}\r\n\r\n`)
const long = (line: string) => (): Buffer => head(line, `content-length: ${gigabyte}`)
const chunked = (line: string) => (): Buffer =>
  Buffer.concat([
    head(line, 'transfer-encoding: chunked'),
    Buffer.from(`${gigabyte.toString(16)}\r\n`),
    Buffer.alloc(6 * 1_024 * 1_024),
  ])
const verbose = (line: string) => (): Buffer => head(line, `cookie: ${'x'.repeat(64 * 1_024)}`)

const put = 'PUT /v1/maps/m/k'
const post = 'POST /orders/1'
const ended = 'connection: close'

/** Each needs a socket alone. */
export const portAttacks: readonly PortAttack[] = [
  at('random bytes at the peer port', peerPort, random, /closed/, 'not-a-peer', true),
  at('a length of 1 GB at the peer port', peerPort, () => Buffer.of(0x40, 0, 0, 0, 1, 2, 3), /closed/, 'unfinished'),
  at('HTTP at the peer port', peerPort, () => head('GET /'), /closed/, 'unfinished'),
  at('random bytes at the HTTP door', httpPort, random, /400|closed/, 'malformed', true),
  at('a body of 1 GB at the HTTP door', httpPort, long(put), /413/, 'too-large'),
  at('a chunk of 1 GB at the HTTP door', httpPort, chunked(put), /413|closed/, 'too-large'),
  at('headers of 64 KB at the HTTP door', httpPort, verbose(put), /431|closed/, 'headers-too-large'),
  at('random bytes at the RESP door', respPort, randomWords, /ERR|closed/, 'malformed', true),
  at('a bulk of 1 GB at the RESP door', respPort, () => Buffer.from(`*2\r\n$${gigabyte}\r\n`), /ERR/, 'too-large'),
  at('1 G arguments at the RESP door', respPort, () => Buffer.from(`*${gigabyte}\r\n`), /ERR/, 'too-many-arguments'),
  at('HTTP at the RESP door', respPort, () => head('POST /v1/cluster'), /ERR|closed/, 'http'),
  at('random bytes at the flow port', flowPort, random, /400|closed/, 'malformed', true),
  at('a body of 1 GB at the flow port', flowPort, long(post), /413/, 'too-large'),
  at('a chunk of 1 GB at the flow port', flowPort, chunked(post), /413|closed/, 'too-large'),
  at('headers of 64 KB at the flow port', flowPort, verbose(post), /431|closed/, 'headers-too-large'),
  at('/v1 at the flow port', flowPort, () => head('GET /v1/cluster', ended), /404/, 'not-a-flow'),
]

/** Each proves a key of its own. */
export const keyedAttacks: readonly Attack[] = [
  { name: 'garbage for the muxer', times: 3, code: 'broken', expects: /closed/, run: peer => behind(peer, random) },
  { name: 'a frame of 1 GB on a link', times: 3, code: 'malformed', expects: /closed/, run: longFrame },
  intruder('a wrong secret', 'secret', { secret: 'not the secret of this one' }),
  intruder('a cluster of another name', 'secret', { clusterName: 'other' }),
  intruder('a foreign cluster id', 'cluster', {}, { cluster: 'another-cluster' }),
  intruder('a version too new', 'version', {}, { versionMin: 900, versionMax: 999 }),
]

/** Sends, and waits for an answer or the end. */
function at(
  name: string,
  port: (peer: ChaosPeer) => string,
  bytes: () => Buffer,
  expects: RegExp,
  code: string,
  isFlood = false,
): PortAttack {
  const run = async (peer: ChaosPeer, from: string): Promise<string> => await sendTo(port(peer), from, bytes(), isFlood)
  return { name, times: 5, code, expects, isFlood, run }
}

/** `isAll`: the stranger leaves as soon as it is sent; else it stays for what is said to it. */
async function sendTo(address: string, from: string, bytes: Buffer, isAll: boolean): Promise<string> {
  const [host, port] = address.split(':')
  const socket = connect({ port: Number(port), host, localAddress: from })
  let text = ''
  socket.on('data', chunk => {
    if (text.length < 200) text += chunk.toString('latin1').slice(0, 200)
  })
  socket.on('error', nothing)
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.write(bytes)
  // Of garbage that may be the beginning of something there is no more.
  socket.once('data', () => socket.end())
  if (isAll) socket.end()
  const timer = setTimeout(() => {
    text = `open for ${closedMsMax} ms, ${text}`
    socket.destroy()
  }, closedMsMax)
  await closed
  clearTimeout(timer)
  const line = text.split('\r\n')[0] as string
  return /^[\x20-\x7e]+$/.test(line) ? line : 'closed'
}

/** Bytes for the muxer: encrypted, and right behind the handshake. */
async function behind(peer: ChaosPeer, bytes: () => Buffer): Promise<string> {
  const node = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
  try {
    const connection = await node.dial(multiaddr(multiaddrOf(parseAddress(peerPort(peer)))))
    const closed = new Promise<string>(resolve => connection.addEventListener('close', () => resolve('closed')))
    await connection.newStream(protocol)
    const { muxer } = connection as unknown as { muxer: { maConn: { send(bytes: Uint8Array): boolean } } }
    muxer.maConn.send(bytes().fill(0xff, 0, 2))
    return await Promise.race([closed, late()])
  } finally {
    await node.stop()
  }
}

async function longFrame(peer: ChaosPeer): Promise<string> {
  const wires = new Libp2pWires({ listen: [] })
  await wires.start(nothing)
  try {
    const wire = await wires.dial(parseAddress(peerPort(peer)), AbortSignal.timeout(5_000))
    const closed = new Promise<string>(resolve =>
      wire.open({ bytes: nothing, drain: nothing, closed: () => resolve('closed') }),
    )
    const header = Buffer.alloc(12)
    header.writeUInt32BE(gigabyte, 0)
    wire.write(Buffer.concat([header, randomBytes(1_024)]))
    return await Promise.race([closed, late()])
  } finally {
    await wires.stop()
  }
}

async function late(): Promise<string> {
  return await new Promise(resolve => setTimeout(() => resolve(`open for ${closedMsMax} ms`), closedMsMax).unref())
}

/** A peer with one thing wrong, that dials again and again. */
function intruder(
  name: string,
  code: string,
  { secret, clusterName = 'chaos' }: { readonly secret?: string; readonly clusterName?: string },
  hello: Partial<LinkHello> = {},
): Attack {
  const run = async (peer: ChaosPeer): Promise<string> => {
    const network = new MeshNetwork({
      env: systemEnv(),
      wires: new Libp2pWires({ listen: ['127.0.0.1:0'] }),
      entropy: count => randomBytes(count),
      clusterName,
      ...(secret !== undefined && { secret }),
      limits: { redialMaxMs: 100 },
      hello: () => ({
        cluster: '',
        member: `intruder~${randomBytes(4).toString('hex')}`,
        name: 'intruder',
        holdsData: true,
        memoryBytes: 1e9,
        versionMin: 1,
        versionMax: 1,
        ...hello,
      }),
    })
    let refusals = 0
    const result = await new Promise<string>((resolve, reject) => {
      const told = {
        message: nothing,
        linkUp: () => resolve('linked'),
        linkDown: nothing,
        laneReset: nothing,
        refused: (refusal: { readonly code: string }) => ++refusals === 3 && resolve(`refused: ${refusal.code}`),
        heard: nothing,
      }
      network.start(told).then(() => network.connect({ addresses: peer.ready?.addresses ?? [] }), reject)
      void late().then(resolve)
    })
    await network.stop()
    return result
  }
  return { name, times: 1, code, expects: /^refused/, run }
}
