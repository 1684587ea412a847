import { describe, expect, test } from 'vitest'
import { Orders, put } from './orders.ts'
import { Tape } from './tape.ts'

describe('a message group', () => {
  test('has one delivery at a time, in order', () => {
    const tape = new Orders()
    for (const id of ['a', 'b']) tape.run(put(id, { group: 'g' }))
    tape.run(put('c', { group: 'h' }))
    expect(tape.take().map(([id]) => id)).toEqual(['a', 'c'])
    expect(tape.stats()).toEqual([0, 0, 2, 1, 3])
  })

  test('goes on when its first message is acknowledged, dead or expired', () => {
    const tape = new Orders()
    for (const id of ['a', 'b']) tape.run(put(id, { group: 'g' }))
    tape.run(put('c', { group: 'g', expiresMs: 1 }))
    tape.run(put('d', { group: 'g' }))
    tape.ack(tape.one()[1])
    tape.nack(tape.one()[1], { isDead: true })
    tape.wait(1)
    expect(tape.ids()).toEqual(['d'])
  })

  test('waits while its first message backs off: nothing overtakes it', () => {
    const tape = new Orders()
    for (const id of ['a', 'b']) tape.run(put(id, { group: 'g' }))
    tape.nack(tape.one()[1])
    expect(tape.ids()).toEqual([])
    tape.wait(100)
    expect(tape.ids()).toEqual(['a'])
  })

  test('goes on at once when its first message is found expired and the delay of the next is over', () => {
    const tape = new Orders()
    tape.run(put('a', { group: 'g', expiresMs: 10 }))
    tape.run(put('b', { group: 'g', delayMs: 5 }))
    tape.wait(10)
    expect(tape.ids()).toEqual(['b'])
  })

  test('waits for a delayed first message', () => {
    const tape = new Orders()
    tape.run(put('a', { group: 'g', delayMs: 10 }))
    tape.run(put('b', { group: 'g' }))
    expect(tape.ids()).toEqual([])
    tape.wait(10)
    expect(tape.ids()).toEqual(['a'])
  })

  test('locks appends against one another, and tokens against their use', () => {
    const { machine } = new Tape()
    expect(machine.locks(put('a', { group: 'g' }))).toEqual(['queue:orders/g/g'])
    expect(machine.locks(put('a'))).toEqual([])
    expect(machine.locks({ kind: 'queue.ack', queue: 'orders', token: 7 } as never)).toEqual(['queue:orders/t/7'])
  })
})
