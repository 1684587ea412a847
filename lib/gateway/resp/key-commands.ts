/** Commands on keys of any type, and on all of them: db.c and expire.c of Redis 7.0. */
import type { KeyspaceOperation } from '../../structures/keyspace-operations.ts'
import type { Plain } from '../../base/shape.ts'
import { integer, keyBytes, keyOf, quotable, wordOf } from './arguments.ts'
import type { Call, Command } from './command.ts'
import { expireCondition, newExpiry, secondsOf } from './expiry.ts'
import { isMatch } from './glob.ts'
import { ask, deleteAll, run } from './keyspace.ts'
import { RespError, syntaxError } from './refusals.ts'
import { bulk, ok, type Reply } from './reply.ts'

const keys = [1, 1, 1] as const
const group = 'generic'
const scanCountDefault = 10
/** More at once would hold up others; COUNT is a hint. */
const scanCountMax = 10_000
/** Keys that one command of FLUSHALL deletes, and partitions emptied at once. */
const flushLength = 500
const flushesAtOnce = 16

export const keyCommands: readonly Command[] = [
  { name: 'del', arity: -2, summary: 'Delete a key', group, keys: [1, -1, 1], isWrite: true, run: remove },
  { name: 'unlink', arity: -2, summary: 'Delete a key', group, keys: [1, -1, 1], isWrite: true, run: remove },
  { name: 'exists', arity: -2, summary: 'Determine if a key exists', group, keys: [1, -1, 1], run: exists },
  {
    name: 'type',
    arity: 2,
    summary: 'Determine the type stored at key',
    group,
    keys,
    run: async call => (await ask(call.realm.grid, { kind: 'keyspace.type', key: keyAt(call) })) as string,
  },
  {
    name: 'ttl',
    arity: 2,
    summary: 'Get the time to live for a key in seconds',
    group,
    keys,
    run: async call => secondsOf(await remaining(call)),
  },
  { name: 'pttl', arity: 2, summary: 'Get the time to live for a key in milliseconds', group, keys, run: remaining },
  expiring('expire', "Set a key's time to live in seconds", 'EX'),
  expiring('pexpire', "Set a key's time to live in milliseconds", 'PX'),
  expiring('expireat', 'Set the expiration for a key as a UNIX timestamp', 'EXAT'),
  expiring('pexpireat', 'Set the expiration for a key as a UNIX timestamp in milliseconds', 'PXAT'),
  {
    name: 'persist',
    arity: 2,
    summary: 'Remove the expiration from a key',
    group,
    keys,
    isWrite: true,
    run: async call => (await run(call.realm.grid, { kind: 'keyspace.persist', key: keyAt(call) })) as number,
  },
  { name: 'scan', arity: -2, summary: 'Incrementally iterate the keys space', group, isAlone: true, run: scan },
  { name: 'dbsize', arity: 1, summary: 'Return the number of keys', group: 'server', isAlone: true, run: size },
  {
    name: 'flushall',
    arity: -1,
    summary: 'Remove all keys',
    group: 'server',
    isWrite: true,
    isAlone: true,
    run: flush,
  },
  { name: 'flushdb', arity: -1, summary: 'Remove all keys', group: 'server', isWrite: true, isAlone: true, run: flush },
]

async function remove({ realm, args }: Call): Promise<Reply> {
  return await deleteAll(realm.grid, [...new Set(args.slice(1).map(keyOf))])
}

async function exists({ realm, args }: Call): Promise<Reply> {
  const found = await Promise.all(
    args.slice(1).map(argument => ask(realm.grid, { kind: 'keyspace.exists', key: keyOf(argument) })),
  )
  return found.reduce<number>((sum, each) => sum + (each as number), 0)
}

async function remaining(call: Call): Promise<number> {
  return (await ask(call.realm.grid, { kind: 'keyspace.ttl', key: keyAt(call) })) as number
}

function expiring(name: string, summary: string, unit: 'EX' | 'PX' | 'EXAT' | 'PXAT'): Command {
  return {
    name,
    arity: -3,
    summary,
    group,
    keys,
    isWrite: true,
    run: async call => {
      const { realm, args } = call
      const condition = expireCondition(args.slice(3))
      const expiry = newExpiry(args[2] as Buffer, unit, name, realm.grid.now().wallMs)
      const operation = {
        kind: 'keyspace.expire',
        key: keyAt(call),
        ...(condition !== undefined && { condition }),
        ...expiry,
      } as const
      return (await run(realm.grid, operation)) as number
    },
  }
}

async function scan({ realm, args }: Call): Promise<Reply> {
  const cursor = cursorOf(args[1] as Buffer)
  const { count, pattern, type } = scanOptions(args.slice(2))
  const { next, keys: found } = await realm.scanner.scan(cursor, count)
  const matching = found.filter(
    ([key, own]) => (pattern === undefined || isMatch(pattern, key)) && (type === undefined || own === type),
  )
  return [bulk(String(next)), matching.map(([key]) => keyBytes(key))]
}

/** As `strtoul` reads it: nothing is 0, what is negative counts from the end. A place beyond the last is the end. */
function cursorOf(argument: Buffer): number {
  const text = quotable(argument)
  const isNegative = text.startsWith('-')
  if (!/^(?:[+-]?\d{1,20})?$/.test(text) || BigInt(text.replace('-', '')) >= 2n ** 64n)
    throw new RespError('ERR invalid cursor')
  return isNegative ? Number.MAX_SAFE_INTEGER : Number(text)
}

function scanOptions(args: readonly Buffer[]): { count: number; pattern?: string; type?: string } {
  let options: { count: number; pattern?: string; type?: string } = { count: scanCountDefault }
  for (let at = 0; at < args.length; at += 2) {
    const value = args[at + 1]
    if (value === undefined) throw new RespError(syntaxError)
    switch (wordOf(args[at] as Buffer)) {
      case 'COUNT': {
        const count = integer(value)
        if (count < 1n) throw new RespError(syntaxError)
        options = { ...options, count: Math.min(Number(count), scanCountMax) }
        break
      }
      case 'MATCH':
        options = { ...options, pattern: keyOf(value) }
        break
      case 'TYPE':
        options = { ...options, type: value.toString('latin1').toLowerCase() }
        break
      default:
        throw new RespError(syntaxError)
    }
  }
  return options
}

async function size({ realm }: Call): Promise<Reply> {
  const { partitions } = realm.grid
  const sizes = await eachPartition(partitions.count, partition => partitions.ask(partition, { kind: 'keyspace.size' }))
  return sizes.reduce<number>((sum, each) => sum + (each as number), 0)
}

/** Key by key: whoever writes meanwhile is not waited for, so it is no snapshot. */
async function flush({ realm, args }: Call): Promise<Reply> {
  const mode = args[1] === undefined ? 'SYNC' : wordOf(args[1])
  if (args.length > 2 || (mode !== 'SYNC' && mode !== 'ASYNC')) throw new RespError(syntaxError)
  const { partitions } = realm.grid
  await eachPartition(partitions.count, async partition => {
    let after: string | undefined
    do {
      const page = await partitions.ask(partition, { kind: 'keyspace.scan', after, max: flushLength })
      const [found, next] = page as unknown as readonly [readonly (readonly [string, string])[], string | null]
      const operations = found.map(([key]): KeyspaceOperation => ({ kind: 'keyspace.delete', key }))
      if (operations.length > 0) await partitions.run(partition, operations)
      after = next ?? undefined
    } while (after !== undefined)
    return null
  })
  return ok
}

async function eachPartition(count: number, visit: (partition: number) => Promise<Plain>): Promise<readonly Plain[]> {
  const out: Plain[] = Array.from({ length: count }, () => null)
  let next = 0
  const go = async (): Promise<void> => {
    while (next < count) {
      const partition = next++
      out[partition] = await visit(partition)
    }
  }
  await Promise.all(Array.from({ length: flushesAtOnce }, go))
  return out
}

function keyAt({ args }: Call): string {
  return keyOf(args[1] as Buffer)
}
