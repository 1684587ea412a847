import { expect, test } from 'vitest'
import type { TestModule } from 'vitest/node'
import { closingLine, countResults } from '../../closing-line.ts'

type State = 'passed' | 'failed' | 'skipped' | 'pending'

/** A test file with one test of each of `states`, itself fine or broken outside its tests. */
function moduleOf(states: readonly State[], isOk: boolean): TestModule {
  const tests = states.map(state => ({ result: () => ({ state }) }))
  return { children: { allTests: () => tests }, ok: () => isOk } as unknown as TestModule
}

test('counts test cases by result', () => {
  const modules = [moduleOf(['passed', 'passed', 'skipped'], true), moduleOf(['failed', 'passed'], false)]
  expect(countResults(modules, 0)).toEqual({ passed: 3, failed: 1, skipped: 1 })
})

test('counts a test that was cut off as failed', () => {
  expect(countResults([moduleOf(['pending'], true)], 0)).toEqual({ passed: 0, failed: 1, skipped: 0 })
})

test('counts a file that fails outside its tests, and each stray error, as one failure', () => {
  expect(countResults([moduleOf([], false), moduleOf(['passed'], false)], 2)).toEqual({
    passed: 1,
    failed: 4,
    skipped: 0,
  })
})

test('writes the line that readers of a run look for', () => {
  expect(closingLine({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed')
  expect(closingLine({ passed: 12, failed: 1, skipped: 3 })).toBe('12 passed, 1 failed, 3 skipped')
})
