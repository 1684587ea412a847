/**
 * Trial `garbage`: what is not for a peer, on each of its ports: random bytes, lengths of 1 GB, a wrong secret, a foreign
 * cluster, a version too new, `/v1` where flows listen, doors off loopback without a token. All is refused with one line in the
 * log for each cause and address, which says what to do; a thousand of the same are one line still; and the peer neither grows
 * nor ends.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { Flock } from './flock.ts'
import { ask, pause } from './http.ts'
import type { ChaosPeer, LogLine } from './peer.ts'
import { keyedAttacks, portAttacks, type Attack } from './strangers.ts'
import type { Summary } from './summary.ts'

export interface GarbageOptions {
  /** Floods of each port, after a first one that brings the heap to its working size. */
  readonly trials: number
  /** Connections of one flood. Default 1,000. */
  readonly flood?: number
  readonly isKept?: boolean
  readonly tell: (line: string) => void
}

const floodAtOnce = 50
const endedMsMax = 12_000
const growthMbMax = 80
/** Of V8's young generation and buffers under the first load of all. */
const workingMbMax = 250
const launcher = join(import.meta.dirname, '..', '..', 'bin', 'skein.ts')

export async function garbage({ trials, flood = 1_000, isKept = false, tell }: GarbageOptions): Promise<Summary> {
  const flock = new Flock({ flows: [join(import.meta.dirname, 'flows', 'orders.ts')] })
  const wrong: string[] = []
  const judge = (peer: ChaosPeer, volley: Volley): void => {
    const { attack, results, lines } = volley
    const strange = results.find(each => !attack.expects.test(each))
    if (strange !== undefined) wrong.push(`${attack.name}: ${strange}`)
    if (lines.length !== 1)
      wrong.push(`${attack.name}: ${lines.length} lines at ${peer.name} for ${results.length} times`)
    for (const line of lines)
      if (line.code !== attack.code || !line.door || !line.reason || !line.remedy)
        wrong.push(`${attack.name}: ${JSON.stringify(line)}`)
    tell(`  ${attack.name.padEnd(36)} ${String(results[0]).slice(0, 30).padEnd(32)}${lines[0]?.reason ?? 'no line'}`)
  }
  try {
    await flock.start()
    const peer = flock.peer(0)
    const others = Promise.all([offLoopback(flock), withToken(flock)])
    for (const volley of await fromPorts(peer)) judge(peer, volley)
    wrong.push(...(await others).flat())
    for (const attack of keyedAttacks) judge(peer, await withKeys(peer, attack))
    const startMb = await settledMb(peer)
    for (const volley of await floods(peer, 0, flood)) judge(peer, volley)
    const beforeMb = await settledMb(peer)
    for (let trial = 1; trial <= trials; trial++)
      for (const volley of await floods(peer, trial, flood)) judge(peer, volley)
    const growthMb = (await settledMb(peer)) - beforeMb
    if (growthMb > growthMbMax) wrong.push(`resident set grew by ${growthMb} MB`)
    if (beforeMb - startMb > workingMbMax)
      wrong.push(`resident set grew by ${beforeMb - startMb} MB at the first flood`)
    await flock.safe()
    const write = await ask(peer.http, 'PUT', '/v1/maps/m/k', 'after it all', { 'content-type': 'text/plain' })
    if (write.status !== 200) wrong.push(`a write after it all: ${write.status}`)
    const complaints = flock.complaints()
    return {
      trial: 'garbage',
      isPassed: wrong.length === 0 && complaints.length === 0,
      figures: {
        attacks: portAttacks.length + keyedAttacks.length,
        'connections of each flood': flood,
        'resident set before, MB': startMb,
        'after the first floods, MB': beforeMb,
        'growth with more of them, MB': growthMb,
      },
      problems: [...new Set([...wrong, ...complaints])],
      folder: flock.folder,
    }
  } finally {
    await flock.end(isKept)
  }
}

interface Volley {
  readonly attack: Attack
  readonly results: readonly string[]
  /** What the peer logged about it. */
  readonly lines: readonly LogLine[]
}

/** All at once, each from an address of its own. */
async function fromPorts(peer: ChaosPeer): Promise<readonly Volley[]> {
  const shot = portAttacks.map(async (attack, at) => {
    const from = `127.1.0.${at + 1}`
    return { attack, from, results: await together(attack.times, () => attack.run(peer, from)) }
  })
  const shots = await Promise.all(shot)
  await pause(100)
  return shots.map(({ from, ...rest }) => ({ ...rest, lines: refusalsOf(peer, 0).filter(isFrom(from)) }))
}

/** One after the other: all come from one address. */
async function withKeys(peer: ChaosPeer, attack: Attack): Promise<Volley> {
  const since = peer.log().length
  const results = await together(attack.times, () => attack.run(peer, '127.0.0.1'))
  await pause(100)
  return { attack, results, lines: refusalsOf(peer, since).filter(({ code }) => code === attack.code) }
}

async function floods(peer: ChaosPeer, trial: number, count: number): Promise<readonly Volley[]> {
  const volleys: Volley[] = []
  for (const [at, attack] of portAttacks.entries()) {
    if (!attack.isFlood) continue
    const from = `127.2.${trial}.${at + 1}`
    const results: string[] = []
    while (results.length < count)
      results.push(...(await together(Math.min(floodAtOnce, count - results.length), () => attack.run(peer, from))))
    await pause(100)
    volleys.push({ attack, results, lines: refusalsOf(peer, 0).filter(isFrom(from)) })
  }
  return volleys
}

async function together(times: number, run: () => Promise<string>): Promise<string[]> {
  return await Promise.all(Array.from({ length: times }, run))
}

/** The count that follows a minute later bears no port. */
function isFrom(address: string): (line: LogLine) => boolean {
  return ({ from = '' }) => from.startsWith(`${address}:`)
}

function refusalsOf(peer: ChaosPeer, since: number): readonly LogLine[] {
  return peer
    .log()
    .slice(since)
    .filter(({ msg = '', more }) => msg.endsWith('.refused') && more === undefined)
}

/** Resident set once it has stopped shrinking. */
async function settledMb(peer: ChaosPeer): Promise<number> {
  for (let beforeMb = Infinity; ;) {
    await pause(400)
    const nowMb = peer.residentMb()
    if (nowMb >= beforeMb) return nowMb
    beforeMb = nowMb
  }
}

/** Doors that others could reach: refused at the start without a token, in one line that says what to do. */
async function offLoopback(flock: Flock): Promise<readonly string[]> {
  const { child, said } = lonePeer(flock, ['--http', '0.0.0.0:0'])
  child.stdout.resume()
  const [code] = (await once(child, 'close')) as [number | null]
  const isOneLine = said().trim().split('\n').length === 1
  return code === 2 && isOneLine && said().includes('--access-token-file')
    ? []
    : [`doors off loopback without a token: exit ${code}, ${said().slice(0, 300)}`]
}

interface LonePeer {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** On stderr so far. */
  readonly said: () => string
}

/** A peer of no cluster but its own; killed if it lives too long. */
function lonePeer(flock: Flock, args: readonly string[]): LonePeer {
  const child = spawn(process.execPath, [launcher, 'start', '--listen', '127.0.0.1:0', ...args], {
    cwd: flock.folder,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)))
  const timer = setTimeout(() => child.kill('SIGKILL'), endedMsMax)
  child.once('exit', () => clearTimeout(timer))
  return { child, said: () => said }
}

/** With one, who does not send it is refused, and in the log once. */
async function withToken(flock: Flock): Promise<readonly string[]> {
  const file = join(flock.folder, 'token')
  writeFileSync(file, 'hush hush hush hush', { mode: 0o600 })
  const { child, said } = lonePeer(flock, ['--json', '--http', '0.0.0.0:0', '--access-token-file', file])
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    const { http } = JSON.parse(line) as { readonly http: string }
    const url = http.replace('0.0.0.0', '127.0.0.1')
    const statuses = await together(5, async () => String((await ask(url, 'GET', '/v1/cluster')).status))
    await pause(100)
    const lines = said()
      .split('\n')
      .filter(each => each.includes('"http.refused"'))
    const isRight = statuses.every(status => status === '401') && lines.length === 1
    return isRight ? [] : [`no access token: ${statuses.join()}, ${lines.length} lines: ${said().slice(0, 300)}`]
  } finally {
    child.kill('SIGKILL')
  }
}
