import { describe, expect, test } from 'vitest'
import { Agenda } from '../../../sim/agenda.ts'
import { SimClock, epochMs } from '../../../sim/clock.ts'
import { SimProcess } from '../../../sim/env.ts'
import { LivelockError, World } from '../../../sim/world.ts'
import { Prng } from '../../../lib/base/prng.ts'

describe('the agenda', () => {
  test('gives events by time, and those of one time in the order of planning', () => {
    const agenda = new Agenda()
    const seen: string[] = []
    for (const [atUs, name] of [
      [5, 'c'],
      [1, 'a'],
      [5, 'd'],
      [3, 'b'],
      [5, 'e'],
    ] as const) {
      agenda.plan(atUs, () => seen.push(name))
    }
    for (let next = agenda.take(); next !== undefined; next = agenda.take()) next.run?.()
    expect(seen.join('')).toBe('abcde')
  })

  test('forgets the cancelled ones, also when most of it is cancelled', () => {
    const agenda = new Agenda()
    const random = new Prng(7)
    const planned = Array.from({ length: 5_000 }, (_, i) => agenda.plan(random.int(0, 1_000), () => seen.push(i)))
    const seen: number[] = []
    planned.forEach((one, i) => {
      if (i % 10 !== 0) agenda.cancel(one)
    })
    expect(agenda.length).toBe(500)
    let lastUs = 0
    for (let next = agenda.take(); next !== undefined; next = agenda.take()) {
      expect(next.atUs).toBeGreaterThanOrEqual(lastUs)
      lastUs = next.atUs
      next.run?.()
    }
    expect(seen).toHaveLength(500)
    expect(agenda.length).toBe(0)
  })
})

describe('the world', () => {
  test('runs until a time and no further', () => {
    const world = new World({ seed: 1 })
    const seen: number[] = []
    for (const ms of [30, 10, 20, 40]) world.at(ms, () => seen.push(world.nowMs))
    world.run(30)
    expect(seen).toEqual([10, 20, 30])
    expect(world.nowMs).toBe(30)
  })

  test('settles chains of promises at the instant that caused them', async () => {
    const world = new World({ seed: 1, hopCount: 16 })
    const seen: string[] = []
    const chain = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) await Promise.resolve()
      seen.push(`settled at ${world.nowMs}`)
    }
    world.at(10, () => void chain())
    world.at(10.5, () => seen.push('next event'))
    await world.play(20)
    expect(seen).toEqual(['settled at 10', 'next event'])
  })

  test('says when no time passes any more', () => {
    const world = new World({ seed: 1, eventsPerInstantMax: 1_000 })
    const again = (): void => void world.after(0, again)
    again()
    expect(() => world.run(1)).toThrow(LivelockError)
  })

  test('has the same hash for the same events and another one for others', () => {
    const hash = (about: string): string => {
      const world = new World({ seed: 3 })
      world.at(1, () => world.note('deliver', 'a>b', { kind: 'append', epoch: 3, about }))
      world.at(2, () => world.note('crash', 'a'))
      world.run(5)
      return world.trace.hash
    }
    expect(hash('x')).toBe(hash('x'))
    expect(hash('x')).not.toBe(hash('y'))
    expect(hash('x')).toMatch(/^[0-9a-f]{16}$/)
  })

  test('keeps the last 200 events in order', () => {
    const world = new World({ seed: 3 })
    for (let i = 0; i < 450; i++) world.note('event', `e${i}`)
    const lines = world.trace.lines()
    expect(lines).toHaveLength(200)
    expect(lines[0]).toContain('e250')
    expect(lines[199]).toContain('e449')
  })
})

describe('a process', () => {
  const make = (driftPpm = 0): { world: World; clock: SimClock; process: SimProcess } => {
    const world = new World({ seed: 5 })
    const clock = new SimClock(world, { driftPpm, monotonicStartMs: 1_000, wallOffsetMs: 0 })
    return { world, clock, process: new SimProcess(world, 'goose-1', clock, () => {}) }
  }

  test('measures by its own drifting clock', () => {
    const { world, process } = make(1_000)
    let firedMs = 0
    process.at(2_000, () => (firedMs = world.nowMs))
    world.run(5_000)
    expect(firedMs).toBeCloseTo(1_000 / 1.001, 2)
    expect(process.now().monotonicMs).toBeCloseTo(1_000 + 5_005, 6)
  })

  test('never fires a timer before its own clock shows the time', () => {
    const random = new Prng(11)
    for (let i = 0; i < 200; i++) {
      const { world, process } = make(random.between(-200, 200))
      const atMs = random.between(1_000, 3_000)
      let shownMs = 0
      process.at(atMs, () => (shownMs = process.now().monotonicMs))
      world.run(5_000)
      expect(shownMs).toBeGreaterThanOrEqual(atMs)
      expect(shownMs).toBeLessThan(atMs + 0.01)
    }
  })

  test('collects its input while it is stopped and folds all of it when it goes on', () => {
    const { world, process } = make()
    const seen: string[] = []
    process.at(1_050, () => seen.push(`timer at ${world.nowMs}`))
    world.at(10, () => process.stop())
    world.at(20, () => process.enter(() => seen.push(`message at ${world.nowMs}`)))
    world.at(100, () => process.continue())
    world.run(200)
    expect(seen).toEqual(['message at 100', 'timer at 100'])
  })

  test('stands still on its monotonic clock in a suspend, and not on its wall clock', () => {
    const { world, clock, process } = make()
    world.at(100, () => clock.suspend())
    world.at(600, () => clock.resume())
    let firedMs = 0
    process.at(1_200, () => (firedMs = world.nowMs))
    world.run(1_000)
    expect(process.now().monotonicMs).toBeCloseTo(1_500, 6)
    expect(process.now().wallMs).toBe(epochMs + 1_000)
    expect(firedMs).toBeCloseTo(700, 2)
  })

  test('hears and does nothing once it is dead', () => {
    const { world, process } = make()
    const seen: string[] = []
    process.at(1_050, () => seen.push('timer'))
    process.turn(() => seen.push('turn'))
    process.kill()
    process.enter(() => seen.push('message'))
    world.run(200)
    expect(seen).toEqual([])
  })

  test('lags when it is slow and keeps the order', () => {
    const { world, process } = make()
    const seen: number[] = []
    process.slow({ lagMaxMs: 50 })
    for (let i = 0; i < 10; i++) world.at(i, () => process.enter(() => seen.push(i)))
    world.run(1_000)
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('ends a turn once, after all input at hand', () => {
    const { world, process } = make()
    const seen: string[] = []
    for (const name of ['a', 'b']) {
      world.at(10, () =>
        process.enter(() => {
          seen.push(name)
          process.turn(() => seen.push(`end of ${name}`))
        }),
      )
    }
    world.run(20)
    expect(seen).toEqual(['a', 'b', 'end of a', 'end of b'])
  })
})
