import { expect, test } from 'vitest'
import { Tape } from './tape.ts'

test('a counter adds exactly and answers the new value', () => {
  const tape = new Tape()
  expect(tape.ask({ kind: 'counter.get', counter: 'c' })).toBe(0)
  expect(tape.run({ kind: 'counter.add', counter: 'c', by: 5 })).toBe(5)
  expect(tape.run({ kind: 'counter.add', counter: 'c', by: -7 })).toBe(-2)
  expect(tape.ask({ kind: 'counter.get', counter: 'c' })).toBe(-2)
})

test('a counter is set, on condition if wanted', () => {
  const tape = new Tape()
  expect(tape.run({ kind: 'counter.set', counter: 'c', value: 5, ifValue: 0 })).toBe(5)
  expect(tape.attempt({ kind: 'counter.set', counter: 'c', value: 6, ifValue: 0 } as never)).toEqual({
    refused: 'CONFLICT',
    detail: 5,
  })
})

test('a counter refuses to leave the safe integers, and stays as it is', () => {
  const tape = new Tape()
  tape.run({ kind: 'counter.set', counter: 'c', value: Number.MAX_SAFE_INTEGER })
  const add = { kind: 'counter.add', counter: 'c', by: 1 } as const
  expect(tape.attempt(add)).toEqual({ refused: 'INVALID', detail: Number.MAX_SAFE_INTEGER })
  expect(tape.attempt({ kind: 'counter.set', counter: 'c', value: 2 ** 60 } as never)).toHaveProperty('refused')
  tape.run({ kind: 'counter.set', counter: 'c', value: Number.MAX_SAFE_INTEGER - 1 })
  expect(tape.attempt(add, add)).toEqual({ results: [Number.MAX_SAFE_INTEGER, null] })
})

test('a counter at zero takes no room', () => {
  const tape = new Tape()
  tape.run({ kind: 'counter.add', counter: 'c', by: 5 })
  tape.run({ kind: 'counter.add', counter: 'c', by: -5 })
  expect(tape.machine.bytes).toBe(0)
})
