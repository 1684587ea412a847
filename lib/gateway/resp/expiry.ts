/** Expiries as SET, GETEX and EXPIRE take them; as t_string.c and expire.c of Redis 7.0 judge them. */
import { int64, int64Of, clamped, quotable, wordOf } from './arguments.ts'
import { ErrorReply, type Reply } from './reply.ts'
import { notInteger, RespError, syntaxError } from './refusals.ts'

export interface Expiry {
  readonly ttlMs?: number
  readonly atMs?: number
}

type Unit = 'EX' | 'PX' | 'EXAT' | 'PXAT'

/** Beyond a thousand centuries nothing is ever due, and sums stay safe integers. */
const ttlMsMax = 2n ** 51n

export interface SetOptions {
  readonly condition?: 'absent' | 'present'
  readonly keepTtl: boolean
  readonly returnPrevious: boolean
  readonly persist: boolean
  readonly expiry: readonly [unit: Unit, argument: Buffer] | undefined
}

/** The options of SET and of GETEX; throws a syntax error. */
export function setOptions(args: readonly Buffer[], command: 'set' | 'getex'): SetOptions {
  let condition: 'absent' | 'present' | undefined
  let keepTtl = false
  let returnPrevious = false
  let persist = false
  let expiry: SetOptions['expiry']
  for (let at = 0; at < args.length; at++) {
    const word = wordOf(args[at] as Buffer)
    // The same unit again is the last one's; Redis has it so.
    const isAlone = !keepTtl && !persist && (expiry === undefined || expiry[0] === word)
    const next = args[at + 1]
    if (word === 'NX' && condition !== 'present' && command === 'set') condition = 'absent'
    else if (word === 'XX' && condition !== 'absent' && command === 'set') condition = 'present'
    else if (word === 'GET' && command === 'set') returnPrevious = true
    else if (word === 'KEEPTTL' && !persist && expiry === undefined && command === 'set') keepTtl = true
    else if (word === 'PERSIST' && !keepTtl && expiry === undefined && command === 'getex') persist = true
    else if (isUnit(word) && isAlone && next !== undefined) {
      expiry = [word, next]
      at++
    } else throw new RespError(syntaxError)
  }
  return { ...(condition !== undefined && { condition }), keepTtl, returnPrevious, persist, expiry }
}

/** Throws unless it lies ahead and in 64 bits. */
export function expiryOf([unit, argument]: readonly [Unit, Buffer], command: string, wallMs: number): Expiry {
  const value = int64Of(argument)
  if (value === undefined) throw new RespError(notInteger)
  const ms = inMs(value, unit.startsWith('EX'))
  const isRelative = !unit.endsWith('AT')
  if (value <= 0n || ms === undefined || (isRelative && ms > int64.max - BigInt(Math.ceil(wallMs))))
    throw new RespError(invalidExpiry(command))
  return isRelative ? { ttlMs: Number(ms > ttlMsMax ? ttlMsMax : ms) } : { atMs: clamped(ms) }
}

/** EXPIRE and its kin: what lies behind is allowed, and deletes. */
export function newExpiry(argument: Buffer, unit: Unit, command: string, wallMs: number): Expiry {
  const value = int64Of(argument)
  if (value === undefined) throw new RespError(notInteger)
  const isRelative = !unit.endsWith('AT')
  const ms = inMs(value, unit.startsWith('EX'))
  if (ms === undefined || (isRelative && ms > int64.max - BigInt(Math.ceil(wallMs))))
    throw new RespError(invalidExpiry(command))
  if (!isRelative) return { atMs: clamped(ms) }
  return { ttlMs: Number(ms > ttlMsMax ? ttlMsMax : ms < -ttlMsMax ? -ttlMsMax : ms) }
}

export type ExpireCondition = 'NX' | 'XX' | 'GT' | 'LT' | 'XXLT'

/** NX, XX, GT, LT after EXPIRE. XX adds nothing to GT, which no key without expiry passes. */
export function expireCondition(args: readonly Buffer[]): ExpireCondition | undefined {
  const words = new Set<string>()
  for (const argument of args) {
    const word = wordOf(argument)
    if (!['NX', 'XX', 'GT', 'LT'].includes(word)) throw new RespError(`ERR Unsupported option ${quotable(argument)}`)
    words.add(word)
  }
  if (words.has('NX') && words.size > 1)
    throw new RespError('ERR NX and XX, GT or LT options at the same time are not compatible')
  if (words.has('GT') && words.has('LT'))
    throw new RespError('ERR GT and LT options at the same time are not compatible')
  if (words.has('GT')) return 'GT'
  if (words.has('LT')) return words.has('XX') ? 'XXLT' : 'LT'
  return words.has('NX') ? 'NX' : words.has('XX') ? 'XX' : undefined
}

/** TTL of what PTTL says: -1 and -2 as they are, else rounded to seconds. */
export function secondsOf(remainingMs: number): Reply {
  return remainingMs < 0 ? remainingMs : Math.floor((remainingMs + 500) / 1_000)
}

function inMs(value: bigint, isSeconds: boolean): bigint | undefined {
  const ms = isSeconds ? value * 1_000n : value
  return ms > int64.max || ms < int64.min ? undefined : ms
}

function isUnit(word: string): word is Unit {
  return word === 'EX' || word === 'PX' || word === 'EXAT' || word === 'PXAT'
}

function invalidExpiry(command: string): ErrorReply {
  return new ErrorReply(`ERR invalid expire time in '${command}' command`)
}
