import { describe, expect, test } from 'vitest'
import type { Listed } from '../../../lib/structures/queue-operations.ts'
import { options, Orders, put } from './orders.ts'
import { bytesOf } from './tape.ts'

describe('a queue', () => {
  test('hands out messages in the order in which they came, once', () => {
    const tape = new Orders()
    for (const id of ['a', 'b', 'c']) tape.run(put(id, { headers: { n: 1 } }))
    expect(tape.ids(2)).toEqual(['a', 'b'])
    expect(tape.ids(2)).toEqual(['c'])
    expect(tape.ids()).toEqual([])
    expect(tape.stats()).toEqual([0, 0, 3, 0, 3])
  })

  test('forgets a message that its token acknowledged, and knows the token no more', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const [, token, attempt] = tape.one()
    expect(attempt).toBe(1)
    expect(tape.ack(token)).toEqual({ results: [true] })
    expect(tape.ack(token)).toHaveProperty('refused', 'STALE_TOKEN')
    expect(tape.stats()).toEqual([0, 0, 0, 0, 0])
  })

  test('does not take a token of another queue', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const token = tape.one()[1]
    expect(tape.attempt({ kind: 'queue.ack', queue: 'other', token } as never)).toHaveProperty('refused')
  })

  test('is bounded, what is leased and delayed included', () => {
    const tape = new Orders()
    for (const id of ['a', 'b', 'c']) tape.run(put(id))
    tape.take(2)
    for (const id of ['d', 'e']) tape.run(put(id, { delayMs: 50 }))
    expect(tape.attempt(put('f'))).toEqual({ refused: 'FULL', detail: 5 })
    expect(tape.attempt(put('f', { options: { capacity: 6 } }))).toHaveProperty('results')
  })

  test('backs off longer after each failed delivery, counts them, and tells the next the reason', () => {
    const tape = new Orders()
    tape.run(put('a'))
    expect(tape.nack(tape.one()[1], { error: 'boom' })).toBe(false)
    tape.wait(99)
    expect(tape.ids()).toEqual([])
    expect(tape.stats()).toEqual([0, 1, 0, 0, 1])
    tape.wait(1)
    const [, token, attempt, , , , , lastError] = tape.one()
    expect([attempt, lastError]).toEqual([2, 'boom'])
    tape.nack(token)
    tape.wait(199)
    expect(tape.ids()).toEqual([])
    tape.wait(1)
    expect(tape.one()[2]).toBe(3)
  })

  test('nacks at once or as late as asked', () => {
    const tape = new Orders()
    tape.run(put('a'))
    tape.nack(tape.one()[1], { delayMs: 0 })
    tape.nack(tape.one()[1], { delayMs: 7 })
    tape.wait(7)
    expect(tape.ids()).toEqual(['a'])
  })

  test('moves a message to the dead letters with the reason, at the last attempt or at once', () => {
    const tape = new Orders()
    tape.run(put('a', { group: 'g' }))
    for (const isDead of [false, false, true]) {
      expect(tape.nack(tape.one()[1], { error: 'boom', delayMs: 0 })).toBe(isDead)
    }
    tape.run(put('b'))
    expect(tape.nack(tape.one()[1], { isDead: true, error: 'poison' })).toBe(true)
    expect(tape.dead()).toMatchObject([
      [2, 'a', 'orders', bytesOf('a'), null, 'g', 3, 'boom', tape.atMs],
      [4, 'b', 'orders', bytesOf('b'), null, null, 1, 'poison', tape.atMs],
    ])
    expect(tape.stats()).toEqual([0, 0, 0, 0, 0])
  })

  test('keeps what does not fit into the dead letters, at the longest back-off', () => {
    const tape = new Orders()
    for (const id of ['a', 'b', 'c']) tape.run(put(id))
    expect(tape.take(3).map(([, token]) => tape.nack(token, { isDead: true }))).toEqual([true, true, false])
    tape.wait(999)
    expect(tape.stats()).toEqual([0, 1, 0, 0, 1])
    tape.wait(1)
    expect(tape.ids()).toEqual(['c'])
    expect(
      tape.attempt({
        kind: 'dead.put',
        dead: 'orders.dead',
        queue: 'q',
        id: 'x',
        body: bytesOf(''),
        reason: '',
        deadMax: 2,
      } as never),
    ).toHaveProperty('refused', 'FULL')
  })

  test('replays dead letters to where they came from, or drops them', () => {
    const tape = new Orders()
    for (const id of ['a', 'b']) tape.run(put(id))
    for (const [, token] of tape.take(2)) tape.nack(token, { isDead: true })
    const positions = tape.dead().map(letter => (letter as readonly [number])[0])
    expect(tape.run({ kind: 'dead.replay', dead: 'orders.dead', positions: [positions[0] as number, 999] })).toBe(1)
    expect(tape.run({ kind: 'dead.drop', dead: 'orders.dead', positions })).toBe(1)
    expect(tape.one().slice(0, 3)).toEqual(['a', expect.any(Number), 1])
    expect(tape.ask({ kind: 'dead.count', dead: 'orders.dead' })).toBe(0)
  })

  test('refuses a replay into a queue that is full', () => {
    const tape = new Orders()
    const tight = { options: { ...options, capacity: 1 } }
    tape.run(put('a', tight))
    tape.nack(tape.one()[1], { isDead: true })
    tape.run(put('b', tight))
    const [position] = tape.dead()[0] as readonly [number]
    const replay = { kind: 'dead.replay', dead: 'orders.dead', positions: [position] } as const
    expect(tape.attempt(replay)).toHaveProperty('refused', 'FULL')
    tape.ack(tape.one()[1])
    expect(tape.attempt(replay)).toEqual({ results: [1] })
  })

  test('hands out a delayed message when its time has come, older before newer', () => {
    const tape = new Orders()
    tape.run(put('late', { delayMs: 100 }))
    tape.run(put('soon'))
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(tape.monotonicMs + 100)
    tape.wait(100)
    expect(tape.ids()).toEqual(['late', 'soon'])
  })

  test('puts a message past its time among the dead, when it is met or by housekeeping', () => {
    const tape = new Orders()
    tape.run(put('a', { expiresMs: 10 }))
    tape.run(put('b', { expiresMs: 10 }))
    tape.wait(10)
    expect(tape.machine.due(tape.monotonicMs, tape.atMs, 1, () => false)).toHaveLength(1)
    expect(tape.ids()).toEqual([])
    expect(tape.dead()).toHaveLength(2)
    tape.run(put('c', { expiresMs: 10 }))
    tape.wait(10)
    expect(tape.ids()).toEqual(['c'])
  })

  test('does not expire what is being worked on', () => {
    const tape = new Orders()
    tape.run(put('a', { expiresMs: 10 }))
    const [, token] = tape.one()
    tape.wait(10)
    expect(tape.tend()).toEqual([])
    expect(tape.run({ kind: 'queue.expire', queue: 'orders', position: 1 })).toBe(false)
    expect(tape.ack(token)).toHaveProperty('results')
  })

  test('lists messages in order, whatever their state', () => {
    const tape = new Orders()
    for (const id of ['a', 'b']) tape.run(put(id, { group: 'g' }))
    tape.take()
    tape.run(put('c', { delayMs: 5 }))
    tape.run(put('d'))
    const list = (after?: number): unknown => {
      const page = tape.ask({ kind: 'queue.list', queue: 'orders', after, max: 3 })
      const [rows, next] = page as unknown as readonly [readonly Listed[], number | null]
      return [rows.map(row => row.slice(0, 4)), next]
    }
    const [a, b, c, d] = [
      [1, 'a', 'leased', 1],
      [2, 'b', 'blocked', 0],
      [3, 'c', 'delayed', 0],
      [4, 'd', 'ready', 0],
    ]
    expect(list()).toEqual([[a, b, c], 3])
    expect(list(3)).toEqual([[d], null])
  })

  test('takes, changes and puts in one command, or not at all', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const [, token] = tape.one()
    const unit = [
      { kind: 'queue.ack', queue: 'orders', token },
      {
        kind: 'group.add',
        group: 'join',
        key: 'k',
        source: 'head',
        id: '1',
        body: bytesOf('x'),
        complete: { size: 2 },
      },
      { kind: 'queue.put', queue: 'next', id: 'a/1', body: bytesOf('y'), group: 'k' },
      { kind: 'queue.put', queue: 'next', id: 'a/2', body: bytesOf('z'), group: 'k' },
    ] as const
    expect(tape.attempt(...unit)).toMatchObject({
      results: [true, ['open', expect.any(Number), 1], expect.any(Number), expect.any(Number)],
    })
    expect(tape.attempt(...unit)).toHaveProperty('refused', 'STALE_TOKEN')
    expect(tape.ask({ kind: 'queue.stats', queue: 'next' })).toEqual([1, 0, 0, 1, 2])
  })

  test('does nothing for the second ack of a token in one command', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const ack = { kind: 'queue.ack', queue: 'orders', token: tape.one()[1] } as const
    expect(tape.attempt(ack, ack)).toEqual({ results: [true, null] })
  })

  test('tells the owner which queues have something ready, delayed ones when they come due', () => {
    const tape = new Orders()
    const { ready } = tape.machine.changes
    tape.run(put('a', { delayMs: 10 }))
    expect([...ready]).toEqual([])
    expect(tape.machine.ready('orders', tape.atMs)).toBe(0)
    tape.wait(10)
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(tape.monotonicMs)
    expect(tape.tend()).toEqual([])
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(undefined)
    expect([...ready]).toEqual(['orders'])
    expect([...tape.machine.readyCounts(tape.atMs)]).toEqual([['orders', 1]])
    ready.clear()
    tape.nack(tape.one()[1], { delayMs: 0 })
    expect([...ready]).toEqual(['orders'])
  })

  test('counts what the owner has found ready also for who asks by a wall clock that was put back', () => {
    const tape = new Orders()
    tape.run(put('a', { delayMs: 10 }))
    tape.wait(10)
    tape.tend()
    expect(tape.machine.ready('orders', tape.atMs - 60_000)).toBe(1)
    expect([...tape.machine.readyCounts(tape.atMs - 60_000)]).toEqual([['orders', 1]])
  })

  test('tells the owner of a delay that was over before its entry was applied', () => {
    const tape = new Orders()
    const { ready } = tape.machine.changes
    tape.wait(50)
    tape.tend()
    // The owner's clock is ahead of entries that are under way.
    tape.atMs -= 30
    tape.run(put('b', { delayMs: 5 }))
    tape.atMs += 30
    tape.tend()
    expect([...ready]).toEqual(['orders'])
  })

  test('tells the owner again of what could not be taken yet as of an earlier entry', () => {
    const tape = new Orders()
    const { ready } = tape.machine.changes
    tape.run(put('a', { delayMs: 10 }))
    tape.wait(10)
    tape.tend()
    ready.clear()
    tape.atMs -= 5
    expect(tape.run({ kind: 'queue.take', queue: 'orders', max: 1 })).toEqual([])
    tape.atMs += 5
    tape.tend()
    expect([...ready]).toEqual(['orders'])
  })

  test('takes no room once it is empty', () => {
    const tape = new Orders()
    tape.run({ kind: 'counter.add', counter: 'x', by: 1 })
    tape.run(put('a', { group: 'g', expiresMs: 1_000 }))
    tape.ack(tape.one()[1])
    const first = tape.machine.bytes
    tape.run(put('a', { group: 'g', expiresMs: 1_000 }))
    tape.ack(tape.one()[1])
    expect(tape.machine.bytes).toBe(first)
    expect([...tape.machine.snapshot()].map(([space]) => space)).toEqual(['counter', 'meta'])
  })
})
