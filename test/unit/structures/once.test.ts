import { describe, expect, test } from 'vitest'
import { bytesOf, Tape } from './tape.ts'

const once = (operations: readonly object[], key = 'request-1') =>
  ({ kind: 'once.run', key, rememberMs: 1_000, operations }) as never
const add = { kind: 'counter.add', counter: 'c', by: 1 }

describe('once', () => {
  test('runs operations the first time and answers the same afterwards', () => {
    const tape = new Tape()
    expect(tape.run(once([add, add]))).toEqual([false, [1, 2]])
    tape.session = 'other#1'
    expect(tape.run(once([add, add]))).toEqual([true, [1, 2]])
    expect(tape.ask({ kind: 'once.get', key: 'request-1' })).toEqual([1, 2])
    expect(tape.ask({ kind: 'counter.get', counter: 'c' })).toBe(2)
  })

  test('does not remember a refusal', () => {
    const tape = new Tape()
    const put = { kind: 'map.put', map: 'm', key: 'k', value: bytesOf('v'), ifPresent: true }
    expect(tape.attempt(once([add, put]))).toHaveProperty('refused', 'CONFLICT')
    tape.run({ kind: 'map.put', map: 'm', key: 'k', value: bytesOf('v') })
    expect(tape.run(once([add, put]))).toMatchObject([false, [1, [[1, 3, 20_000 - 9_999], null]]])
  })

  test('forgets after the stated time', () => {
    const tape = new Tape()
    tape.run(once([add]))
    tape.wait(1_000)
    expect(tape.tend()).toEqual([{ kind: 'once.forget', key: 'request-1' }])
    expect(tape.ask({ kind: 'once.get', key: 'request-1' })).toBe(null)
    expect(tape.run(once([add]))).toEqual([false, [2]])
    tape.wait(1_000)
    expect(tape.run(once([add]))).toEqual([false, [3]])
    expect(tape.run({ kind: 'once.forget', key: 'request-1' })).toBe(false)
  })

  test('remembers what ran elsewhere, and nothing in the place of what it knows', () => {
    const tape = new Tape()
    const remember = { kind: 'once.remember', key: 'request-1', rememberMs: 1_000, results: [7, 8] } as never
    expect(tape.run(remember)).toBe(true)
    expect(tape.run(once([add, add]))).toEqual([true, [7, 8]])
    expect(tape.ask({ kind: 'counter.get', counter: 'c' })).toBe(0)
    tape.wait(1_000)
    tape.tend()
    expect(tape.run(once([add, add]))).toEqual([false, [1, 2]])
    expect(tape.run(remember)).toBe(false)
    expect(tape.ask({ kind: 'once.get', key: 'request-1' })).toEqual([1, 2])
  })

  test('locks what its operations lock, and is not nested', () => {
    const tape = new Tape()
    expect(tape.machine.locks(once([add]))).toEqual(['once:request-1', 'counter:c'])
    expect(tape.attempt(once([once([add], 'inner')]))).toHaveProperty('refused', 'INVALID')
  })
})
