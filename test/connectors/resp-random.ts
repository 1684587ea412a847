/**
 * Random sequences of commands for a RESP door and a redis-server: right and wrong ones, on a handful of keys of changing
 * types, with numbers at the edges, as arrays and inline, in pipelines, in both versions of the protocol. Left out is what
 * may differ: other databases, times to the millisecond, the order of SCAN, and what a server tells about itself.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Prng } from '../../lib/base/prng.ts'
import { Reader } from './resp-transcript.ts'

export interface RandomScript {
  /** For people. */
  readonly seed: number
  /** What is sent at once, one after the other. */
  readonly pipelines: readonly (readonly RandomCommand[])[]
}

export interface RandomCommand {
  /** Latin1. */
  readonly words: readonly string[]
  readonly isInline: boolean
}

type Draw = (below: number) => number
type Words = (draw: Draw) => readonly string[]

const keys = ['a', 'b', 'c', 'd', 'e', '', '\xff\x00\r\n', 'k:{tag}']
const values = ['', 'x', 'y', 'z', '0', '7', '-1', '9223372036854775807', ' 1', '1.5', '\x00\xff\r\n', 'w'.repeat(300)]
const edges = [
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '-9223372036854775809',
  '2147483648',
  '4294967296',
  '99999999999999999999',
  '-0',
  '+1',
  '01',
  ' 1',
  '1 ',
  '',
  'abc',
  '1.0',
  '1e3',
  '0x10',
  '1\x00',
]
/** Seconds to wait for a list. */
const waits = ['0.01', '.01', '1e-3', '+0.01', '00.01', '0x0.01', '0x.01p0', '1e-400']
/** None of them is waited for. */
const timeouts = [
  '-1',
  '-0.5',
  '-1e400',
  'abc',
  '',
  ' 1',
  '1 ',
  '1.x',
  '1e',
  '0x',
  '0x1g',
  '1\x00',
  '.',
  'nan',
  '-nan',
  'inf',
  '-inf',

  'infinity',
  '-infinity',
  '1e400',
  '9223372036854775807',
  '99999999999999999999',
  '-9223372036854775808',
  '-1e300',
  '1e300',
]
const units = ['EX', 'PX', 'EXAT', 'PXAT', 'ex', 'pXaT']

const one = <T>(draw: Draw, of: readonly T[]): T => of[draw(of.length)] as T
const key: Words = draw => [one(draw, keys)]
const value: Words = draw => [one(draw, values)]
const index: Words = draw => [draw(5) === 0 ? one(draw, edges) : String(draw(12) - 6)]
const several =
  (each: Words, most: number): Words =>
  draw =>
    Array.from({ length: 1 + draw(most) }, () => each(draw)).flat()
const perhaps =
  (each: Words): Words =>
  draw =>
    draw(2) === 0 ? [] : each(draw)
const words =
  (...texts: readonly string[]): Words =>
  () =>
    texts
const oneOf =
  (...texts: readonly string[]): Words =>
  draw => [one(draw, texts)]

/** Far enough ahead, or behind: nothing ends while it is compared. */
const moment = (unit: string, draw: Draw): string => {
  if (draw(6) === 0) return one(draw, [...edges, '0', '-1'])
  // no two alike, or which of them is later goes by the millisecond
  const ahead = 10_000 + draw(2 ** 22)
  const seconds = unit.toUpperCase().endsWith('AT') ? 4_000_000_000 + ahead : ahead
  return String(unit.toUpperCase().startsWith('P') ? seconds * 1_000 : seconds)
}
const expiry: Words = draw => {
  const unit = one(draw, units)
  return draw(12) === 0 ? [unit] : [unit, moment(unit, draw)]
}
const setOption: Words = draw =>
  draw(3) === 0 ? expiry(draw) : [one(draw, ['NX', 'XX', 'GET', 'KEEPTTL', 'get', 'PERSIST', 'FOO', 'nx'])]
const getexOption: Words = draw => (draw(2) === 0 ? expiry(draw) : [one(draw, ['PERSIST', 'persist', 'KEEPTTL', 'NX'])])
const options =
  (option: Words, most: number): Words =>
  draw =>
    Array.from({ length: draw(most + 1) }, () => option(draw)).flat()
const conditions = options(oneOf('NX', 'XX', 'GT', 'LT', 'gt', 'FOO', ''), 2)
const timeout: Words = draw => [draw(4) === 0 ? one(draw, waits) : one(draw, timeouts)]

const commands: readonly (readonly [name: string, ...parts: Words[]])[] = [
  ['PING', perhaps(value)],
  ['ECHO', value],
  ['SELECT', oneOf('0', '-1', '16', 'abc', '99999999999', '00')],
  ['AUTH', several(oneOf('default', 'x', ''), 3)],
  ['HELLO', perhaps(oneOf('2', '3', '3', '4', 'x', '')), options(oneOf('AUTH', 'SETNAME', 'x', 'default'), 3)],
  [
    'CLIENT',
    oneOf('GETNAME', 'SETNAME', 'getname', 'NO-EVICT', 'FOO', ''),
    options(oneOf('on', 'off', 'me', 'a b'), 2),
  ],
  ['CONFIG', oneOf('GET', 'get', 'FOO'), options(oneOf('no-such-*', 'nothing'), 2)],
  ['COMMAND', oneOf('FOO', 'fO\r\nO'), perhaps(value)],
  ['GET', key],
  ['SET', key, value, options(setOption, 4)],
  ['SETNX', key, value],
  ['SETEX', key, draw => [moment('EX', draw)], value],
  ['PSETEX', key, draw => [moment('PX', draw)], value],
  ['GETSET', key, value],
  ['GETDEL', key],
  ['GETEX', key, options(getexOption, 2)],
  ['MGET', several(key, 5)],
  ['MSET', several(draw => [...key(draw), ...value(draw)], 4)],
  ['DEL', several(key, 3)],
  ['UNLINK', several(key, 3)],
  ['EXISTS', several(key, 4)],
  ['EXPIRE', key, draw => [moment('EX', draw)], conditions],
  ['PEXPIRE', key, draw => [moment('PX', draw)], conditions],
  ['EXPIREAT', key, draw => [moment('EXAT', draw)], conditions],
  ['PEXPIREAT', key, draw => [moment('PXAT', draw)], conditions],
  ['TTL', key],
  ['PERSIST', key],
  ['TYPE', key],
  ['INCR', key],
  ['DECR', key],
  ['INCRBY', key, index],
  ['DECRBY', key, index],
  ['APPEND', key, value],
  ['STRLEN', key],
  ['DBSIZE'],
  ['FLUSHALL', options(oneOf('SYNC', 'async', 'FOO'), 1)],
  ['LPUSH', key, several(value, 4)],
  ['RPUSH', key, several(value, 4)],
  ['LPUSHX', key, several(value, 2)],
  ['RPUSHX', key, several(value, 2)],
  ['LPOP', key, perhaps(index)],
  ['RPOP', key, perhaps(index)],
  ['LLEN', key],
  ['LRANGE', key, index, index],
  ['LINDEX', key, index],
  ['LREM', key, index, value],
  ['BLPOP', several(key, 3), timeout],
  ['BRPOP', several(key, 3), timeout],
  ['SCAN', oneOf('x', '1.5', '0 ', ' 0', '18446744073709551616'), perhaps(words('COUNT', '10'))],
  ['SCAN', oneOf('', '+0', '00', '-0', '0\x00x'), words('COUNT', '1000', 'MATCH', 'nothing')],
  ['SCAN', words('0', 'COUNT'), oneOf('0', '-1', 'abc', '')],
  ['SCAN', words('0'), oneOf('MATCH', 'FOO', 'TYPE', 'COUNT')],
  ['SCAN', words('0', 'COUNT', '1000', 'MATCH'), oneOf('nothing', '[q-z]', '[^a-zA-Z]?????')],
  ['RESET'],
  ['NOSUCH', options(value, 4)],
  ['NO\xffSUCH\x00\r\n', options(value, 4)],
  ['', options(value, 2)],
]

/** The same for the same seed. */
export function randomScript(seed: number, pipelineCount: number): RandomScript {
  const prng = new Prng(seed)
  const draw: Draw = below => prng.uint32() % below
  const favourites = Array.from({ length: 3 }, () => draw(keys.length))
  const focused: Draw = below => (below === keys.length && draw(3) > 0 ? (favourites[draw(3)] as number) : draw(below))
  const pipelines = Array.from({ length: pipelineCount }, () =>
    Array.from({ length: draw(3) === 0 ? 1 + draw(12) : 1 }, () => command(focused)),
  )
  return { seed, pipelines }
}

function command(draw: Draw): RandomCommand {
  const [name, ...parts] = one(draw, commands)
  let drawn = [name, ...parts.flatMap(part => part(draw))]
  if (draw(15) === 0) drawn = mutilated(drawn, draw)
  if (draw(4) === 0) drawn = [drawn[0]?.toLowerCase() as string, ...drawn.slice(1)]
  return { words: drawn, isInline: draw(5) === 0 }
}

/** An argument less or more, unless the rest would mean what may differ. */
function mutilated(drawn: readonly string[], draw: Draw): string[] {
  const [name] = drawn as [string]
  if (name === 'SCAN' || name === 'COMMAND') return [...drawn]
  const isLess = drawn.length > 1 && (draw(2) === 0 || name === 'BLPOP' || name === 'BRPOP')
  return isLess ? drawn.slice(0, -1) : [...drawn, ...value(draw)]
}

/**
 * What a server answers to each of the pipelines, as latin1 text, from an empty database on. What passes meanwhile is
 * taken out: a remaining time is as it was given, or `:later`, and the number of a connection is `:id`.
 */
export async function repliesOf(port: number, { pipelines }: RandomScript): Promise<readonly string[]> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const reader = new Reader(socket)
  const out: string[] = []
  await reader.exchange(bytesOf({ words: ['FLUSHALL'], isInline: false }))
  for (const pipeline of pipelines) out.push(timeless(await reader.exchange(Buffer.concat(pipeline.map(bytesOf)))))
  socket.destroy()
  return out
}

/** A few characters for all that it answers. */
export function digestOf(replies: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(replies)).digest('hex').slice(0, 16)
}

/** What is recorded of a redis-server, and played again. */
export const recordedScripts: readonly RandomScript[] = Array.from({ length: 150 }, (_, seed) => randomScript(seed, 40))

function timeless(reply: string): string {
  return reply.replace(/(?<=\$2\r\nid\r\n):\d+/g, ':id').replace(/^:(?:\d{4,7}|[12]\d{9})\r$/gm, ':later\r')
}

/** As it goes over the wire. */
export function bytesOf({ words: texts, isInline }: RandomCommand): Buffer {
  const text = isInline
    ? `${texts.map(quoted).join(' ')}\r\n`
    : `*${texts.length}\r\n${texts.map(word => `$${word.length}\r\n${word}\r\n`).join('')}`
  return Buffer.from(text, 'latin1')
}

function quoted(word: string): string {
  if (/^[a-zA-Z0-9:{}.-]+$/.test(word)) return word
  return `"${word.replace(/[^ !#-[\]-~]/g, char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`
}
