import { expect, test } from 'vitest'
import { expiryViolations, type Lived, type LivedRead } from '../../../../sim/checkers/expiry.ts'

const entry = (...reads: LivedRead[]): Lived => ({ key: 'k', ttlMs: 1_000, putCalledMs: 0, putReturnedMs: 10, reads })
const read = (atMs: number, isThere: boolean, slackMs = 50): LivedRead => ({
  calledMs: atMs,
  returnedMs: atMs + 5,
  isThere,
  slackMs,
})

test('an entry may be there or gone about the end of its time', () => {
  expect(expiryViolations(entry(read(100, true), read(980, false), read(1_200, false)))).toEqual([])
  expect(expiryViolations(entry(read(1_040, true), read(1_200, false)))).toEqual([])
  expect(expiryViolations(entry(read(3_000, true, 5_000)))).toEqual([])
})

test('an entry that is gone too early, there too late, or back is found', () => {
  expect(expiryViolations(entry(read(500, false)))).toHaveLength(1)
  expect(expiryViolations(entry(read(1_500, true)))).toHaveLength(1)
  expect(expiryViolations(entry(read(990, false), read(1_000, true)))).toEqual(['k was back after it had been gone'])
})
