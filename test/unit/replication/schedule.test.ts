/** Random schedules of faults: see `Schedule` for what is checked. Seeds are fixed, so a failure replays. */
import { expect, test } from 'vitest'
import { Schedule, type ScheduleCounts } from './schedule.ts'

const seedCount = Number(process.env['SKEIN_SEEDS'] ?? 60)

test('acknowledged writes survive, one member serves at a time, and copies end up equal, whatever the schedule', () => {
  const sums: Partial<Record<keyof ScheduleCounts, number>> = {}
  for (let seed = 1; seed <= seedCount; seed++) {
    const schedule = new Schedule(seed)
    try {
      schedule.run(4_000, 5_000)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : ''}`, { cause: error })
    }
    for (const [name, count] of Object.entries(schedule.counts)) {
      if (count > 0) sums[name as keyof ScheduleCounts] = (sums[name as keyof ScheduleCounts] ?? 0) + 1
    }
  }
  // What never happened was not tested.
  for (const name of ['acked', 'moved', 'promoted', 'removed', 'tails', 'snapshots', 'asleep', 'readers'] as const) {
    expect(sums[name] ?? 0, name).toBeGreaterThan(seedCount / 20)
  }
}, 60_000)
