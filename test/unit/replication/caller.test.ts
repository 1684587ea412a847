import { describe, expect, test } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import type { Outcome } from '../../../lib/replication/command.ts'
import { outcomeBytes } from '../../../lib/replication/size.ts'
import { callOf, Desk, done, only, operation, retry, type Sent } from './desk.ts'

describe('a call', () => {
  test('goes to the owner under a sequence of its own, and settles with what the owner says', () => {
    const desk = new Desk()
    const id = desk.call(2)
    const sent = only(desk.sent())
    expect(sent).toMatchObject({ to: 'p', partition: 2, command: { kind: 'execute', operations: [operation] } })
    expect(callOf(sent)).toEqual({ session: 'm#1', sequence: 1, mark: 1 })
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
    desk.pass(10_000)
    expect(desk.sent()).toEqual([])
  })

  test('carries the lowest unanswered sequence of its partition as mark', () => {
    const desk = new Desk()
    for (let i = 0; i < 3; i++) desk.call()
    const [first, second] = desk.sent() as [Sent, Sent]
    desk.reply(second, done)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 4, mark: 1 })
    desk.reply(first, done)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 5, mark: 3 })
    desk.call(1)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 1, mark: 1 })
  })

  test('is sent again with the same identity while nothing is heard, at growing intervals', () => {
    const desk = new Desk()
    desk.call()
    const [first] = desk.sent()
    const atMs: number[] = []
    for (let i = 0; i < 35; i++) {
      desk.pass(100)
      for (const again of desk.sent()) {
        atMs.push(desk.nowMs)
        expect(callOf(again)).toEqual(callOf(first))
        expect(again.id).not.toBe(first?.id)
      }
    }
    expect(atMs).toEqual([200, 600, 1400, 2400, 3400])
  })

  test('moves to the new owner at once when the table names one', () => {
    const desk = new Desk()
    desk.call()
    desk.sent()
    desk.table('new', 'o', 'p')
    expect(only(desk.sent())).toMatchObject({ to: 'new', command: { call: { sequence: 1 } } })
    desk.table('new', 'x', 'p')
    expect(desk.sent()).toEqual([])
  })

  test('follows a hint at once, but not for ever', () => {
    const desk = new Desk()
    desk.call()
    desk.reply(only(desk.sent()), retry('not-owner', 'h'))
    const hinted = only(desk.sent())
    expect(hinted.to).toBe('h')
    desk.reply(hinted, retry('not-owner', 'o'))
    const back = only(desk.sent())
    expect(back.to).toBe('o')
    desk.reply(back, retry('not-owner', 'h'))
    expect(desk.sent()).toEqual([])
    desk.pass(50)
    expect(desk.sent().length).toBe(1)
  })

  test.each([
    ['not-open', 5, 50],
    ['no-lease', 5, 50],
    ['few-copies', 5, 50],
    ['busy', 5, 50],
    ['locked', 1, 20],
  ] as const)('backs off with jitter when told %s', (reason, minMs, maxMs) => {
    const desk = new Desk()
    desk.call()
    desk.reply(only(desk.sent()), retry(reason))
    desk.pass(minMs - 0.5)
    expect(desk.sent()).toEqual([])
    desk.pass(maxMs - minMs + 0.5)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 1 })
  })

  test('is sent again soon after its link broke', () => {
    const desk = new Desk()
    desk.call()
    desk.call(2)
    desk.sent()
    desk.step({ kind: 'linkDown', member: 'o' })
    desk.pass(50)
    expect(only(desk.sent()).to).toBe('o')
  })

  test('waits its turn beyond 1,024 unanswered ones, and is refused when too many wait', () => {
    const desk = new Desk({ requests: { waitingMax: 2 } })
    for (let i = 0; i < 1026; i++) desk.call()
    const sent = desk.sent()
    expect(sent).toHaveLength(1024)
    const refused = desk.call()
    expect(desk.settled.size).toBe(0)
    desk.pass(0)
    expect(desk.settled.get(refused)).toMatchObject({ kind: 'refused', code: 'FULL' })
    desk.reply(sent[1] as Sent, done)
    expect(desk.sent()).toEqual([])
    desk.reply(sent[0] as Sent, done)
    expect(desk.sent().map(request => callOf(request))).toMatchObject([
      { sequence: 1025, mark: 3 },
      { sequence: 1026, mark: 3 },
    ])
  })

  test('beyond the limit of the member is refused', () => {
    const desk = new Desk({ callsMax: 1 })
    desk.call()
    const id = desk.ask()
    desk.pass(0)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'refused', code: 'FULL' })
  })
})

describe('at the deadline', () => {
  test('a call that was never sent is unavailable', () => {
    const desk = new Desk({}, [undefined])
    const id = desk.call(0, 300)
    desk.pass(299)
    expect(desk.settled.size).toBe(0)
    desk.pass(1)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'partition 0 has no owner' })
  })

  test('a call of a member without a session is unavailable', () => {
    const desk = new Desk()
    desk.session(undefined)
    desk.session('m#2')
    desk.session(undefined)
    const id = desk.call(0, 300)
    expect(desk.sent()).toEqual([])
    desk.pass(300)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'this member has no session' })
  })

  test('a call whose every sending was turned down is unavailable', () => {
    const desk = new Desk()
    const id = desk.call(0, 300)
    for (let i = 0; i < 60; i++) {
      for (const sent of desk.sent()) desk.reply(sent, retry('not-open'))
      desk.pass(5)
    }
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('a call is indeterminate if one sending found no answer, whatever the others heard', () => {
    const desk = new Desk()
    const id = desk.call(0, 300)
    desk.sent()
    desk.table('new')
    for (let i = 0; i < 60; i++) {
      for (const sent of desk.sent()) desk.reply(sent, retry('not-open'))
      desk.pass(5)
    }
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('the sequence of a call that was given up is not used again, and the mark passes it', () => {
    const desk = new Desk()
    desk.call(0, 100)
    desk.sent()
    desk.pass(100)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 2, mark: 2 })
  })

  test('a read is unavailable: it changed nothing', () => {
    const desk = new Desk()
    const id = desk.ask(0, 100)
    expect(only(desk.sent())).toMatchObject({ kind: 'query', query: { kind: 'toy.get' } })
    desk.pass(100)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('that has passed already nothing is sent', () => {
    const desk = new Desk()
    const id = desk.call(0, 0)
    desk.pass(0)
    expect(desk.sent()).toEqual([])
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })
})

describe('a cancelled call', () => {
  test('settles as what is known of it, once', () => {
    const desk = new Desk()
    const sentOne = desk.call()
    const sent = only(desk.sent())
    desk.step({ kind: 'cancel', id: sentOne })
    desk.pass(0)
    expect(desk.settled.get(sentOne)).toMatchObject({ kind: 'indeterminate' })
    desk.settled.clear()
    desk.reply(sent, done)
    desk.step({ kind: 'cancel', id: sentOne })
    desk.pass(0)
    expect(desk.settled.size).toBe(0)
  })
})

describe('what an owner refuses without logging', () => {
  const full: Outcome = { kind: 'refused', code: 'GRID_FULL', message: '', operation: 0, detail: null }

  test('did not happen if it was the only sending', () => {
    const desk = new Desk()
    const id = desk.call()
    desk.reply(only(desk.sent()), full)
    expect(desk.settled.get(id)).toEqual(full)
  })

  test('is asked again while an earlier sending may have been applied', () => {
    const desk = new Desk()
    const id = desk.call()
    desk.sent()
    desk.pass(200)
    desk.reply(only(desk.sent()), full)
    expect(desk.settled.size).toBe(0)
    desk.pass(50)
    desk.reply(only(desk.sent()), done)
    expect(desk.settled.get(id)).toEqual(done)
  })
})

describe('when the session is replaced', () => {
  test('calls that may have been applied are indeterminate, others go on under the new one', () => {
    const desk = new Desk()
    const open = desk.call()
    const turnedDown = desk.call()
    const [, second] = desk.sent()
    desk.reply(second as Sent, retry('busy'))
    desk.session(undefined)
    expect(desk.settled.size).toBe(0)
    desk.session('m#2')
    expect(desk.settled.get(open)).toMatchObject({ kind: 'indeterminate' })
    const again = only(desk.sent())
    expect(callOf(again)).toEqual({ session: 'm#2', sequence: 1, mark: 1 })
    desk.reply(again, done)
    expect(desk.settled.get(turnedDown)).toEqual(done)
  })

  test('and it was only a pause, calls go on under the same one', () => {
    const desk = new Desk()
    desk.call()
    const sent = only(desk.sent())
    desk.session(undefined)
    const second = desk.call()
    desk.session('m#1')
    expect(callOf(only(desk.sent()))).toMatchObject({ session: 'm#1', sequence: 2, mark: 1 })
    desk.reply(sent, done)
    expect(desk.settled.has(second)).toBe(false)
  })

  test('reads go on', () => {
    const desk = new Desk()
    const id = desk.ask()
    const sent = only(desk.sent())
    desk.session('m#2')
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
  })
})

describe('an answer that is larger than was expected', () => {
  const large = 1_500_000

  test('is asked for again with room for it, as the same call', () => {
    const desk = new Desk()
    const id = desk.call()
    const first = only(desk.sent())
    desk.oversize(first, large)
    const again = only(desk.sent())
    expect(callOf(again)).toEqual(callOf(first))
    expect(again.replyBytesMax).toBe(large)
    desk.reply(again, done)
    expect(desk.settled.get(id)).toEqual(done)
  })

  test('is not awaited of a command of many operations because few came before', () => {
    const desk = new Desk()
    const outcome = (count: number): Outcome => ({
      kind: 'done',
      results: Array.from<Plain>({ length: count }).fill('x'.repeat(100)),
    })
    for (let i = 0; i < 100; i++) {
      desk.call()
      desk.reply(only(desk.sent()), outcome(1))
    }
    desk.call(0, 5_000, 20)
    expect(only(desk.sent()).replyBytesMax).toBeGreaterThan(outcomeBytes(outcome(20)))
  })

  test('leaves a command that is given up indeterminate: it may have happened', () => {
    const desk = new Desk()
    const id = desk.call(0, 300)
    desk.oversize(only(desk.sent()), large)
    desk.reply(only(desk.sent()), retry('busy'))
    desk.pass(1_000)
    expect(desk.settled.get(id)?.kind).toBe('indeterminate')
  })

  test('waits for others of its size from the same owner: no lane is overrun', () => {
    const desk = new Desk()
    const ids = Array.from({ length: 12 }, () => desk.ask())
    for (const sent of desk.sent()) desk.oversize(sent, large)
    let answered = 0
    for (let sent = desk.sent(); sent.length > 0; sent = desk.sent()) {
      expect(sent.reduce((sum, { replyBytesMax }) => sum + replyBytesMax, 0)).toBeLessThan(2 * 1024 * 1024)
      for (const each of sent) desk.reply(each, done)
      answered += sent.length
    }
    expect(answered).toBe(ids.length)
    expect(ids.every(id => desk.settled.has(id))).toBe(true)
  })

  test('teaches what the next reads count as', () => {
    const desk = new Desk()
    const answer = { kind: 'done', results: [new Uint8Array(50_000)] } as const
    for (let i = 0; i < 10; i++) {
      desk.ask()
      const sent = only(desk.sent())
      if (sent.replyBytesMax > 50_200) return
      desk.oversize(sent, 50_200)
      desk.reply(only(desk.sent()), answer)
    }
    expect.unreachable('each read went twice')
  })
})
