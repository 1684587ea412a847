import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Deadlines } from '../../../lib/structures/deadlines.ts'
import { OrderedMap } from '../../../lib/structures/ordered-map.ts'
import { Positions } from '../../../lib/structures/positions.ts'
import { plainBytes } from '../../../lib/base/bytes.ts'
import { MemoryStore, recordBytes } from '../../../lib/structures/store.ts'

describe('a store', () => {
  test('counts bytes by its formula', () => {
    expect(recordBytes('ab', null)).toBe(192 + 20 + 8)
    expect(plainBytes(new Uint8Array(10))).toBe(250)
    expect(plainBytes([1, 'a'])).toBe(48 + 16 + 8 + 18)
    expect(plainBytes({ a: true })).toBe(48 + 8 + 2 + 8)
  })

  test('is as large as its records, whatever was put, replaced and deleted', () => {
    const step = fc.tuple(fc.constantFrom('s', 't'), fc.constantFrom('a', 'b', 'c'), fc.option(fc.string()))
    fc.assert(
      fc.property(fc.array(step), steps => {
        const store = new MemoryStore()
        for (const [space, key, value] of steps) {
          if (value === null) store.delete(space, key)
          else store.put(space, key, [value])
        }
        const sum = [...store.snapshot()].reduce((bytes, [, key, record]) => bytes + recordBytes(key, record), 0)
        expect(store.bytes).toBe(sum)
      }),
    )
  })
})

test('an ordered map answers as a sorted map does, over many splits', () => {
  const key = fc.nat(6_000).map(number => `k${(number * 7_919) % 6_000}`)
  const step = fc.tuple(key, fc.boolean())
  fc.assert(
    fc.property(fc.array(step, { minLength: 3_000, maxLength: 9_000, size: 'max' }), key, (steps, after) => {
      const map = new OrderedMap<number>()
      const model = new Map<string, number>()
      for (const [at, [name, isSet]] of steps.entries()) {
        expect(isSet ? map.set(name, at) : map.delete(name)).toBe(model.get(name))
        if (isSet) model.set(name, at)
        else model.delete(name)
      }
      const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
      expect(map.size).toBe(model.size)
      expect(map.page(undefined, 10_000)).toEqual(sorted)
      expect(map.page(after, 50)).toEqual(sorted.filter(([name]) => name > after).slice(0, 50))
      for (const [name, value] of sorted.slice(0, 100)) expect(map.get(name)).toBe(value)
      const visited: string[] = []
      for (const entries of map.view()) visited.push(...entries.keys())
      expect(visited.sort()).toEqual(sorted.map(([name]) => name))
    }),
    { numRuns: 15 },
  )
})

test('a snapshot shows its own moment, whatever is written while it is read', () => {
  const step = fc.tuple(
    fc.nat(2_000).map(n => `k${n}`),
    fc.option(fc.nat(9)),
  )
  const steps = fc.array(step, { maxLength: 3_000, size: 'max' })
  const apply = (store: MemoryStore, all: readonly (readonly [string, number | null])[]): void => {
    for (const [key, value] of all) {
      if (value === null) store.delete('s', key)
      else store.put('s', key, value)
    }
  }
  fc.assert(
    fc.property(steps, steps, steps, (before, between, after) => {
      const store = new MemoryStore()
      apply(store, before)
      const expected = [...store.snapshot()]
      const early = store.snapshot()
      apply(store, between)
      const late = store.snapshot()
      const expectedLate = [...late]
      const read = early[Symbol.iterator]()
      const half = expected.slice(0, expected.length >> 1).map(() => read.next().value as unknown)
      apply(store, after)
      expect([...half, ...Array.from({ [Symbol.iterator]: () => read })]).toEqual(expected)
      expect([early.length, late.length]).toEqual([expected.length, expectedLate.length])
      expect([...late]).toEqual(expectedLate)
    }),
    { numRuns: 30 },
  )
})

describe('deadlines', () => {
  test('come due in order, as last set, unless ended', () => {
    const step = fc.tuple(fc.nat(20), fc.option(fc.nat(100)))
    fc.assert(
      fc.property(fc.array(step), fc.nat(100), (steps, nowMs) => {
        const deadlines = new Deadlines<number, null>()
        const model = new Map<number, number>()
        for (const [key, dueMs] of steps) {
          if (dueMs === null) deadlines.delete(key)
          else deadlines.set(key, dueMs, null)
          if (dueMs === null) model.delete(key)
          else model.set(key, dueMs)
        }
        expect(deadlines.nextMs()).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
        const taken: number[] = []
        expect(deadlines.countDue(nowMs, 5)).toBe(Math.min(5, [...model.values()].filter(ms => ms <= nowMs).length))
        for (let key = deadlines.nextKey(); key !== undefined; key = deadlines.nextKey()) {
          if ((deadlines.nextMs() ?? 0) > nowMs) break
          expect(deadlines.nextMs()).toBe(model.get(key))
          deadlines.delete(key)
          taken.push(key)
        }
        expect(taken.toSorted((a, b) => a - b)).toEqual(
          [...model]
            .filter(([, dueMs]) => dueMs <= nowMs)
            .map(([key]) => key)
            .sort((a, b) => a - b),
        )
        expect(deadlines.size).toBe(model.size - taken.length)
      }),
    )
  })

  test('that are named come again after a while, if nothing was done about them', () => {
    const deadlines = new Deadlines<string, null>()
    for (const key of ['a', 'b', 'c']) deadlines.set(key, 10, null)
    const named = (nowMs: number, countMax: number): string[] => {
      const keys: string[] = []
      deadlines.name(nowMs, countMax, 100, key => keys.push(key) > 0)
      return keys
    }
    expect(named(10, 2)).toEqual(['a', 'b'])
    expect(named(10, 2)).toEqual(['c'])
    expect(deadlines.nextMs()).toBe(110)
    deadlines.delete('a')
    expect(named(110, 9)).toEqual(['b', 'c'])
  })

  test('that are passed over count four to one: a thousand that can not go are not walked in one go', () => {
    const deadlines = new Deadlines<number, null>()
    for (let key = 0; key < 1_000; key++) deadlines.set(key, 10, null)
    let visits = 0
    deadlines.name(10, 5, 100, () => {
      visits++
      return false
    })
    expect([visits, deadlines.size, deadlines.nextMs()]).toEqual([20, 1_000, 10])
  })

  test('stay as small as what is alive where nobody asks what is due', () => {
    const deadlines = new Deadlines<number, null>()
    const before = deadlines.size
    for (let round = 0; round < 100_000; round++) deadlines.set(round % 10, round, null)
    expect([before, deadlines.size, deadlines.nextMs()]).toEqual([0, 10, 99_990])
  })
})

test('positions give the smallest that is there', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(30), fc.boolean())), steps => {
      const heap = new Positions()
      const model = new Set<number>()
      for (const [position, isAdded] of steps) {
        expect(isAdded ? heap.add(position) : heap.delete(position)).toBe(isAdded !== model.has(position))
        if (isAdded) model.add(position)
        else model.delete(position)
        expect(heap.first()).toBe(model.size === 0 ? undefined : Math.min(...model))
        expect(heap.size).toBe(model.size)
      }
    }),
  )
})
