/**
 * Trial `garbage`: what is not for a peer, on each of its ports: random bytes, a length of 1 GB, a wrong secret, a foreign
 * cluster, a version too new, `/v1` where flows listen, doors off loopback without a token. All is refused, with a line in
 * the log where somebody has to know, without growth and without an end.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { systemEnv } from '../../lib/peer/clock.ts'
import { parseAddress } from '../../lib/transport/addresses.ts'
import { Libp2pWires } from '../../lib/transport/libp2p.ts'
import { MeshNetwork } from '../../lib/transport/mesh.ts'
import type { LinkHello } from '../../lib/transport/network.ts'
import { Flock } from './flock.ts'
import { ask, pause } from './http.ts'
import type { ChaosPeer, LogLine } from './peer.ts'
import type { Summary } from './summary.ts'

export interface GarbageOptions {
  readonly trials: number
  readonly isKept?: boolean
  readonly tell: (line: string) => void
}

interface Attack {
  readonly name: string
  /** How often in each round, and whether the log must have a line of it. */
  readonly times: number
  readonly isLogged: boolean
  /** Resolves with what came back, e.g. '413' or 'closed'. */
  readonly run: (peer: ChaosPeer) => Promise<string>
  /** What must come back. */
  readonly expects: RegExp
}

const gigabyte = 2 ** 30
const closedMsMax = 12_000
const growthMbMax = 60
const launcher = join(import.meta.dirname, '..', '..', 'bin', 'skein.ts')

export async function garbage({ trials, isKept = false, tell }: GarbageOptions): Promise<Summary> {
  const flock = new Flock({ flows: [join(import.meta.dirname, 'flows', 'orders.ts')] })
  const wrong: string[] = []
  let growthMb = 0
  try {
    await flock.start()
    const peer = flock.peer(0)
    // Once for what is loaded and compiled at the first time.
    for (const attack of attacks) await volley(peer, attack)
    await pause(1_000)
    const beforeMb = peer.residentMb()
    for (let at = 0; at < trials; at++)
      for (const attack of attacks) {
        const logged = peer.log().length
        const results = await volley(peer, attack)
        await pause(100)
        const lines = peer.log().slice(logged).filter(isWarning)
        const strange = results.filter(each => !attack.expects.test(each))
        if (strange.length > 0) wrong.push(`${attack.name}: ${strange[0]}`)
        if (attack.isLogged && at === 0 && lines.length === 0) wrong.push(`${attack.name}: no line in the log`)
        if (lines.length > attack.times) wrong.push(`${attack.name}: ${lines.length} lines for ${attack.times} times`)
        if (at === 0)
          tell(
            `  ${attack.name.padEnd(36)} ${[...new Set(results)].join(', ').slice(0, 60).padEnd(34)} ${lineText(lines)}`,
          )
      }
    wrong.push(...(await offLoopback(flock)))
    await pause(2_000)
    growthMb = peer.residentMb() - beforeMb
    if (growthMb > growthMbMax) wrong.push(`resident set grew by ${growthMb} MB`)
    await flock.safe()
    const write = await ask(peer.http, 'PUT', '/v1/maps/m/k', 'after it all', { 'content-type': 'text/plain' })
    if (write.status !== 200) wrong.push(`a write after it all: ${write.status}`)
    const complaints = flock.complaints()
    return {
      trial: 'garbage',
      isPassed: wrong.length === 0 && complaints.length === 0,
      figures: { rounds: trials, attacks: attacks.length, 'resident set before, MB': beforeMb, 'growth, MB': growthMb },
      problems: [...new Set([...wrong, ...complaints])],
      folder: flock.folder,
    }
  } finally {
    await flock.end(isKept)
  }
}

function isWarning({ level }: LogLine): boolean {
  return level === 'raw' || Number(level) >= 40
}

function lineText(lines: readonly LogLine[]): string {
  const [first] = lines
  return first === undefined
    ? 'no line'
    : `${lines.length} x ${first.msg} ${first.code ?? ''} ${first.reason ?? ''}`.slice(0, 110)
}

async function volley(peer: ChaosPeer, { times, run }: Attack): Promise<readonly string[]> {
  return await Promise.all(Array.from({ length: times }, () => run(peer)))
}

const flowPort = (peer: ChaosPeer): string => peer.ready?.flows?.replace('http://', '') ?? ''
const httpPort = (peer: ChaosPeer): string => peer.http.replace('http://', '')
const respPort = (peer: ChaosPeer): string => peer.ready?.resp ?? ''
const peerPort = (peer: ChaosPeer): string => peer.ready?.addresses[0] ?? ''

const random = (): Buffer => randomBytes(64 * 1_024)
const lengthPrefix = Buffer.concat([Buffer.from([0x40, 0, 0, 0]), randomBytes(32)])
const longBody = (path: string): Buffer =>
  Buffer.from(
    `PUT ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\ncontent-length: ${gigabyte}\r\n\r\nxx`,
  )
const longPost = (path: string): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${gigabyte}\r\n\r\nxx`,
  )

const attacks: readonly Attack[] = [
  bytesAt('random bytes at the peer port', peerPort, random, 5, /closed/),
  bytesAt('a length of 1 GB at the peer port', peerPort, () => lengthPrefix, 5, /closed/),
  { name: 'a frame of 1 GB on a link', times: 1, isLogged: true, expects: /closed/, run: longFrame },
  intruder('a wrong secret', { secret: 'not the secret of this one' }, {}),
  intruder('a cluster of another name', { clusterName: 'other' }, {}),
  intruder('a foreign cluster id', {}, { cluster: 'another-cluster' }),
  intruder('a version too new', {}, { versionMin: 900, versionMax: 999 }),
  bytesAt('random bytes at the HTTP door', httpPort, random, 5, /400|431|closed/),
  bytesAt('a body of 1 GB at the HTTP door', httpPort, () => longBody('/v1/maps/m/k'), 5, /413/),
  bytesAt('random bytes at the RESP door', respPort, random, 5, /ERR|closed/),
  bytesAt('a bulk of 1 GB at the RESP door', respPort, () => Buffer.from(`*2\r\n$${gigabyte}\r\n`), 5, /ERR/),
  bytesAt('1 G arguments at the RESP door', respPort, () => Buffer.from(`*${gigabyte}\r\n`), 5, /ERR/),
  bytesAt('random bytes at the flow port', flowPort, random, 5, /400|431|closed/),
  bytesAt('a body of 1 GB at the flow port', flowPort, () => longPost('/orders/1'), 5, /413/),
  {
    name: '/v1 on the flow port',
    times: 3,
    isLogged: false,
    expects: /^404/,
    run: async peer => String((await ask(peer.ready?.flows ?? '', 'GET', '/v1/cluster')).status),
  },
]

/** Sends, and waits for an answer or the end. */
function bytesAt(
  name: string,
  at: (peer: ChaosPeer) => string,
  bytes: () => Buffer,
  times: number,
  expects: RegExp,
): Attack {
  return { name, times, isLogged: false, expects, run: async peer => await sendTo(at(peer), bytes()) }
}

async function sendTo(address: string, bytes: Buffer): Promise<string> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  let text = ''
  socket.on('data', chunk => (text += chunk.toString('latin1').slice(0, 200)))
  socket.on('error', () => undefined)
  socket.write(bytes)
  const timer = setTimeout(() => {
    text = `open for ${closedMsMax} ms, ${text}`
    socket.destroy()
  }, closedMsMax)
  await new Promise<void>(resolve => socket.once('close', () => resolve()))
  clearTimeout(timer)
  const line = text.split('\r\n')[0] as string
  return /^[\x20-\x7e]+$/.test(line) ? line : 'closed'
}

async function longFrame(peer: ChaosPeer): Promise<string> {
  const wires = new Libp2pWires({ listen: [] })
  await wires.start(() => undefined)
  try {
    const wire = await wires.dial(parseAddress(peerPort(peer)), AbortSignal.timeout(5_000))
    return await new Promise<string>(resolve => {
      const timer = setTimeout(() => resolve(`open for ${closedMsMax} ms`), closedMsMax)
      wire.open({
        bytes: () => undefined,
        drain: () => undefined,
        closed: () => {
          clearTimeout(timer)
          resolve('closed')
        },
      })
      const header = Buffer.alloc(12)
      header.writeUInt32BE(gigabyte, 0)
      wire.write(Buffer.concat([header, randomBytes(1_024)]))
    })
  } finally {
    await wires.stop()
  }
}

function intruder(
  name: string,
  { secret, clusterName = 'chaos' }: { readonly secret?: string; readonly clusterName?: string },
  hello: Partial<LinkHello>,
): Attack {
  const run = async (peer: ChaosPeer): Promise<string> => {
    const network = new MeshNetwork({
      env: systemEnv(),
      wires: new Libp2pWires({ listen: ['127.0.0.1:0'] }),
      entropy: count => randomBytes(count),
      clusterName,
      ...(secret !== undefined && { secret }),
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
    let result = 'never linked'
    await network.start({
      message: () => undefined,
      linkUp: () => void (result = 'linked'),
      linkDown: () => undefined,
      laneReset: () => undefined,
      refused: ({ code }) => void (result = result === 'linked' ? result : `refused: ${code}`),
      heard: () => undefined,
    })
    network.connect({ addresses: peer.ready?.addresses ?? [] })
    await pause(1_500)
    await network.stop()
    return result
  }
  return { name, times: 1, isLogged: true, expects: /^(?:refused|never linked)/, run }
}

/** Doors that others could reach: refused at the start without a token, and asking for it with one. */
async function offLoopback(flock: Flock): Promise<readonly string[]> {
  const child = spawn(process.execPath, [launcher, 'start', '--listen', '127.0.0.1:0', '--http', '0.0.0.0:0'], {
    cwd: flock.folder,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)))
  const timer = setTimeout(() => child.kill('SIGKILL'), closedMsMax)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return code === 2 && said.includes('access')
    ? []
    : [`doors off loopback without a token: exit ${code}, ${said.slice(0, 300)}`]
}
