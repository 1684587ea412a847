import { describe, expect, test } from 'vitest'
import { aggregationViolations, type GroupHistory } from '../../../../sim/checkers/aggregation.ts'
import { bankViolation } from '../../../../sim/checkers/bank.ts'
import { counterViolation, type CounterCall } from '../../../../sim/checkers/counter.ts'
import { fencingViolation, type Grant } from '../../../../sim/checkers/fencing.ts'
import { queueViolations, type Delivery, type Put } from '../../../../sim/checkers/total-queue.ts'

describe('the counter checker', () => {
  const add = (calledAt: number, returnedAt: number, value: number | undefined): CounterCall => ({
    kind: 'add',
    calledAt,
    returnedAt,
    value,
  })
  const read = (calledAt: number, returnedAt: number, value: number): CounterCall => ({
    kind: 'read',
    calledAt,
    returnedAt,
    value,
  })

  test('accepts additions in any order while they overlap', () => {
    expect(counterViolation([add(1, 10, 2), add(2, 9, 1), read(3, 8, 1), read(11, 12, 2)])).toBeUndefined()
  })

  test('accepts a gap that a call of unknown outcome may have made', () => {
    expect(counterViolation([add(1, 2, 1), add(3, Infinity, undefined), add(5, 6, 3)])).toBeUndefined()
  })

  test('finds an addition that was applied twice', () => {
    expect(counterViolation([add(1, 2, 1), add(3, 4, 3)])).toContain('reached 3 by 2 known additions')
    expect(counterViolation([add(1, 2, 1), add(3, Infinity, undefined), read(5, 6, 3)])).toContain('reached 3')
  })

  test('finds an acknowledged addition that is lost', () => {
    expect(counterViolation([add(1, 2, 1), add(3, 4, 1)])).toBe('two additions returned the same value')
    expect(counterViolation([add(1, 2, 1), read(3, 4, 0)])).toBe('read returned 0 after 1 had been seen')
  })
})

describe('the fencing checker', () => {
  const grant = (token: number, calledAt: number, returnedAt: number, ...acceptedAt: number[]): Grant => ({
    token,
    calledAt,
    returnedAt,
    acceptedAt,
  })

  test('accepts tokens that grow, each used before the next', () => {
    expect(fencingViolation([grant(1, 1, 2, 3), grant(5, 4, 8, 9), grant(7, 10, 11)])).toBeUndefined()
  })

  test('accepts a use that began before the next grant returned', () => {
    expect(fencingViolation([grant(1, 1, 2, 5), grant(2, 4, 6)])).toBeUndefined()
  })

  test('finds an old token that is accepted after a newer grant', () => {
    expect(fencingViolation([grant(1, 1, 2, 7), grant(2, 4, 6)])).toBe('token 1 was accepted after 2 had been granted')
  })

  test('finds a token that does not grow, or comes twice', () => {
    expect(fencingViolation([grant(5, 1, 2), grant(3, 4, 6)])).toBe('token 3 was granted after 5')
    expect(fencingViolation([grant(5, 1, 2), grant(5, 4, 6)])).toBe('one token was granted twice')
  })
})

describe('the bank checker', () => {
  test('accepts reads that sum up, and finds one that does not', () => {
    expect(bankViolation([{ calledAt: 1, balances: [90, 110] }], 200)).toBeUndefined()
    expect(bankViolation([{ calledAt: 1, balances: [90, 100] }], 200)).toBe('balances 90 100 sum up to 190, not 200')
  })
})

describe('the total-queue checker', () => {
  const put = (id: string, calledAt: number, returnedAt: number, group?: string): Put => ({
    id,
    group,
    calledAt,
    returnedAt,
  })
  const delivery = (id: string, calledAt: number, returnedAt: number, ack?: readonly [number, number]): Delivery => ({
    id,
    token: calledAt,
    calledAt,
    returnedAt,
    ackCalledAt: ack?.[0],
    ackReturnedAt: ack?.[1],
  })

  test('accepts what is committed once, what is still there, and what is unknown', () => {
    const puts = [put('a', 1, 2), put('b', 3, 4), put('c', 5, Infinity), put('d', 6, 7)]
    const deliveries = [delivery('a', 10, 11), delivery('a', 12, 13, [14, 15]), delivery('d', 16, 17, [18, Infinity])]
    expect(queueViolations({ puts, deliveries, left: ['b'] })).toEqual([])
  })

  test('finds a lost message', () => {
    expect(queueViolations({ puts: [put('a', 1, 2)], deliveries: [delivery('a', 3, 4)], left: [] })).toEqual([
      'a is lost: 1 deliveries, none committed',
    ])
  })

  test('finds a message that is committed twice, delivered after its commit, or left after it', () => {
    const deliveries = [delivery('a', 3, 4, [5, 6]), delivery('a', 7, 8, [9, 10])]
    expect(queueViolations({ puts: [put('a', 1, 2)], deliveries, left: ['a'] })).toEqual([
      'a was committed 2 times',
      'a is still there though it was committed',
      'a was delivered again after it had been committed',
    ])
  })

  test('finds a message that nobody put, or that is there twice', () => {
    expect(
      queueViolations({ puts: [put('a', 1, 2)], deliveries: [delivery('x', 3, 4)], left: ['a', 'a', 'y'] }),
    ).toEqual(['x was there though nobody had put it', 'y was there though nobody had put it', 'a is there 2 times'])
  })

  test('finds a message that overtook another of its group', () => {
    const puts = [put('a', 1, 2, 'g'), put('b', 3, 4, 'g')]
    const early = [delivery('b', 5, 6, [7, 8]), delivery('a', 9, 10, [11, 12])]
    expect(queueViolations({ puts, deliveries: early, left: [] })).toEqual(['b overtook a of its group'])
    const inOrder = [delivery('a', 5, 6, [7, 8]), delivery('b', 9, 10, [11, 12])]
    expect(queueViolations({ puts, deliveries: inOrder, left: [] })).toEqual([])
  })
})

describe('the aggregation checker', () => {
  const sources = ['head', 'payload']
  const whole: GroupHistory = {
    key: 'a1',
    added: sources,
    released: [sources],
    unknownCount: 0,
    isLeft: false,
  }

  test('accepts a group that left once and whole, one that is open, and one whose release is unknown', () => {
    expect(aggregationViolations(whole, sources)).toEqual([])
    expect(aggregationViolations({ ...whole, added: ['head'], released: [], isLeft: true }, sources)).toEqual([])
    expect(aggregationViolations({ ...whole, released: [], unknownCount: 1 }, sources)).toEqual([])
  })

  test('finds a group that left twice, in part, or not at all', () => {
    expect(aggregationViolations({ ...whole, released: [sources, sources] }, sources)).toEqual([
      'a1 was released 2 times',
    ])
    expect(aggregationViolations({ ...whole, released: [['head']] }, sources)).toEqual(['a1 was released with head'])
    expect(aggregationViolations({ ...whole, released: [['head', 'head']] }, sources)).toHaveLength(1)
    expect(aggregationViolations({ ...whole, released: [] }, sources)).toEqual(['a1 is lost'])
    expect(aggregationViolations({ ...whole, isLeft: true }, sources)).toEqual([
      'a1 is still there though it was released',
    ])
  })
})
