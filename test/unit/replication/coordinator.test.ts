import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../lib/replication/command.ts'
import { callOf, commandOf, Desk, done, only, operation, retry, type Sent } from './desk.ts'

describe('a transaction', () => {
  const prepared: Outcome = { kind: 'done', results: [] }

  test('in one partition is one command', () => {
    const desk = new Desk()
    const id = desk.transact([2, 2])
    const sent = only(desk.sent())
    expect(commandOf(sent)).toMatchObject({ kind: 'execute', operations: [operation, operation] })
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
  })

  test('of nothing is done', () => {
    const desk = new Desk()
    const id = desk.transact([])
    expect(desk.settled.size).toBe(0)
    desk.pass(0)
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('prepares everywhere, then decides under its own identity at the first partition', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    const prepares = desk.sent()
    const transaction = { session: 'm#1', sequence: 1, partition: 1 }
    expect(prepares.map(sent => [sent.to, commandOf(sent)])).toMatchObject([
      ['o', { kind: 'prepare', transaction, call: { sequence: 2, mark: 1 } }],
      ['p', { kind: 'prepare', transaction, call: { sequence: 1, mark: 1 } }],
    ])
    desk.reply(prepares[0] as Sent, prepared)
    expect(desk.sent()).toEqual([])
    desk.reply(prepares[1] as Sent, prepared)
    const decision = only(desk.sent())
    expect(decision).toMatchObject({ to: 'o', partition: 1 })
    expect(commandOf(decision)).toMatchObject({
      kind: 'decide',
      call: { session: 'm#1', sequence: 1, mark: 1 },
      participants: [1, 2],
      commit: true,
    })
    expect(desk.settled.size).toBe(0)
    desk.reply(decision, { kind: 'done', results: [true] })
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('is refused as soon as one part is, with the position the caller knows, and aborts the rest', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2, 1])
    const [first] = desk.sent() as [Sent, Sent]
    const refusal: Outcome = { kind: 'refused', code: 'CONFLICT', message: 'no', operation: 1, detail: 9 }
    desk.reply(first, refusal)
    expect(desk.settled.get(id)).toEqual({ ...refusal, operation: 2 })
    const abort = only(desk.sent())
    expect(commandOf(abort)).toMatchObject({ kind: 'decide', participants: [1, 2], commit: false })
    desk.reply(abort, { kind: 'done', results: [false] })
    desk.call(1)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 3, mark: 3 })
    desk.call(2)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 2, mark: 2 })
  })

  test('that meets a held key aborts and tries again under a new identity', () => {
    const desk = new Desk()
    desk.transact([1, 2])
    const [first, second] = desk.sent() as [Sent, Sent]
    desk.reply(first, prepared)
    desk.reply(second, retry('locked'))
    expect(commandOf(only(desk.sent()))).toMatchObject({ kind: 'decide', commit: false, call: { sequence: 1 } })
    desk.pass(20)
    expect(desk.sent().map(sent => commandOf(sent))).toMatchObject([
      { kind: 'prepare', transaction: { sequence: 3 } },
      { kind: 'prepare', transaction: { sequence: 3 } },
    ])
  })

  test('that a participant had aborted tries again', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [false] })
    expect(desk.settled.size).toBe(0)
    desk.pass(20)
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [true] })
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('without an answer to its prepares is unavailable at the deadline: it was never decided', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2], 3000)
    desk.pass(3000)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('without an answer to its decision is indeterminate at the deadline', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2], 3000)
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.pass(3000)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('whose session ends before the decision was sent begins anew under the next one', () => {
    const desk = new Desk()
    desk.transact([1, 2])
    desk.sent()
    desk.session('m#2')
    expect(desk.sent()).toEqual([])
    desk.pass(20)
    expect(commandOf(desk.sent()[0])).toMatchObject({ kind: 'prepare', transaction: { session: 'm#2', sequence: 1 } })
  })

  test('whose session ends while the decision is under way is indeterminate', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.session('m#2')
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('waits for another to end when too many are open, and is refused when too many wait', () => {
    const desk = new Desk({ transactions: { openMax: 1, waitingMax: 1 } })
    desk.transact([1, 2])
    const prepares = desk.sent()
    desk.transact([1, 2])
    const refused = desk.transact([1, 2])
    expect(desk.sent()).toEqual([])
    desk.pass(0)
    expect(desk.settled.get(refused)).toMatchObject({ kind: 'refused', code: 'FULL' })
    for (const sent of prepares) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [true] })
    expect(desk.sent()).toHaveLength(2)
  })

  test('that is cancelled before its decision did not happen, and lets go of its keys', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    desk.sent()
    desk.step({ kind: 'cancel', id })
    desk.pass(0)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'cancelled' })
    expect(commandOf(only(desk.sent()))).toMatchObject({ kind: 'decide', commit: false })
  })
})
