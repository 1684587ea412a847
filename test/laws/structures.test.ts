/** Laws of the structures' state machine: what every copy relies on, over random logs of all operations. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Plain } from '../../lib/base/shape.ts'
import { operationShape, type StructureOperation, type StructureQuery } from '../../lib/structures/operations.ts'
import { recordBytes } from '../../lib/structures/store.ts'
import { Structures } from '../../lib/structures/structures.ts'
import { apply, bytesOf, copyOf, Tape, type Entry } from '../unit/structures/tape.ts'

type Step =
  | { readonly kind: 'command'; readonly operations: readonly StructureOperation[]; readonly session: string }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'end'; readonly session: string }
  | { readonly kind: 'tend' | 'moveOver' }

const name = fc.constantFrom('a', 'b')
const body = fc.constantFrom('x', '12', 'long text').map(bytesOf)
const ms = fc.constantFrom(1, 50, 400)
const maybe = <T>(inner: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(inner, { nil: undefined })
/** Of tokens: the n-th youngest of those granted, resolved while running. */
const nth = fc.nat(5)
const holder = maybe(fc.constantFrom('session', 'time'))
const side = fc.constantFrom('left', 'right')
const options = fc.constant({ capacity: 6, maxAttempts: 2, backoffMinMs: 50, deadMax: 2 })
const expiry = { ttlMs: maybe(ms) }

function op<K extends StructureOperation['kind']>(
  kind: K,
  fields: { readonly [name: string]: fc.Arbitrary<unknown> },
): fc.Arbitrary<StructureOperation> {
  return fc.record({ kind: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<StructureOperation>
}

const operation = fc.oneof(
  op('map.put', { map: name, key: name, value: body, ttlMs: maybe(ms), ifAbsent: maybe(fc.boolean()) }),
  op('map.delete', { map: name, key: name }),
  op('map.touch', { map: name, key: name, ttlMs: maybe(ms) }),
  op('queue.put', {
    queue: name,
    id: name,
    body,
    group: maybe(name),
    delayMs: maybe(ms),
    expiresMs: maybe(ms),
    options,
  }),
  op('queue.put', { queue: name, id: name, body, group: maybe(name), options }),
  op('queue.take', { queue: name, max: fc.integer({ min: 1, max: 3 }), leaseMs: maybe(ms), holder }),
  op('queue.ack', { queue: name, token: nth }),
  op('queue.nack', { queue: name, token: nth, delayMs: maybe(ms), isDead: maybe(fc.boolean()) }),
  op('queue.extend', { queue: name, token: nth, leaseMs: maybe(ms) }),
  op('dead.replay', { dead: fc.constantFrom('a.dead', 'b.dead'), positions: fc.array(fc.nat(20)) }),
  op('lock.acquire', {
    lock: name,
    leaseMs: maybe(ms),
    holder,
    ticket: maybe(fc.constantFrom('t', 'u')),
    waitMs: maybe(ms),
  }),
  op('lock.release', { lock: name, token: nth }),
  op('lock.cancel', { lock: name, ticket: fc.constantFrom('t', 'u') }),
  op('counter.add', { counter: name, by: fc.integer({ min: -2, max: 2 }) }),
  op('group.add', {
    group: name,
    key: name,
    source: name,
    id: name,
    body,
    complete: fc.constantFrom({ each: ['a', 'b'] }, { size: 3 }, {}),
    lists: maybe(fc.constant(['a'])),
    deadlineMs: maybe(ms),
    rememberMs: maybe(ms),
  }),
  op('group.release', { group: name, generation: fc.nat(20) }),
  op('keyspace.set', { key: name, value: body, ...expiry }),
  op('keyspace.expire', { key: name, ...expiry }),
  op('keyspace.increment', { key: name, by: fc.constant('1') }),
  op('keyspace.push', { key: name, side, values: fc.array(body, { minLength: 1, maxLength: 90, size: 'max' }) }),
  op('keyspace.pop', { key: name, side, count: fc.nat(70) }),
  op('keyspace.remove', { key: name, count: fc.integer({ min: -3, max: 3 }), value: body }),
  op('once.run', {
    key: name,
    rememberMs: ms,
    operations: fc.constant([{ kind: 'counter.add', counter: 'o', by: 1 }]),
  }),
  op('once.remember', { key: name, rememberMs: ms, results: fc.array(fc.nat(9), { maxLength: 2 }) }),
)

const session = fc.constantFrom('goose#1', 'goose#2')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      operations: fc.array(operation, { minLength: 1, maxLength: 3 }),
      session,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), session }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('tend' as const, 'moveOver' as const) }) },
)
const steps = fc.array(step, { minLength: 10, maxLength: 120, size: 'max' })

/** What anyone can see of a machine. */
const questions: readonly StructureQuery[] = ['a', 'b'].flatMap((at): readonly StructureQuery[] => [
  { kind: 'map.get', map: at, key: 'a' },
  { kind: 'map.entries', map: at, max: 9 },
  { kind: 'queue.stats', queue: at },
  { kind: 'queue.list', queue: at, max: 99 },
  { kind: 'dead.list', dead: `${at}.dead`, max: 99 },
  { kind: 'lock.get', lock: at },
  { kind: 'lock.poll', lock: at, ticket: 't' },
  { kind: 'counter.get', counter: at },
  { kind: 'group.get', group: at, key: 'a' },
  { kind: 'group.ready', group: at, max: 99 },
  { kind: 'group.stats', group: at },
  { kind: 'keyspace.get', key: at },
  { kind: 'keyspace.range', key: at, start: 0, stop: -1 },
  { kind: 'keyspace.ttl', key: at },
  { kind: 'once.get', key: at },
])

function runAll(tape: Tape, steps: readonly Step[]): void {
  const tokens: number[] = []
  for (const step of steps) {
    switch (step.kind) {
      case 'command': {
        tape.session = step.session
        const ran = tape.attempt(...step.operations.map(operation => withToken(operation, tokens)))
        if ('results' in ran)
          for (const [at, operation] of step.operations.entries()) note(operation, ran.results[at], tokens)
        break
      }
      case 'wait':
        tape.wait(step.ms)
        break
      case 'end':
        tape.end(step.session)
        break
      case 'tend':
        tape.tend()
        break
      case 'moveOver':
        tape.moveOver()
    }
  }
}

/** The n-th youngest token granted so far. */
function withToken(operation: StructureOperation, tokens: readonly number[]): StructureOperation {
  if (!('token' in operation)) return operation
  const token = tokens.at(-1 - operation.token) ?? 0
  return { ...operation, token } as StructureOperation
}

function note(operation: StructureOperation, result: Plain | undefined, tokens: number[]): void {
  if (operation.kind === 'queue.take') {
    for (const taken of result as readonly (readonly [string, number])[]) tokens.push(taken[1])
  } else if (operation.kind === 'lock.acquire' && result !== null) tokens.push((result as readonly [number])[0])
}

function sortedSnapshot(machine: Structures): unknown {
  const records = [...machine.snapshot()].map(([space, key, record]) => [`${space} ${key}`, record] as const)
  return records.sort(([a], [b]) => (a < b ? -1 : 1))
}

function answers(machine: Structures, atMs: number): unknown {
  return questions.map(query => machine.query(query, atMs))
}

/** From the first entry on, over the wire, on another clock. */
function replay(entries: readonly Entry[], machine: Structures): readonly unknown[] {
  return entries.map((entry, at) => {
    const operations = entry.operations.map(operation => operationShape.pack(operation as StructureOperation))
    const received = operations.map(packed => operationShape.unpack(packed))
    return apply(machine, { ...entry, operations: received }, at + 1, at * 977)
  })
}

describe('the structures', () => {
  test('reach the same state and results from the same log, on any clock', () => {
    fc.assert(
      fc.property(steps, steps => {
        const tape = new Tape()
        runAll(tape, steps)
        const [a, b] = [new Structures(), new Structures()]
        expect(replay(tape.entries, a)).toEqual(replay(tape.entries, b))
        expect(sortedSnapshot(a)).toEqual(sortedSnapshot(tape.machine))
        expect(a.bytes).toBe(tape.machine.bytes)
      }),
    )
  })

  test('are the same after snapshot and restore: same records, bytes, answers, and results of all that follows', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const tape = new Tape()
        runAll(tape, before)
        const copy = copyOf(tape.machine)
        expect(sortedSnapshot(copy)).toEqual(sortedSnapshot(tape.machine))
        expect(copy.bytes).toBe(tape.machine.bytes)
        expect(answers(copy, tape.atMs)).toEqual(answers(tape.machine, tape.atMs))
        const from = tape.entries.length
        const original = copyOf(tape.machine)
        runAll(tape, after)
        for (const [at, entry] of tape.entries.slice(from).entries()) {
          expect(apply(copy, entry, from + at + 1, 0)).toEqual(apply(original, entry, from + at + 1, 5_000))
        }
        expect(sortedSnapshot(copy)).toEqual(sortedSnapshot(tape.machine))
      }),
    )
  })

  test('restore from records in any order', () => {
    fc.assert(
      fc.property(steps, fc.infiniteStream(fc.nat(1_000)), (steps, order) => {
        const tape = new Tape()
        runAll(tape, steps)
        const shuffled = [...tape.machine.snapshot()].map(record => [order.next().value ?? 0, record] as const)
        const copy = new Structures()
        for (const [, record] of shuffled.sort(([a], [b]) => a - b)) copy.restore(record)
        expect(answers(copy, tape.atMs)).toEqual(answers(tape.machine, tape.atMs))
        const take = { kind: 'queue.take', queue: 'a', max: 9 } as const
        const entry = { epoch: 99, atMs: tape.atMs + 400, session: 'z#1', operations: [take] }
        expect(apply(copy, entry, 1_000, 0)).toEqual(apply(tape.machine, entry, 1_000, 0))
      }),
    )
  })

  test('count exactly the bytes of their records', () => {
    fc.assert(
      fc.property(steps, steps => {
        const tape = new Tape()
        runAll(tape, steps)
        const sum = [...tape.machine.snapshot()].reduce((bytes, [, key, record]) => bytes + recordBytes(key, record), 0)
        expect(tape.machine.bytes).toBe(sum)
      }),
    )
  })

  test('change nothing when they check, and never throw when they execute', () => {
    fc.assert(
      fc.property(steps, operation, (steps, operation) => {
        const tape = new Tape()
        runAll(tape, steps)
        const context = { epoch: 9, index: 999, ordinal: 0, atMs: tape.atMs, session: 'goose#1', monotonicMs: 0 }
        const before = sortedSnapshot(tape.machine)
        tape.machine.check(operation, context)
        expect(sortedSnapshot(tape.machine)).toEqual(before)
        expect(() => tape.machine.execute(operation, { ...context, ordinal: 1 })).not.toThrow()
      }),
    )
  })

  test('have nothing left to do once housekeeping has caught up', () => {
    fc.assert(
      fc.property(steps, steps => {
        const tape = new Tape()
        runAll(tape, steps)
        tape.machine.restartLeases(tape.monotonicMs)
        for (let round = 0; round < 100; round++) {
          tape.wait(30_000)
          tape.tend()
        }
        const spaces = [...tape.machine.snapshot()].map(([space]) => space.split(':')[0])
        expect(spaces.filter(space => space === 'remembered' || space === 'once')).toEqual([])
      }),
    )
  })
})
