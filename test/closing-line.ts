/**
 * Reporter that ends a test run with `N passed, N failed` alone on its line, for whoever reads only the end.
 *
 * Counts test cases; a file that fails outside a test (import, hook, syntax) and an error that belongs to no test count as one failure each, so
 * that "0 failed" always means a green run. `, N skipped` follows if there are any.
 * Printed at process exit, because other reporters still write after the run has ended.
 */
import type { Reporter, TestModule } from 'vitest/node'

export interface Count {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The closing line for `count`, for example `12 passed, 0 failed`. */
export function closingLine({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** Test cases of all `modules` by result, and one failure more for each module or stray error that no test case shows. */
export function countResults(modules: readonly TestModule[], strayErrorCount: number): Count {
  let [passed, failed, skipped] = [0, strayErrorCount, 0]
  for (const module of modules) {
    let failedHere = 0
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed += 1
      else if (state === 'skipped') skipped += 1
      else failedHere += 1 // failed, or pending: cut off before it had a result
    }
    if (failedHere === 0 && !module.ok()) failedHere = 1
    failed += failedHere
  }
  return { passed, failed, skipped }
}

class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], strayErrors: readonly unknown[]): void {
    const line = closingLine(countResults(modules, strayErrors.length))
    process.once('exit', () => process.stdout.write(`\n${line}\n`))
  }
}

export default ClosingLine
