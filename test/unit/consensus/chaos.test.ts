import { expect, test } from 'vitest'
import { runSeed } from './nemesis.ts'

test('stays safe under faults and answers again once they stop', () => {
  const seen = { leaders: 0, confirms: 0, changes: 0, voterChanges: 0, committed: 0, slowestMs: 0 }
  for (let seed = 1; seed <= 300; seed++) {
    try {
      const { world, committed, recoveryMs, changeCount } = runSeed(seed)
      seen.leaders += world.checker.leaderCount
      seen.confirms += world.checker.confirmedCount
      seen.changes += changeCount
      seen.voterChanges += world.checker.voterChangeCount
      seen.committed += committed.length
      seen.slowestMs = Math.max(seen.slowestMs, recoveryMs)
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
  expect(seen.leaders).toBeGreaterThan(600)
  expect(seen.confirms).toBeGreaterThan(4_000)
  expect(seen.changes).toBeGreaterThan(300)
  expect(seen.voterChanges).toBeGreaterThan(300)
  expect(seen.committed).toBeGreaterThan(4_000)
}, 60_000)
