/** Commands on strings. What each answers is what redis-server 7.0 answers: t_string.c. */
import { WrongTypeError } from '../../base/errors.ts'
import type { Plain } from '../../base/shape.ts'
import type { KeyspaceOperation } from '../../structures/keyspace-operations.ts'
import { integer, int64, keyOf, valueOf } from './arguments.ts'
import type { Call, Command } from './command.ts'
import { expiryOf, setOptions, type Expiry } from './expiry.ts'
import { ask, run, runAll } from './keyspace.ts'
import { RespError, wrongArity } from './refusals.ts'
import { Integer, ok, type Reply } from './reply.ts'

const oneKey = [1, 1, 1] as const
const group = 'string'

export const stringCommands: readonly Command[] = [
  read('get', 2, 'Get the value of a key', async call =>
    value(await ask(call.realm.grid, { kind: 'keyspace.get', key: keyAt(call, 1) })),
  ),
  read(
    'strlen',
    2,
    'Get the length of the value stored in a key',
    async call => (await ask(call.realm.grid, { kind: 'keyspace.length', key: keyAt(call, 1) })) as number,
  ),
  read('mget', -2, 'Get the values of all the given keys', mget, [1, -1, 1]),
  { ...write('set', -3, 'Set the string value of a key', set), together: { accepts: isPlainSet, run: setLast } },
  write('setnx', 3, 'Set the value of a key, only if the key does not exist', async call => {
    const [isSet] = await stored(call, 2, { condition: 'absent' })
    return isSet ? 1 : 0
  }),
  write('setex', 4, 'Set the value and expiration of a key', call => setWithExpiry(call, 'EX')),
  write('psetex', 4, 'Set the value and expiration in milliseconds of a key', call => setWithExpiry(call, 'PX')),
  write('getset', 3, 'Set the string value of a key and return its old value', async call =>
    value((await stored(call, 2, { returnPrevious: true }))[1]),
  ),
  write('getdel', 2, 'Get the value of a key and delete the key', async call =>
    value(await run(call.realm.grid, { kind: 'keyspace.getDelete', key: keyAt(call, 1) })),
  ),
  write('getex', -2, 'Get the value of a key and optionally set its expiration', getex),
  write('mset', -3, 'Set multiple keys to multiple values', mset, [1, -1, 2]),
  counting('incr', 'Increment the integer value of a key by one', 1n),
  counting('decr', 'Decrement the integer value of a key by one', -1n),
  write('incrby', 3, 'Increment the integer value of a key by the given amount', call =>
    increment(call, integer(at(call, 2))),
  ),
  write('decrby', 3, 'Decrement the integer value of a key by the given number', call => {
    const by = integer(at(call, 2))
    if (by === int64.min) throw new RespError('ERR decrement would overflow')
    return increment(call, -by)
  }),
  write(
    'append',
    3,
    'Append a value to a key',
    async call =>
      (await run(call.realm.grid, {
        kind: 'keyspace.append',
        key: keyAt(call, 1),
        value: valueOf(at(call, 2)),
      })) as number,
  ),
]

type SetOperation = Extract<KeyspaceOperation, { readonly kind: 'keyspace.set' }>

async function set(call: Call): Promise<Reply> {
  const options = setOptions(call.args.slice(3), 'set')
  const { condition, keepTtl, returnPrevious } = options
  const [isSet, previous] = await stored(call, 2, {
    ...(condition !== undefined && { condition }),
    ...(keepTtl && { keepTtl }),
    ...(returnPrevious && { returnPrevious }),
    ...(options.expiry !== undefined && expiryOf(options.expiry, 'set', wallMs(call))),
  })
  if (returnPrevious) return value(previous)
  return isSet ? ok : null
}

function isPlainSet(args: readonly Buffer[]): boolean {
  return args.length === 3
}

/** Of values set one after the other the last stays. */
async function setLast(calls: readonly Call[]): Promise<readonly Reply[]> {
  await stored(calls.at(-1) as Call, 2, {})
  return calls.map(() => ok)
}

async function setWithExpiry(call: Call, unit: 'EX' | 'PX'): Promise<Reply> {
  const command = unit === 'EX' ? 'setex' : 'psetex'
  await stored(call, 3, expiryOf([unit, at(call, 2)], command, wallMs(call)))
  return ok
}

async function stored(
  call: Call,
  valueAt: number,
  options: Omit<SetOperation, 'kind' | 'key' | 'value'>,
): Promise<readonly [isSet: boolean, previous: Plain]> {
  const operation: SetOperation = {
    kind: 'keyspace.set',
    key: keyAt(call, 1),
    value: valueOf(at(call, valueAt)),
    ...options,
  }
  return (await run(call.realm.grid, operation)) as readonly [boolean, Plain]
}

async function getex(call: Call): Promise<Reply> {
  const { grid } = call.realm
  const key = keyAt(call, 1)
  const { expiry, persist } = setOptions(call.args.slice(2), 'getex')
  if (expiry === undefined && !persist) return value(await ask(grid, { kind: 'keyspace.get', key }))
  let when: Expiry = {}
  try {
    if (expiry !== undefined) when = expiryOf(expiry, 'getex', wallMs(call))
  } catch (error) {
    // Redis looks for the key first: what is not there, or no string, is told before.
    if ((await ask(grid, { kind: 'keyspace.get', key })) === null) return null
    throw error
  }
  return value(await run(grid, { kind: 'keyspace.getExpire', key, ...(persist && { persist }), ...when }))
}

async function mget({ realm, args }: Call): Promise<Reply> {
  return await Promise.all(
    args.slice(1).map(async argument => {
      try {
        return value(await ask(realm.grid, { kind: 'keyspace.get', key: keyOf(argument) }))
      } catch (error) {
        if (error instanceof WrongTypeError) return null
        throw error
      }
    }),
  )
}

async function mset({ realm, args }: Call): Promise<Reply> {
  if (args.length % 2 === 0) throw new RespError(wrongArity('mset'))
  // Of a key given twice the last value stays.
  const values = new Map<string, Uint8Array>()
  for (let at = 1; at < args.length; at += 2) values.set(keyOf(args[at] as Buffer), valueOf(args[at + 1] as Buffer))
  await runAll(
    realm.grid,
    [...values].map(([key, own]) => ({ kind: 'keyspace.set', key, value: own })),
  )
  return ok
}

async function increment(call: Call, by: bigint): Promise<Reply> {
  const operation = { kind: 'keyspace.increment', key: keyAt(call, 1), by: String(by) } as const
  return new Integer((await run(call.realm.grid, operation)) as string)
}

/** Each of several answers the value after itself. None of them overflows if the last does not. */
function counting(name: string, summary: string, by: bigint): Command {
  const run = async (calls: readonly Call[]): Promise<readonly Reply[]> => {
    const last = (await increment(calls[0] as Call, by * BigInt(calls.length))) as Integer
    const end = BigInt(last.text)
    return calls.map((_, at) => new Integer(String(end - by * BigInt(calls.length - 1 - at))))
  }
  const body: Command['run'] = call => increment(call, by)
  return { ...write(name, 2, summary, body), together: { accepts: () => true, run } }
}

function read(
  name: string,
  arity: number,
  summary: string,
  body: Command['run'],
  keys: Command['keys'] = oneKey,
): Command {
  return { name, arity, summary, group, keys, run: body }
}

function write(
  name: string,
  arity: number,
  summary: string,
  body: Command['run'],
  keys: Command['keys'] = oneKey,
): Command {
  return { name, arity, summary, group, keys, isWrite: true, run: body }
}

function at({ args }: Call, position: number): Buffer {
  return args[position] as Buffer
}

function keyAt(call: Call, position: number): string {
  return keyOf(at(call, position))
}

function value(found: Plain): Uint8Array | null {
  return found as Uint8Array | null
}

function wallMs({ realm }: Call): number {
  return realm.grid.now().wallMs
}
