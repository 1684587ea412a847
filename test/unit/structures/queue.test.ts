import { describe, expect, test } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import type { Listed, QueueOptions, Taken } from '../../../lib/structures/queue-operations.ts'
import { bytesOf, Tape } from './tape.ts'

const options: QueueOptions = { capacity: 5, maxAttempts: 3, backoffMinMs: 100, backoffMaxMs: 1_000, deadMax: 2 }
const put = (id: string, more: object = {}) =>
  ({ kind: 'queue.put', queue: 'orders', id, body: bytesOf(id), options, ...more }) as const

class Orders extends Tape {
  take(max = 10, more: object = {}): readonly Taken[] {
    return this.run({ kind: 'queue.take', queue: 'orders', max, ...more }) as unknown as readonly Taken[]
  }
  one(more: object = {}): Taken {
    const [taken] = this.take(1, more)
    if (taken === undefined) throw new Error('nothing is ready')
    return taken
  }
  ids(max = 10): readonly string[] {
    return this.take(max).map(([id]) => id)
  }
  ack(token: number) {
    return this.attempt({ kind: 'queue.ack', queue: 'orders', token } as never)
  }
  nack(token: number, more: object = {}): Plain {
    return this.run({ kind: 'queue.nack', queue: 'orders', token, ...more })
  }
  stats(): Plain {
    return this.ask({ kind: 'queue.stats', queue: 'orders' })
  }
  dead(): readonly Plain[] {
    const [letters] = this.ask({ kind: 'dead.list', dead: 'orders.dead', max: 10 }) as readonly [readonly Plain[]]
    return letters
  }
}

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
    expect(tape.ack(token)).toHaveProperty('results')
  })

  test('grants each lease a larger token, also after another copy took over', () => {
    const tape = new Orders()
    const tokens: number[] = []
    tape.run(put('a'))
    for (let n = 0; n < 2; n++) {
      const [, token] = tape.one()
      tokens.push(token)
      tape.nack(token, { delayMs: 0 })
      tape.moveOver()
    }
    tokens.push(tape.one()[1])
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
    expect(new Set(tokens).size).toBe(3)
  })

  test('ends a lease by the logged expiry alone, and refuses the old token then', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const [, token] = tape.one({ leaseMs: 500 })
    tape.wait(499)
    expect(tape.tend()).toEqual([])
    tape.wait(1)
    expect(tape.attempt({ kind: 'queue.verify', queue: 'orders', token } as never)).toHaveProperty('results')
    expect(tape.tend()).toEqual([{ kind: 'queue.expireLease', queue: 'orders', token }])
    expect(tape.ack(token)).toHaveProperty('refused', 'STALE_TOKEN')
    tape.wait(100)
    const [, next, attempt, , , , , lastError] = tape.one()
    expect([attempt, lastError]).toEqual([2, 'lease ended'])
    expect(tape.run({ kind: 'queue.expireLease', queue: 'orders', token })).toBe(false)
    expect(tape.ack(next)).toHaveProperty('results')
  })

  test('extends a lease from now, by its own length if none is given', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const [, token] = tape.one({ leaseMs: 500 })
    tape.wait(400)
    tape.run({ kind: 'queue.extend', queue: 'orders', token })
    tape.wait(499)
    expect(tape.tend()).toEqual([])
    tape.wait(1)
    expect(tape.tend()).toHaveLength(1)
  })

  test('gives leases their full time again under a new owner', () => {
    const tape = new Orders()
    tape.run(put('a'))
    tape.one({ leaseMs: 500 })
    tape.wait(499)
    tape.moveOver(7)
    tape.wait(499)
    expect(tape.tend()).toEqual([])
    tape.wait(1)
    expect(tape.tend()).toHaveLength(1)
  })

  test('returns what a session held when it ends, without back-off, and leaves the leases of nobody alone', () => {
    const tape = new Orders()
    for (const id of ['a', 'b', 'c']) tape.run(put(id))
    tape.take(1)
    tape.take(1, { holder: 'time' })
    tape.session = 'other#1'
    tape.take(1)
    tape.end('goose#1')
    expect(tape.stats()).toEqual([1, 0, 2, 0, 3])
    expect(tape.one().slice(0, 3)).toEqual(['a', expect.any(Number), 2])
    tape.wait(30_000)
    expect(tape.tend()).toHaveLength(1)
  })

  test('buries the message whose handlers die with their sessions, too', () => {
    const tape = new Orders()
    tape.run(put('killer'))
    for (let n = 1; n <= 3; n++) {
      tape.session = `goose#${n}`
      tape.one()
      tape.end(tape.session)
    }
    const letter = [
      expect.any(Number),
      'killer',
      'orders',
      bytesOf('killer'),
      null,
      null,
      3,
      'session ended',
      tape.atMs,
    ]
    expect(tape.dead()).toEqual([letter])
  })

  test('keeps a lease that a transaction holds on to when the session ends, for a while', () => {
    const tape = new Orders()
    tape.run(put('a'))
    const [, token] = tape.one()
    const context = { epoch: 1, index: 9, ordinal: 0, atMs: tape.atMs, session: 'goose#1', monotonicMs: 0 }
    tape.machine.endSession('goose#1', context, key => key === `queue:orders/t/${token}`)
    expect(tape.ack(token)).toEqual({ results: [true] })
    tape.run(put('b'))
    const again = tape.one()[1]
    tape.machine.endSession('goose#1', context, () => true)
    tape.wait(5_000)
    expect(tape.tend()).toMatchObject([{ token: again }])
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

  test('takes no room once it is empty', () => {
    const tape = new Orders()
    tape.run({ kind: 'counter.add', counter: 'x', by: 1 })
    tape.run(put('a', { group: 'g', expiresMs: 1_000 }))
    tape.ack(tape.one()[1])
    const first = tape.machine.bytes
    tape.run(put('a', { group: 'g', expiresMs: 1_000 }))
    tape.ack(tape.one()[1])
    expect(tape.machine.bytes).toBe(first)
    expect(tape.machine.snapshot().map(([space]) => space)).toEqual(['counter', 'meta'])
  })
})

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
