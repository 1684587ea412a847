import { describe, expect, test } from 'vitest'
import { bytesOf, readable, Tape } from './tape.ts'

const put = (key: string, value: string, more: object = {}) =>
  ({ kind: 'map.put', map: 'carts', key, value: bytesOf(value), ...more }) as const
const get = (key: string) => ({ kind: 'map.get', map: 'carts', key }) as const

describe('a map', () => {
  test('answers a value with the version that names its write', () => {
    const tape = new Tape()
    expect(tape.run(put('c42', 'a'))).toEqual([[1, 1, 0], null])
    expect(readable(tape.ask(get('c42')))).toEqual(['a', [1, 1, 0], -1])
    expect(tape.ask(get('other'))).toBe(null)
  })

  test('gives each operation of one command a version of its own', () => {
    const tape = new Tape()
    expect(tape.attempt(put('a', '1'), put('b', '2'))).toEqual({
      results: [
        [[1, 1, 0], null],
        [[1, 1, 1], null],
      ],
    })
  })

  test('never repeats a version after delete and re-create', () => {
    const tape = new Tape()
    tape.run(put('k', 'a'))
    expect(readable(tape.run({ kind: 'map.delete', map: 'carts', key: 'k', returnPrevious: true }))).toEqual([
      true,
      'a',
    ])
    tape.run(put('k', 'a'))
    expect(tape.attempt(put('k', 'b', { ifVersion: [1, 1, 0] }))).toEqual({ refused: 'CONFLICT', detail: [1, 3, 0] })
    expect(tape.attempt(put('k', 'b', { ifVersion: [1, 3, 0] }))).toHaveProperty('results')
  })

  test('refuses when a condition does not hold, and says the version that is there', () => {
    const tape = new Tape()
    expect(tape.attempt(put('k', 'a', { ifPresent: true }))).toEqual({ refused: 'CONFLICT', detail: null })
    tape.run(put('k', 'a', { ifAbsent: true }))
    expect(tape.attempt(put('k', 'b', { ifAbsent: true }))).toEqual({ refused: 'CONFLICT', detail: [1, 2, 0] })
    expect(tape.attempt({ kind: 'map.delete', map: 'carts', key: 'k', ifVersion: [9, 9, 9] } as never)).toHaveProperty(
      'refused',
    )
    expect(readable(tape.run(put('k', 'b', { ifPresent: true, returnPrevious: true })))).toEqual([[1, 5, 0], 'a'])
  })

  test('changes nothing of a command of which one operation is refused', () => {
    const tape = new Tape()
    tape.run(put('k', 'a'))
    expect(tape.attempt(put('other', 'x'), put('k', 'b', { ifAbsent: true }))).toHaveProperty('refused', 'CONFLICT')
    expect(tape.ask({ kind: 'map.size', map: 'carts' })).toBe(1)
  })

  test('checks for a transaction that what was read still holds', () => {
    const tape = new Tape()
    const check = (version?: readonly [number, number, number]) =>
      tape.attempt({ kind: 'map.check', map: 'carts', key: 'k', version } as never)
    expect(check()).toEqual({ results: [true] })
    tape.run(put('k', 'a'))
    expect(check()).toHaveProperty('refused', 'CONFLICT')
    expect(check([1, 2, 0])).toEqual({ results: [true] })
    expect(check([1, 1, 0])).toHaveProperty('refused', 'CONFLICT')
  })

  test('counts an entry past its time as absent to operations at once, to reads once that is committed', () => {
    const tape = new Tape()
    tape.run(put('k', 'a', { ttlMs: 100 }))
    expect(readable(tape.ask(get('k')))).toEqual(['a', [1, 1, 0], 100])
    tape.wait(99)
    expect(tape.machine.query(get('k'), tape.atMs).kind).toBe('found')
    tape.wait(1)
    expect(tape.machine.query(get('k'), tape.atMs)).toEqual({
      kind: 'due',
      operations: [{ kind: 'map.expire', map: 'carts', key: 'k', version: [1, 1, 0] }],
    })
    expect(tape.ask({ kind: 'map.size', map: 'carts' })).toBe(1)
    expect(tape.attempt(put('k', 'b', { ifPresent: true }))).toHaveProperty('refused', 'CONFLICT')
    expect(tape.ask(get('k'))).toBe(null)
    expect(tape.ask({ kind: 'map.size', map: 'carts' })).toBe(0)
  })

  test('does not expire an entry that was written or touched again', () => {
    const tape = new Tape()
    tape.run(put('k', 'a', { ttlMs: 100 }))
    const old = { kind: 'map.expire', map: 'carts', key: 'k', version: [1, 1, 0] } as const
    expect(tape.run(old)).toBe(false)
    tape.run({ kind: 'map.touch', map: 'carts', key: 'k', ttlMs: 500 })
    tape.wait(100)
    expect(tape.run(old)).toBe(false)
    tape.run(put('k', 'b', { ttlMs: 10 }))
    tape.wait(1_000)
    expect(tape.run(old)).toBe(false)
    expect(tape.tend()).toHaveLength(1)
    expect(tape.ask({ kind: 'map.size', map: 'carts' })).toBe(0)
  })

  test('names what is due to its owner, leaves out what a transaction holds, and says it again if it was not committed', () => {
    const tape = new Tape()
    tape.run(put('a', '1', { ttlMs: 100 }))
    tape.run(put('b', '2', { ttlMs: 200 }))
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(tape.monotonicMs + 100)
    tape.wait(300)
    const due = (isLocked: (key: string) => boolean = () => false) =>
      tape.machine.due(tape.monotonicMs, tape.atMs, 10, isLocked)
    expect(due(key => key === 'map:carts/a')).toMatchObject([{ key: 'b' }])
    expect(due()).toEqual([])
    tape.wait(250)
    expect(due()).toHaveLength(2)
  })

  test('pages by key, each entry once, also while others come and go', () => {
    const tape = new Tape()
    const keys = Array.from({ length: 5_000 }, (_, at) => `k${at}`)
    for (const key of keys) tape.run(put(key, 'v'))
    const seen: string[] = []
    let after: string | undefined
    for (let page = 0; ; page++) {
      const answer = tape.ask({ kind: 'map.entries', map: 'carts', after, max: 700 })
      const [rows, next] = answer as unknown as readonly [(readonly [string])[], string | null]
      seen.push(...rows.map(([key]) => key))
      if (next === null) break
      after = next
      for (let at = 0; at < 300; at++) tape.run(put(`new${page}-${at}`, 'v'))
      tape.run({ kind: 'map.delete', map: 'carts', key: next })
    }
    expect(seen).toEqual([...new Set(seen)].sort())
    const all = new Set(seen)
    expect(keys.filter(key => !all.has(key))).toEqual([])
    expect(tape.machine.query({ kind: 'map.entries', map: 'carts', max: 1_001 } as never, 0).kind).toBe('refused')
  })

  test('keeps maps and keys apart whatever their names', () => {
    const tape = new Tape()
    tape.run({ kind: 'map.put', map: 'a', key: 'b/c', value: bytesOf('1'), ttlMs: 10 })
    tape.run({ kind: 'map.put', map: 'a/b', key: 'c', value: bytesOf('2'), ttlMs: 20 })
    tape.run({ kind: 'map.put', map: 'a', key: '__proto__', value: bytesOf('3') })
    tape.wait(10)
    expect(tape.tend()).toHaveLength(1)
    expect(readable(tape.ask({ kind: 'map.get', map: 'a/b', key: 'c' }))).toContain('2')
    expect(readable(tape.ask({ kind: 'map.get', map: 'a', key: '__proto__' }))).toContain('3')
  })
})
