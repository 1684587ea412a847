import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import { operationShape, queryShape } from '../../../lib/structures/operations.ts'
import type { StructureOperation, StructureQuery } from '../../../lib/structures/operations.ts'
import { bytesOf, Tape } from './tape.ts'

const body = bytesOf('b')
const operations: readonly StructureOperation[] = [
  { kind: 'map.put', map: 'm', key: 'k', value: body, ttlMs: 5, ifVersion: [1, 2, 3], returnPrevious: true },
  { kind: 'map.check', map: 'm', key: 'k' },
  { kind: 'queue.put', queue: 'q', id: 'i', body, headers: { a: [1, null] }, group: 'g', options: { capacity: 3 } },
  { kind: 'queue.take', queue: 'q', max: 1, holder: 'time' },
  { kind: 'queue.nack', queue: 'q', token: 2 ** 52, isDead: true },
  { kind: 'dead.replay', dead: 'd', positions: [1, 2] },
  { kind: 'lock.acquire', lock: 'l', holder: 'session', ticket: 't' },
  { kind: 'counter.add', counter: 'c', by: -5 },
  { kind: 'group.add', group: 'g', key: 'k', source: 's', id: 'i', body, complete: { each: ['s'] }, surplus: 'refuse' },
  { kind: 'keyspace.set', key: 'k', value: body, condition: 'absent', ttlMs: -4 },
  { kind: 'once.run', key: 'k', rememberMs: 1, operations: [{ kind: 'counter.add', counter: 'c', by: 1 }] },
  { kind: 'once.remember', key: 'k', rememberMs: 1, results: [[1, null], 'a'] },
]
const queries: readonly StructureQuery[] = [
  { kind: 'map.entries', map: 'm', after: 'k', max: 10 },
  { kind: 'keyspace.range', key: 'k', start: 0, stop: -1 },
  { kind: 'keyspace.size' },
  { kind: 'group.ready', group: 'g', max: 1 },
]

describe('operations and queries', () => {
  test('survive the wire', () => {
    for (const operation of operations) expect(operationShape.unpack(operationShape.pack(operation))).toEqual(operation)
    for (const query of queries) expect(queryShape.unpack(queryShape.pack(query))).toEqual(query)
  })

  test('are refused when malformed, with the path', () => {
    expect(() => operationShape.unpack([20, ['q', 'i', 'no bytes']])).toThrow('queue.put.body: expected bytes')
    expect(() => operationShape.unpack([1, ['m', 'k', body, null, [1, 2]]])).toThrow('map.put.ifVersion')
    expect(() => operationShape.unpack([1, ['m', 'k', body, null, [1, 2, 3, 4]]])).toThrow('map.put.ifVersion')
    expect(() => operationShape.unpack([999, []])).toThrow('expected a known kind')
    expect(() => operationShape.unpack([1, 7])).toThrow('map.put: expected a record')
  })

  test('of an unknown kind are refused, not thrown at', () => {
    const tape = new Tape()
    expect(tape.attempt({ kind: 'blob.put' })).toHaveProperty('refused', 'INVALID')
    expect(tape.machine.query({ kind: 'nonsense' }, 0).kind).toBe('refused')
    expect(tape.machine.locks({ kind: 'blob.put' })).toEqual([])
  })

  test('with a bad number anywhere never reach a log', () => {
    const { machine } = new Tape()
    const places = operations.flatMap(operation => numbersOf(operation).map(path => ({ operation, path })))
    const bad = fc.oneof(
      fc.double().filter(value => !Number.isSafeInteger(value)),
      fc.constantFrom(NaN, Infinity, -Infinity, 0.5, 2 ** 53, -(2 ** 53), '1', true),
    )
    fc.assert(
      fc.property(fc.constantFrom(...places), bad, ({ operation, path }, value) => {
        expect(machine.validate(operation)).toBeUndefined()
        expect(machine.validate(withValue(operation, path, value))).toMatchObject({ code: 'INVALID' })
      }),
    )
    expect(places.length).toBeGreaterThan(10)
    expect(machine.validate({ kind: 'queue.ack', queue: 'q', token: -1 } as StructureOperation)).toBeDefined()
    expect(machine.validate({ kind: 'blob.put' })).toMatchObject({ code: 'INVALID' })
    expect(machine.validate({ kind: 'map.blob' })).toMatchObject({ code: 'INVALID' })
  })

  test('say whether they may grow the state', () => {
    const { machine } = new Tape()
    const growing = operations.filter(operation => machine.grows(operation)).map(({ kind }) => kind)
    expect(growing).toEqual([
      'map.put',
      'queue.put',
      'lock.acquire',
      'counter.add',
      'group.add',
      'keyspace.set',
      'once.run',
      'once.remember',
    ] satisfies Plain)
  })
})

/** Paths to the numbers of an operation, but for those that only its receiver interprets. */
function numbersOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value === 'number') return [path]
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'headers' || name === 'results' ? [] : numbersOf(inner, [...path, name]),
  )
}

function withValue(
  operation: StructureOperation,
  path: readonly (string | number)[],
  value: unknown,
): StructureOperation {
  const copy = structuredClone(operation)
  let inner = copy as unknown as Record<string | number, unknown>
  for (const name of path.slice(0, -1)) inner = inner[name] as typeof inner
  inner[path.at(-1) as string] = value
  return copy
}
