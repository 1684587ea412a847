import { describe, expect, test } from 'vitest'
import { redisLine } from './redis-line.ts'
import { bytesOf, Tape } from './tape.ts'

const wrongType = '-WRONGTYPE Operation against a key holding the wrong kind of value'
const notInteger = '-ERR value is not an integer or out of range'
const overflow = '-ERR increment or decrement would overflow'

/** Each row runs on an empty keyspace. A number waits so many ms. Replies were compared with Redis 7.0.15. */
const table: readonly (readonly [name: string, ...(readonly [line: string, reply: string] | number)[]])[] = [
  ['SET and GET', ['SET k v', '+OK'], ['GET k', '$v'], ['GET none', '$nil'], ['STRLEN k', ':1'], ['STRLEN none', ':0']],
  ['SET replaces a list', ['RPUSH k a b', ':2'], ['SET k v', '+OK'], ['TYPE k', '+string'], ['GET k', '$v']],
  ['SET drops an expiry', ['SET k v EX 10', '+OK'], ['SET k w', '+OK'], ['PTTL k', ':-1']],
  ['SET KEEPTTL keeps it', ['SET k v EX 10', '+OK'], ['SET k w KEEPTTL', '+OK'], ['PTTL k', ':10000'], ['GET k', '$w']],
  ['SET KEEPTTL of nothing', ['SET k w KEEPTTL', '+OK'], ['PTTL k', ':-1']],
  ['SET NX', ['SET k v NX', '+OK'], ['SET k w NX', '$nil'], ['GET k', '$v']],
  ['SET XX', ['SET k v XX', '$nil'], ['EXISTS k', ':0'], ['SET k v', '+OK'], ['SET k w XX', '+OK'], ['GET k', '$w']],
  ['SET GET', ['SET k v GET', '$nil'], ['SET k w GET', '$v'], ['GET k', '$w']],
  ['SET GET of a list', ['RPUSH k a', ':1'], ['SET k w GET', wrongType], ['LLEN k', ':1']],
  ['SET NX GET', ['SET k v NX GET', '$nil'], ['SET k w NX GET', '$v'], ['GET k', '$v']],
  ['SET XX GET', ['SET k v XX GET', '$nil'], ['EXISTS k', ':0']],
  [
    'SET PX',
    ['SET k v PX 100', '+OK'],
    ['PTTL k', ':100'],
    99,
    ['GET k', '$v'],
    1,
    ['GET k', '$nil'],
    ['TTL k', ':-2'],
  ],
  ['SET with a wrong time', ['SET k v EX 0', "-ERR invalid expire time in 'set' command"], ['EXISTS k', ':0']],
  ['SET PXAT in the past', ['SET k v', '+OK'], ['SET k w PXAT 1', '+OK'], ['EXISTS k', ':0']],
  ['SETNX', ['SETNX k v', ':1'], ['SETNX k w', ':0'], ['GET k', '$v']],
  ['an expired key is absent to SETNX', ['SET k v PX 10', '+OK'], 10, ['SETNX k w', ':1'], ['PTTL k', ':-1']],
  [
    'GETDEL',
    ['SET k v', '+OK'],
    ['GETDEL k', '$v'],
    ['GETDEL k', '$nil'],
    ['RPUSH k a', ':1'],
    ['GETDEL k', wrongType],
  ],
  ['GETEX', ['SET k v', '+OK'], ['GETEX k EX 5', '$v'], ['TTL k', ':5'], ['GETEX k', '$v'], ['TTL k', ':5']],
  ['GETEX PERSIST', ['SET k v EX 5', '+OK'], ['GETEX k PERSIST', '$v'], ['TTL k', ':-1'], ['GETEX none EX 5', '$nil']],
  ['GETEX PXAT in the past', ['SET k v', '+OK'], ['GETEX k PXAT 1', '$v'], ['EXISTS k', ':0']],
  ['GETEX with a wrong time', ['SET k v', '+OK'], ['GETEX k EX -1', "-ERR invalid expire time in 'getex' command"]],
  ['GETEX of a list', ['RPUSH k a', ':1'], ['GETEX k EX 5', wrongType]],
  ['DEL and EXISTS', ['SET k v', '+OK'], ['EXISTS k', ':1'], ['DEL k', ':1'], ['DEL k', ':0'], ['TYPE k', '+none']],
  [
    'EXPIRE',
    ['EXPIRE k 5', ':0'],
    ['SET k v', '+OK'],
    ['EXPIRE k 5', ':1'],
    ['TTL k', ':5'],
    5_000,
    ['EXISTS k', ':0'],
  ],
  ['EXPIRE with no time left deletes', ['SET k v', '+OK'], ['EXPIRE k 0', ':1'], ['EXISTS k', ':0']],
  ['PEXPIRE of the past deletes', ['RPUSH k a', ':1'], ['PEXPIRE k -5', ':1'], ['EXISTS k', ':0']],
  ['EXPIRE NX', ['SET k v', '+OK'], ['EXPIRE k 5 NX', ':1'], ['EXPIRE k 9 NX', ':0'], ['TTL k', ':5']],
  [
    'EXPIRE XX',
    ['SET k v', '+OK'],
    ['EXPIRE k 5 XX', ':0'],
    ['EXPIRE k 5', ':1'],
    ['EXPIRE k 9 XX', ':1'],
    ['TTL k', ':9'],
  ],
  [
    'EXPIRE GT',
    ['SET k v', '+OK'],
    ['EXPIRE k 5 GT', ':0'],
    ['EXPIRE k 5', ':1'],
    ['EXPIRE k 5 GT', ':0'],
    ['EXPIRE k 6 GT', ':1'],
  ],
  [
    'EXPIRE LT',
    ['SET k v', '+OK'],
    ['EXPIRE k 5 LT', ':1'],
    ['EXPIRE k 5 LT', ':0'],
    ['EXPIRE k 4 LT', ':1'],
    ['TTL k', ':4'],
  ],
  [
    'PERSIST',
    ['SET k v EX 5', '+OK'],
    ['PERSIST k', ':1'],
    ['PERSIST k', ':0'],
    ['TTL k', ':-1'],
    ['PERSIST none', ':0'],
  ],
  ['TTL rounds', ['SET k v PX 1500', '+OK'], ['TTL k', ':2'], 1, ['TTL k', ':1'], ['TTL none', ':-2']],
  [
    'INCR',
    ['INCR k', ':1'],
    ['INCR k', ':2'],
    ['GET k', '$2'],
    ['DECR k', ':1'],
    ['DECR none', ':-1'],
    ['TYPE k', '+string'],
  ],
  [
    'INCRBY',
    ['INCRBY k 9223372036854775807', ':9223372036854775807'],
    ['INCR k', overflow],
    ['DECR k', ':9223372036854775806'],
  ],
  ['INCRBY down', ['INCRBY k -9223372036854775808', ':-9223372036854775808'], ['DECR k', overflow]],
  [
    'INCRBY of what is no integer',
    ['INCRBY k 1.5', notInteger],
    ['INCRBY k 9223372036854775808', notInteger],
    ['EXISTS k', ':0'],
  ],
  ['INCR of text', ['SET k x', '+OK'], ['INCR k', notInteger], ['SET k 01', '+OK'], ['INCR k', notInteger]],
  ['INCR of odd numbers', ['SET k +1', '+OK'], ['INCR k', notInteger], ['SET k -0', '+OK'], ['INCR k', notInteger]],
  ['INCR keeps the expiry', ['SET k 1 EX 5', '+OK'], ['INCR k', ':2'], ['TTL k', ':5']],
  ['INCR of a list', ['RPUSH k a', ':1'], ['INCR k', wrongType], ['APPEND k v', wrongType], ['GET k', wrongType]],
  [
    'APPEND',
    ['APPEND k ab', ':2'],
    ['APPEND k c', ':3'],
    ['GET k', '$abc'],
    ['EXPIRE k 5', ':1'],
    ['APPEND k d', ':4'],
    ['TTL k', ':5'],
  ],
  ['INCRBY looks at its argument first', ['RPUSH k a', ':1'], ['INCRBY k x', notInteger], ['INCRBY k 1', wrongType]],
  [
    'LPUSH',
    ['LPUSH k a b c', ':3'],
    ['LRANGE k 0 -1', '*$c $b $a'],
    ['LLEN k', ':3'],
    ['TYPE k', '+list'],
    ['LLEN none', ':0'],
  ],
  ['RPUSH', ['RPUSH k a b', ':2'], ['RPUSH k c', ':3'], ['LRANGE k 0 -1', '*$a $b $c']],
  [
    'LPUSHX and RPUSHX',
    ['LPUSHX k a', ':0'],
    ['EXISTS k', ':0'],
    ['RPUSH k a', ':1'],
    ['RPUSHX k b', ':2'],
    ['LPUSHX k c', ':3'],
  ],
  [
    'LRANGE',
    ['RPUSH k a b c d', ':4'],
    ['LRANGE k 1 2', '*$b $c'],
    ['LRANGE k -2 -1', '*$c $d'],
    ['LRANGE k -100 100', '*$a $b $c $d'],
  ],
  ['LRANGE of nothing', ['RPUSH k a', ':1'], ['LRANGE k 5 9', '*'], ['LRANGE k 1 0', '*'], ['LRANGE none 0 -1', '*']],
  [
    'LINDEX',
    ['RPUSH k a b', ':2'],
    ['LINDEX k 0', '$a'],
    ['LINDEX k -1', '$b'],
    ['LINDEX k 2', '$nil'],
    ['LINDEX k -3', '$nil'],
    ['LINDEX none 0', '$nil'],
  ],
  [
    'LPOP and RPOP',
    ['RPUSH k a b c', ':3'],
    ['LPOP k', '$a'],
    ['RPOP k', '$c'],
    ['LPOP k', '$b'],
    ['EXISTS k', ':0'],
    ['LPOP k', '$nil'],
  ],
  [
    'LPOP with a count',
    ['RPUSH k a b c', ':3'],
    ['LPOP k 2', '*$a $b'],
    ['RPOP k 9', '*$c'],
    ['LPOP k 1', '*nil'],
    ['LPOP k 0', '*nil'],
  ],
  ['RPOP with a count', ['RPUSH k a b c', ':3'], ['RPOP k 2', '*$c $b'], ['RPOP k 0', '*']],
  [
    'LREM',
    ['RPUSH k a b a c a', ':5'],
    ['LREM k 1 a', ':1'],
    ['LRANGE k 0 -1', '*$b $a $c $a'],
    ['LREM k -1 a', ':1'],
    ['LRANGE k 0 -1', '*$b $a $c'],
  ],
  [
    'LREM of all',
    ['RPUSH k a b a', ':3'],
    ['LREM k 0 a', ':2'],
    ['LREM k 0 x', ':0'],
    ['LREM k 0 b', ':1'],
    ['EXISTS k', ':0'],
    ['LREM k 0 b', ':0'],
  ],
  [
    'lists do not mix with strings',
    ['SET k v', '+OK'],
    ['LPUSH k a', wrongType],
    ['LPOP k', wrongType],
    ['LLEN k', wrongType],
    ['LRANGE k 0 -1', wrongType],
  ],
  [
    'nor do their other commands',
    ['SET k v', '+OK'],
    ['LINDEX k 0', wrongType],
    ['LREM k 0 a', wrongType],
    ['LPUSHX k a', wrongType],
  ],
  [
    'a list expires',
    ['RPUSH k a b', ':2'],
    ['EXPIRE k 1', ':1'],
    1_000,
    ['RPUSH k c', ':1'],
    ['LRANGE k 0 -1', '*$c'],
    ['TTL k', ':-1'],
  ],
  [
    'a push keeps the expiry',
    ['RPUSH k a', ':1'],
    ['EXPIRE k 5', ':1'],
    ['LPUSH k b', ':2'],
    ['LPOP k', '$b'],
    ['TTL k', ':5'],
  ],
]

describe('the keyspace answers like Redis 7.0', () => {
  test.each(table)('%s', (_, ...steps) => {
    const tape = new Tape()
    const replies = steps.map(step => {
      if (typeof step !== 'number') return [step[0], redisLine(tape, step[0])]
      tape.wait(step)
      return step
    })
    expect(replies).toEqual(steps)
  })
})

describe('the keyspace', () => {
  test('scans its keys in pages, with what is due committed first', () => {
    const tape = new Tape()
    for (const line of ['SET c 1', 'SET a 1 PX 5', 'RPUSH b x']) redisLine(tape, line)
    expect(tape.ask({ kind: 'keyspace.scan', max: 2 })).toEqual([
      [
        ['a', 'string'],
        ['b', 'list'],
      ],
      'b',
    ])
    tape.wait(5)
    expect(tape.ask({ kind: 'keyspace.size' })).toBe(3)
    expect(tape.ask({ kind: 'keyspace.scan', max: 5 })).toEqual([
      [
        ['b', 'list'],
        ['c', 'string'],
      ],
      null,
    ])
    expect(tape.ask({ kind: 'keyspace.scan', after: 'b', max: 5 })).toEqual([[['c', 'string']], null])
    expect(tape.ask({ kind: 'keyspace.size' })).toBe(2)
  })

  test('drops due keys by housekeeping, blocks and all', () => {
    const tape = new Tape()
    for (let at = 0; at < 200; at++) redisLine(tape, `RPUSH k v${at}`)
    redisLine(tape, 'PEXPIRE k 10')
    redisLine(tape, 'PEXPIRE k 20')
    tape.wait(10)
    expect(tape.tend()).toEqual([])
    expect(tape.run({ kind: 'keyspace.drop', key: 'k', expiresAtMs: tape.atMs })).toBe(false)
    tape.wait(10)
    expect(tape.tend()).toHaveLength(1)
    expect([...tape.machine.snapshot()].map(([space]) => space)).toEqual(['meta'])
  })

  test('drops a long list at once and frees it step by step, also by a copy that comes later', () => {
    const tape = new Tape()
    const values = Array.from({ length: 40_000 }, (_, at) => bytesOf(`v${at}`))
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'right', values })
    const full = tape.machine.bytes
    expect(tape.run({ kind: 'keyspace.delete', key: 'k' })).toBe(1)
    expect(tape.machine.bytes).toBeGreaterThan(full - 1_000)
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(tape.monotonicMs)
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'left', values: [bytesOf('new')] })
    expect(tape.tend()).toHaveLength(1)
    tape.moveOver()
    let steps = 1
    while (tape.tend().length > 0) steps++
    expect(steps).toBe(Math.ceil(40_000 / 64 / 256))
    expect(redisLine(tape, 'LRANGE k 0 -1')).toBe('*$new')
    const spaces = [...tape.machine.snapshot()].map(([space]) => space)
    expect(spaces.toSorted()).toEqual(['blocks', 'keyspace', 'meta'])
  })

  test('gives at most 100,000 elements in one answer', () => {
    const tape = new Tape()
    const values = Array.from({ length: 100_001 }, () => bytesOf('v'))
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'right', values })
    const range = tape.machine.query({ kind: 'keyspace.range', key: 'k', start: 0, stop: -1 } as never, tape.atMs)
    expect(range).toMatchObject({ kind: 'refused', refusal: { code: 'INVALID' } })
    const pop = { kind: 'keyspace.pop', key: 'k', side: 'left', count: 200_000 } as const
    expect(tape.attempt(pop)).toHaveProperty('refused', 'INVALID')
    expect(tape.run({ ...pop, count: 100_000 })).toHaveLength(100_000)
    expect(tape.run(pop)).toHaveLength(1)
  })

  test('costs the same to push however long the list', () => {
    const tape = new Tape()
    const values = Array.from({ length: 100_000 }, (_, at) => bytesOf(`${at}`))
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'right', values })
    const before = new Map([...tape.machine.snapshot()].map(([space, key, record]) => [`${space}/${key}`, record]))
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'left', values: [bytesOf('x')] })
    tape.run({ kind: 'keyspace.push', key: 'k', side: 'right', values: [bytesOf('y')] })
    const changed = [...tape.machine.snapshot()].filter(
      ([space, key, record]) => before.get(`${space}/${key}`) !== record,
    )
    expect(changed.length).toBeLessThan(5)
    expect(redisLine(tape, 'LINDEX k 77777')).toBe('$77776')
  })

  test('does nothing for an operation that an earlier one of its command made impossible', () => {
    const tape = new Tape()
    const push = { kind: 'keyspace.push', key: 'k', side: 'left', values: [bytesOf('a')] } as const
    expect(tape.attempt(push, { kind: 'keyspace.increment', key: 'k', by: '1' } as never)).toEqual({
      results: [1, null],
    })
  })
})
