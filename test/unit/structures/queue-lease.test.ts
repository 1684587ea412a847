import { describe, expect, test } from 'vitest'
import { Orders, put } from './orders.ts'
import { bytesOf } from './tape.ts'

describe('a message lease', () => {
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
})
