import { expect, test } from 'vitest'
import { deliveryViolations, type Delivered, type Pair } from '../../../../sim/checkers/delivery.ts'

const whole = (id: string): Delivered => ({ id, head: `head of ${id}`, payload: `payload of ${id}` })
const pair = (id: string, ...accepted: string[]): Pair => ({ id, accepted })

test('deliveries are in order when each whole pair came once, and one with an unknown half once or never', () => {
  const pairs = [pair('a', 'head', 'payload'), pair('b', 'head'), pair('c')]
  expect(deliveryViolations(pairs, [whole('a')])).toEqual([])
  expect(deliveryViolations(pairs, [whole('a'), whole('b'), whole('c')])).toEqual([])
})

test.for<[string, readonly Delivered[], string]>([
  ['lost', [], 'a was accepted and never delivered'],
  ['doubled', [whole('a'), whole('a')], 'a was delivered 2 times'],
  ['mixed up', [{ ...whole('a'), payload: 'payload of b' }], 'a was delivered as head of a and payload of b'],
  ['invented', [whole('a'), whole('z')], 'z was delivered and never sent'],
])('a delivery that is %s is found', ([, delivered, message]) => {
  expect(deliveryViolations([pair('a', 'head', 'payload')], delivered)).toEqual([message])
})
