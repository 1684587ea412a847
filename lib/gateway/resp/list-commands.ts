/** Commands on lists: t_list.c of Redis 7.0. BLPOP and BRPOP wait in blocked-pops.ts. */
import type { Plain } from '../../base/shape.ts'
import { clamped, int64Of, integer, keyBytes, keyOf, realOf, valueOf } from './arguments.ts'
import type { Side } from './blocked-pops.ts'
import type { Call, Command } from './command.ts'
import { ask, run } from './keyspace.ts'
import { notInteger, RespError, wrongArity } from './refusals.ts'
import { nullArray, type ErrorReply, type Reply } from './reply.ts'

const keys = [1, 1, 1] as const
const group = 'list'
/** A pop's count beyond this is as good as all. */
const countMax = 2 ** 31

export const listCommands: readonly Command[] = [
  pushing('lpush', 'Prepend one or multiple elements to a list', 'left'),
  pushing('rpush', 'Append one or multiple elements to a list', 'right'),
  write('lpushx', -3, 'Prepend an element to a list, only if the list exists', call => push(call, 'left', true)),
  write('rpushx', -3, 'Append an element to a list, only if the list exists', call => push(call, 'right', true)),
  popping('lpop', 'Remove and get the first elements in a list', 'left'),
  popping('rpop', 'Remove and get the last elements in a list', 'right'),
  write('lrem', 4, 'Remove elements from a list', remove),
  {
    name: 'llen',
    arity: 2,
    summary: 'Get the length of a list',
    group,
    keys,
    run: async call => (await ask(call.realm.grid, { kind: 'keyspace.listLength', key: keyAt(call) })) as number,
  },
  { name: 'lrange', arity: 4, summary: 'Get a range of elements from a list', group, keys, run: range },
  { name: 'lindex', arity: 3, summary: 'Get an element from a list by its index', group, keys, run: index },
  blocking('blpop', 'Remove and get the first element in a list, or block until one is available', 'left'),
  blocking('brpop', 'Remove and get the last element in a list, or block until one is available', 'right'),
]

function pushing(name: string, summary: string, side: Side): Command {
  const pushes = async (calls: readonly Call[]): Promise<readonly Reply[]> => {
    const [{ realm, args }] = calls as readonly [Call]
    const key = keyOf(args[1] as Buffer)
    const values = calls.flatMap(call => call.args.slice(2).map(valueOf))
    let length = ((await run(realm.grid, { kind: 'keyspace.push', key, side, values })) as number) - values.length
    realm.blockedPops.pushed(key)
    return calls.map(call => (length += call.args.length - 2))
  }
  return { ...write(name, -3, summary, call => push(call, side)), together: { accepts: () => true, run: pushes } }
}

function popping(name: string, summary: string, side: Side): Command {
  const pops = async (calls: readonly Call[]): Promise<readonly Reply[]> => {
    const [first] = calls as readonly [Call]
    const operation = { kind: 'keyspace.pop', key: keyAt(first), side, count: calls.length } as const
    const popped = ((await run(first.realm.grid, operation)) ?? []) as readonly Uint8Array[]
    return calls.map((_, at) => popped[at] ?? null)
  }
  const body: Command['run'] = call => pop(call, side, name)
  return { ...write(name, -2, summary, body), together: { accepts: args => args.length === 2, run: pops } }
}

async function push(call: Call, side: Side, ifPresent = false): Promise<Reply> {
  const { realm, args } = call
  const key = keyAt(call)
  const values = args.slice(2).map(valueOf)
  const length = await run(realm.grid, { kind: 'keyspace.push', key, side, values, ...(ifPresent && { ifPresent }) })
  realm.blockedPops.pushed(key)
  return length as number
}

async function pop(call: Call, side: Side, name: string): Promise<Reply> {
  const { realm, args } = call
  if (args.length > 3) throw new RespError(wrongArity(name))
  const key = keyAt(call)
  const given = args[2]
  const count = given === undefined ? undefined : popCount(given)
  if (count === 0) return await emptyUnlessAbsent(call, key)
  const popped = (await run(realm.grid, { kind: 'keyspace.pop', key, side, ...(count !== undefined && { count }) })) as
    readonly Uint8Array[] | null
  if (count === undefined) return popped?.[0] ?? null
  return popped ?? nullArray
}

function popCount(argument: Buffer): number {
  const count = int64Of(argument)
  if (count === undefined || count < 0n) throw new RespError('ERR value is out of range, must be positive')
  return Math.min(clamped(count), countMax)
}

async function emptyUnlessAbsent({ realm }: Call, key: string): Promise<Reply> {
  return (await ask(realm.grid, { kind: 'keyspace.listLength', key })) === 0 ? nullArray : []
}

async function remove(call: Call): Promise<Reply> {
  const { realm, args } = call
  const count = clamped(integer(args[2] as Buffer))
  const value = valueOf(args[3] as Buffer)
  return (await run(realm.grid, { kind: 'keyspace.remove', key: keyAt(call), count, value })) as number
}

async function range(call: Call): Promise<Reply> {
  const [start, stop] = call.args.slice(2).map(argument => clamped(integer(argument))) as [number, number]
  return (await ask(call.realm.grid, {
    kind: 'keyspace.range',
    key: keyAt(call),
    start,
    stop,
  })) as readonly Uint8Array[]
}

async function index(call: Call): Promise<Reply> {
  const { realm, args } = call
  const key = keyAt(call)
  const position = int64Of(args[2] as Buffer)
  if (position === undefined) return await errorUnlessAbsent(call, key, notInteger)
  return (await ask(realm.grid, { kind: 'keyspace.index', key, at: clamped(position) })) as Plain as Uint8Array | null
}

/** Redis looks for the list before it reads the index. */
async function errorUnlessAbsent({ realm }: Call, key: string, error: ErrorReply): Promise<Reply> {
  return (await ask(realm.grid, { kind: 'keyspace.listLength', key })) === 0 ? null : error
}

function blocking(name: string, summary: string, side: Side): Command {
  return {
    name,
    arity: -3,
    summary,
    group,
    keys: [1, -2, 1],
    isWrite: true,
    isAlone: true,
    run: async ({ realm, client, args }) => {
      const timeoutMs = timeoutMsOf(args.at(-1) as Buffer)
      const waited = args.slice(1, -1).map(keyOf)
      const popped = await realm.blockedPops.pop(waited, side, timeoutMs, client)
      return popped === undefined ? nullArray : [keyBytes(popped.key), popped.value]
    },
  }
}

/** Seconds, perhaps with a fraction; 0 is for ever. */
function timeoutMsOf(argument: Buffer): number {
  const seconds = realOf(argument)
  if (Number.isNaN(seconds)) throw new RespError('ERR timeout is not a float or out of range')
  const ms = seconds * 1_000
  // What overflows 64 bits is negative in Redis.
  if (ms < 0 || ms >= 2 ** 63) throw new RespError('ERR timeout is negative')
  if (ms > Number.MAX_SAFE_INTEGER) throw new RespError('ERR timeout is out of range')
  return Math.ceil(ms)
}

function write(name: string, arity: number, summary: string, body: Command['run']): Command {
  return { name, arity, summary, group, keys, isWrite: true, run: body }
}

function keyAt({ args }: Call): string {
  return keyOf(args[1] as Buffer)
}
