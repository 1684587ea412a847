/** A RESP door in miniature, for one partition: a command line in, the reply as Redis sends it out. */
import type { Plain } from '../../../lib/base/shape.ts'
import type { Operation, Query } from '../../../lib/replication/command.ts'
import { bytesOf, readable, type Tape } from './tape.ts'

type Print = (result: Plain) => string
type Line = { readonly subject: Operation | Query; readonly print: Print }

const integer: Print = result => `:${String(result)}`
const bulk: Print = result => (result === null ? '$nil' : `$${String(readable(result))}`)
const bulks: Print = result =>
  result === null ? '*nil' : `*${(result as readonly Plain[]).map(item => bulk(item)).join(' ')}`

export function redisLine(tape: Tape, line: string): string {
  const { subject, print } = parse(line.split(' '))
  const isQuery = /\.(?:get|exists|type|ttl|length|listLength|range|index)$/.test(subject.kind)
  if (!isQuery) {
    const refusal = tape.machine.check(subject, { ...context, atMs: tape.atMs })
    return refusal === undefined ? print(tape.run(subject as never)) : `-${refusal.message}`
  }
  for (;;) {
    const answer = tape.machine.query(subject, tape.atMs)
    if (answer.kind === 'found') return print(answer.result)
    if (answer.kind === 'refused') return `-${answer.refusal.message}`
    tape.maintain(answer.operations)
  }
}

const context = { epoch: 1, index: 1, ordinal: 0, session: 'goose#1', monotonicMs: 0 }

function parse([name = '', key = '', ...args]: readonly string[]): Line {
  const [first = '', second = ''] = args
  const kind = (verb: string, more: object = {}): Operation => ({ kind: `keyspace.${verb}`, key, ...more }) as Operation
  switch (name) {
    case 'SET': {
      const print: Print = result => {
        const [isSet, previous] = result as readonly [boolean, Plain]
        if (args.includes('GET')) return bulk(previous)
        return isSet ? '+OK' : '$nil'
      }
      const flags = { keepTtl: args.includes('KEEPTTL'), returnPrevious: args.includes('GET') }
      const condition = args.includes('NX') ? 'absent' : args.includes('XX') ? 'present' : undefined
      return { subject: kind('set', { value: bytesOf(first), condition, ...flags, ...expiry(args) }), print }
    }
    case 'SETNX':
      return {
        subject: kind('set', { value: bytesOf(first), condition: 'absent' }),
        print: result => ((result as readonly Plain[])[0] === true ? ':1' : ':0'),
      }
    case 'GETDEL':
      return { subject: kind('getDelete'), print: bulk }
    case 'GETEX':
      return { subject: kind('getExpire', { persist: args.includes('PERSIST'), ...expiry(args) }), print: bulk }
    case 'DEL':
      return { subject: kind('delete'), print: integer }
    case 'EXPIRE':
    case 'PEXPIRE': {
      const ttlMs = Number(first) * (name === 'EXPIRE' ? 1_000 : 1)
      return { subject: kind('expire', { ttlMs, condition: args[1] }), print: integer }
    }
    case 'PERSIST':
      return { subject: kind('persist'), print: integer }
    case 'INCR':
    case 'DECR':
      return { subject: kind('increment', { by: name === 'INCR' ? '1' : '-1' }), print: integer }
    case 'INCRBY':
      return { subject: kind('increment', { by: first }), print: integer }
    case 'APPEND':
      return { subject: kind('append', { value: bytesOf(first) }), print: integer }
    case 'LPUSH':
    case 'RPUSH':
    case 'LPUSHX':
    case 'RPUSHX': {
      const values = args.map(value => bytesOf(value))
      return {
        subject: kind('push', { side: name.startsWith('L') ? 'left' : 'right', values, ifPresent: name.endsWith('X') }),
        print: integer,
      }
    }
    case 'LPOP':
    case 'RPOP': {
      const count = first === '' ? undefined : Number(first)
      const print: Print = result => bulk(result === null ? null : ((result as readonly Plain[])[0] ?? null))
      const side = name === 'LPOP' ? 'left' : 'right'
      return { subject: kind('pop', { side, count }), print: count === undefined ? print : bulks }
    }
    case 'LREM':
      return { subject: kind('remove', { count: Number(first), value: bytesOf(second) }), print: integer }
    case 'GET':
      return { subject: kind('get'), print: bulk }
    case 'EXISTS':
      return { subject: kind('exists'), print: integer }
    case 'TYPE':
      return { subject: kind('type'), print: result => `+${String(result)}` }
    case 'TTL':
      return {
        subject: kind('ttl'),
        print: ms => integer(Number(ms) < 0 ? ms : Math.floor((Number(ms) + 500) / 1_000)),
      }
    case 'PTTL':
      return { subject: kind('ttl'), print: integer }
    case 'STRLEN':
      return { subject: kind('length'), print: integer }
    case 'LLEN':
      return { subject: kind('listLength'), print: integer }
    case 'LRANGE':
      return { subject: kind('range', { start: Number(first), stop: Number(second) }), print: bulks }
    case 'LINDEX':
      return { subject: kind('index', { at: Number(first) }), print: bulk }
    default:
      throw new Error(`no such command: ${name}`)
  }
}

function expiry(args: readonly string[]): object {
  const after = (word: string): number | undefined => {
    const at = args.indexOf(word)
    return at < 0 ? undefined : Number(args[at + 1])
  }
  const inSeconds = (value: number | undefined): number | undefined => (value === undefined ? undefined : value * 1_000)
  return { ttlMs: after('PX') ?? inSeconds(after('EX')), atMs: after('PXAT') ?? inSeconds(after('EXAT')) }
}
