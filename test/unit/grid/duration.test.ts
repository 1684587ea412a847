import { expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { durationMs } from '../../../lib/grid/duration.ts'

test('reads durations as people write them', () => {
  expect(['250ms', '5s', '1.5m', '24h', '7d', '0s'].map(text => durationMs(text))).toEqual([
    250, 5_000, 90_000, 86_400_000, 604_800_000, 0,
  ])
})

test('takes a number as milliseconds and rounds up to whole ones', () => {
  expect([durationMs(0), durationMs(12.2), durationMs('0.3ms')]).toEqual([0, 13, 1])
})

test('refuses what is no duration, and says which setting it was', () => {
  for (const wrong of ['5', 's', '5 s', '-5s', '5sec', '', '1e3s', '999999999d', NaN, -1, Infinity])
    expect(() => durationMs(wrong, 'ttl of map carts')).toThrow(InvalidError)
  expect(() => durationMs('5 minutes', 'ttl of map carts')).toThrow(/^ttl of map carts: '5 minutes' is not a duration/)
})
