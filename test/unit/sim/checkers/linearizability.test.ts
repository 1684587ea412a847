import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkEach, checkOne, type Call } from '../../../../sim/checkers/linearizability.ts'
import {
  checkRegisters,
  registerModel,
  type RegisterInput,
  type RegisterOutput,
} from '../../../../sim/checkers/register.ts'
import { knownVerdicts, verdictOf } from './histories.ts'

type RegisterCall = Call<RegisterInput, RegisterOutput>

const write = (value: string, calledAt: number, returnedAt: number): RegisterCall => ({
  calledAt,
  returnedAt,
  input: { kind: 'write', value },
  output: returnedAt === Infinity ? undefined : { kind: 'written' },
})
const read = (value: string | undefined, calledAt: number, returnedAt: number): RegisterCall => ({
  calledAt,
  returnedAt,
  input: { kind: 'read' },
  output: { kind: 'read', value },
})
const swap = (
  expected: string,
  value: string,
  isMatch: boolean,
  calledAt: number,
  returnedAt: number,
): RegisterCall => ({
  calledAt,
  returnedAt,
  input: { kind: 'swap', expected, value },
  output: { kind: isMatch ? 'written' : 'mismatch' },
})

test('accepts an empty history', () => {
  expect(checkOne(registerModel, [])).toBe('linearizable')
})

test('accepts reads of the value before or of the one after while a write runs', () => {
  expect(checkOne(registerModel, [write('a', 0, 1), write('b', 2, 9), read('a', 3, 4), read('b', 5, 6)])).toBe(
    'linearizable',
  )
})

test('finds a read that goes back in time', () => {
  expect(checkOne(registerModel, [write('a', 0, 1), write('b', 2, 9), read('b', 3, 4), read('a', 5, 6)])).toBe(
    'violated',
  )
})

test('finds an acknowledged write that is lost', () => {
  expect(checkOne(registerModel, [write('a', 0, 1), read(undefined, 2, 3)])).toBe('violated')
})

test('lets a write of unknown outcome take effect late, or never, but not twice', () => {
  expect(checkOne(registerModel, [write('a', 0, Infinity), read(undefined, 1, 2), read('a', 3, 4)])).toBe(
    'linearizable',
  )
  expect(checkOne(registerModel, [write('a', 0, Infinity), read(undefined, 1, 2)])).toBe('linearizable')
  expect(checkOne(registerModel, [write('a', 0, Infinity), read('a', 1, 2), write('b', 3, 4), read('a', 5, 6)])).toBe(
    'violated',
  )
})

test('finds a value that nobody wrote', () => {
  expect(checkOne(registerModel, [write('a', 0, 1), read('z', 2, 3)])).toBe('violated')
})

test('finds two compare-and-sets that both won from the same value', () => {
  expect(checkOne(registerModel, [write('a', 0, 1), swap('a', 'b', true, 2, 5), swap('a', 'c', false, 3, 6)])).toBe(
    'linearizable',
  )
  expect(checkOne(registerModel, [write('a', 0, 1), swap('a', 'b', true, 2, 5), swap('a', 'c', true, 3, 6)])).toBe(
    'violated',
  )
})

test('a key that is hard to prove does not hide a violation in another', () => {
  const hard = Array.from({ length: 40 }, (_, i) => write(`w${i}`, i, 100 + i))
  const unread = [...hard, read('nobody', 50, 200)]
  const histories = new Map([
    ['hard', unread],
    ['broken', [write('a', 0, 1), read(undefined, 2, 3)]],
  ])
  expect(checkEach(registerModel, histories, 1_000_000)).toEqual({ verdict: 'violated', keys: ['broken'] })
})

test('says undecided when the work runs out', () => {
  const calls = [...Array.from({ length: 40 }, (_, i) => write(`w${i}`, i, 100 + i)), read('nobody', 50, 200)]
  expect(checkEach(registerModel, new Map([['hard', calls]]), 100_000)).toEqual({
    verdict: 'undecided',
    keys: ['hard'],
  })
})

describe('many registers', () => {
  const verdictOfOne = (calls: readonly RegisterCall[]): string => checkRegisters(new Map([['k', calls]])).verdict

  test('are decided though many writes of unknown outcome run beside each other', () => {
    const calls: RegisterCall[] = []
    for (let i = 0; i < 60; i++) calls.push(write(`lost${i}`, i, Infinity))
    for (let i = 0; i < 40; i++)
      calls.push(write(`v${i}`, 100 + 4 * i, 101 + 4 * i), read(`v${i}`, 102 + 4 * i, 103 + 4 * i))
    expect(verdictOfOne(calls)).toBe('linearizable')
  })

  test('count a write of unknown outcome that somebody saw, or that alone explains a comparison that failed', () => {
    expect(verdictOfOne([write('a', 0, 1), write('b', 2, Infinity), read('b', 3, 4)])).toBe('linearizable')
    expect(verdictOfOne([write('a', 0, 1), write('b', 2, Infinity), swap('a', 'c', false, 3, 4)])).toBe('linearizable')
    expect(verdictOfOne([write('a', 0, 1), swap('a', 'c', false, 3, 4)])).toBe('violated')
    expect(verdictOfOne([write('a', 0, 1), write('b', 2, Infinity), read('b', 3, 4), read('a', 5, 6)])).toBe('violated')
  })
})

const folder = join(import.meta.dirname, '../../../fixtures/histories')

test.for(knownVerdicts(folder))('agrees with the known verdict of $path', ({ path, isLinearizable }) => {
  expect(verdictOf(path)).toBe(isLinearizable ? 'linearizable' : 'violated')
})
