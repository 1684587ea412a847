/**
 * Random clients that wait for lists, and one that pushes, pops and deletes: who is served with what, once all is quiet.
 * Quiet means that everybody who waits waits for lists that are not there. How soon that is differs: a redis-server
 * serves within the push, a member of a cluster soon after it.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Prng } from '../../lib/base/prng.ts'
import { bytesOf } from './resp-random.ts'
import { Reader } from './resp-transcript.ts'

const keys = ['a', 'b', 'c']
const waiterCount = 4
const stepCount = 30

/** What is recorded of a redis-server, and played again. */
export const waitingSeeds: readonly number[] = Array.from({ length: 20 }, (_, seed) => seed)

interface Waiter {
  readonly socket: Socket
  /** What it waits for; empty while it does not. */
  keys: readonly string[]
  heard: string
}

/** After each step: the reply of the command, if it was one, what each waiter was told, and what the lists hold. */
export async function waitingOf(port: number, seed: number): Promise<readonly string[]> {
  const prng = new Prng(seed)
  const reader = new Reader(await connected(port))
  const ask = (...words: readonly string[]): Promise<string> => reader.exchange(bytesOf({ words, isInline: false }))
  const waiters: Waiter[] = []
  for (let at = 0; at < waiterCount; at++) waiters.push(await waiterAt(port))
  await ask('FLUSHALL')
  const out: string[] = []
  for (let step = 0; step < stepCount; step++) {
    const words = drawn(prng, step)
    const waiter = waiters[prng.int(0, waiterCount - 1)] as Waiter
    let reply = ''
    if (!words[0]?.startsWith('B')) reply = await ask(...words)
    else if (waiter.keys.length === 0) {
      waiter.keys = words.slice(1, -1)
      waiter.socket.write(bytesOf({ words, isInline: false }))
    }
    while (!(await isQuiet(waiters, ask))) continue
    const lists: string[] = []
    for (const key of keys) lists.push((await ask('TYPE', key)) + (await ask('LRANGE', key, '0', '-1')))
    out.push([words.join(' '), reply, ...waiters.map(({ heard }) => heard), ...lists].join('|'))
    for (const each of waiters) if (each.heard !== '') Object.assign(each, { keys: [], heard: '' })
  }
  for (const { socket } of waiters) socket.destroy()
  reader.destroy()
  return out
}

function drawn(prng: Prng, step: number): readonly string[] {
  const key = (): string => prng.pick(keys) as string
  const several = (most: number, draw: (at: number) => string): readonly string[] =>
    Array.from({ length: prng.int(1, most) }, (_, at) => draw(at))
  if (prng.chance(0.45)) return [prng.pick(['BLPOP', 'BRPOP']) as string, ...several(3, key), '0']
  if (prng.chance(0.7)) return [prng.pick(['LPUSH', 'RPUSH']) as string, key(), ...several(4, at => `${step}.${at}`)]
  const others = [
    ['SET', key(), 'x'],
    ['DEL', key()],
    ['DEL', key(), key()],
    ['LPOP', key()],
    ['LREM', key(), '0', '1.0'],
    ['EXPIRE', key(), '100'],
  ]
  return prng.pick(others) as readonly string[]
}

async function isQuiet(
  waiters: readonly Waiter[],
  ask: (...words: readonly string[]) => Promise<string>,
): Promise<boolean> {
  const waiting = waiters.filter(each => each.keys.length > 0 && each.heard === '')
  const blocked = /blocked_clients:(\d+)/.exec(await ask('INFO', 'clients'))?.[1]
  if (Number(blocked) !== waiting.length) return false
  for (const key of new Set(waiting.flatMap(each => each.keys)))
    if ((await ask('TYPE', key)).includes('list')) return false
  return true
}

async function waiterAt(port: number): Promise<Waiter> {
  const waiter: Waiter = { socket: await connected(port), keys: [], heard: '' }
  waiter.socket.on('data', (chunk: Buffer) => (waiter.heard += chunk.toString('latin1')))
  return waiter
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
