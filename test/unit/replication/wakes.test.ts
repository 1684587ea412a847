import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Wakes, type Waking } from '../../../lib/replication/wakes.ts'

interface Item extends Waking {
  readonly name: string | number
}

const named = (name: string | number): Item => ({ name, wakeAtMs: undefined })

test('takes each item at its last time, earliest first, and never a cancelled one', () => {
  const times = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.option(fc.integer({ min: 0, max: 50 }))))
  const property = fc.property(times, fc.integer({ min: 0, max: 60 }), (steps, nowMs) => {
    const wakes = new Wakes<Item>()
    const items = Array.from({ length: 10 }, (_, at) => named(at))
    const model = new Map<Item, number>()
    for (const [at, atMs] of steps) {
      const item = items[at] as Item
      model.delete(item)
      if (atMs === null) wakes.cancel(item)
      else {
        wakes.wakeAt(item, atMs)
        model.set(item, atMs)
      }
    }
    const byTime = [...model].toSorted(([, a], [, b]) => a - b)
    expect(wakes.nextMs).toBe(byTime[0]?.[1])
    const due = byTime.filter(([, atMs]) => atMs <= nowMs)
    expect(wakes.takeDue(nowMs)).toEqual(due.map(([item]) => item))
    expect(wakes.nextMs).toBe(byTime[due.length]?.[1])
  })
  fc.assert(property, { numRuns: 500, seed: 1 })
})

test('is never early: a fraction of a millisecond is rounded up', () => {
  const wakes = new Wakes<Item>()
  const x = named('x')
  wakes.wakeAt(x, 10.2)
  expect(wakes.nextMs).toBe(11)
  expect(wakes.takeDue(10.9)).toEqual([])
  expect(wakes.takeDue(11)).toEqual([x])
})
