import { describe, expect, test } from 'vitest'
import { waitersMax } from '../../../lib/structures/lock.ts'
import type { Grant } from '../../../lib/structures/lock-operations.ts'
import { copyOf, Tape, type Ran } from './tape.ts'

class Locks extends Tape {
  acquire(more: object = {}): Grant {
    return this.run({ kind: 'lock.acquire', lock: 'nightly', ...more }) as unknown as Grant
  }
  tryAcquire(more: object = {}): Ran {
    return this.attempt({ kind: 'lock.acquire', lock: 'nightly', ...more } as never)
  }
  token(kind: 'release' | 'verify' | 'extend' | 'expire', token: number, more: object = {}): Ran {
    return this.attempt({ kind: `lock.${kind}`, lock: 'nightly', token, ...more } as never)
  }
  poll(ticket: string): Grant {
    return this.ask({ kind: 'lock.poll', lock: 'nightly', ticket }) as unknown as Grant
  }
}

describe('a lock', () => {
  test('has one holder, and tells others the fence that holds it', () => {
    const tape = new Locks()
    const [token] = tape.acquire()
    expect(tape.tryAcquire()).toEqual({ refused: 'CONFLICT', detail: token })
    expect(tape.token('verify', token)).toEqual({ results: [true] })
    expect(tape.token('release', token)).toEqual({ results: [true] })
    expect(tape.token('verify', token)).toHaveProperty('refused', 'STALE_TOKEN')
    expect(tape.token('release', token)).toHaveProperty('refused', 'STALE_TOKEN')
  })

  test('grants a larger fence each time, over all locks, copies and epochs', () => {
    const tape = new Locks()
    const tokens = [tape.acquire()[0]]
    tape.token('release', tokens[0] as number)
    tape.moveOver()
    tokens.push(tape.acquire()[0])
    tokens.push((tape.run({ kind: 'lock.acquire', lock: 'other' }) as unknown as Grant)[0])
    tape.machine = new Tape().machine
    tape.epoch++
    tokens.push(tape.acquire()[0])
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
    expect(tokens.every(token => Number.isSafeInteger(token))).toBe(true)
  })

  test('keeps growing within the safe integers when epochs run very high', () => {
    const tape = new Locks()
    tape.epoch = 2 ** 40
    const [first] = tape.acquire()
    tape.token('release', first)
    tape.epoch = 2 ** 41
    expect(tape.acquire()[0]).toBe(first + 1)
    expect(Number.isSafeInteger(first + 1)).toBe(true)
  })

  test('passes to those who wait in order of arrival, in the command that frees it', () => {
    const tape = new Locks()
    const [token] = tape.acquire()
    expect(tape.acquire({ ticket: 't1' })).toEqual([0, 1])
    expect(tape.acquire({ ticket: 't2' })).toEqual([0, 2])
    expect(tape.acquire({ ticket: 't1' })).toEqual([0, 1])
    tape.token('release', token)
    const [next, place] = tape.poll('t1')
    expect([next > token, place]).toEqual([true, 0])
    expect(tape.poll('t2')).toEqual([0, 1])
    expect([...tape.machine.changes.granted]).toEqual(['nightly'])
    expect(tape.acquire({ ticket: 't1' })).toEqual([next, 0])
    tape.token('release', next)
    tape.token('release', tape.poll('t2')[0])
    expect(tape.poll('t2')).toEqual([0, -1])
    expect(tape.ask({ kind: 'lock.get', lock: 'nightly' })).toBe(null)
  })

  test('is not granted to a waiter that gave up, in time or in words', () => {
    const tape = new Locks()
    const [token] = tape.acquire()
    tape.acquire({ ticket: 'hasty', waitMs: 100 })
    tape.acquire({ ticket: 'patient' })
    tape.acquire({ ticket: 'polite' })
    const cancel = (ticket: string) => tape.run({ kind: 'lock.cancel', lock: 'nightly', ticket })
    expect(cancel('polite')).toBe(true)
    expect(cancel('polite')).toBe(false)
    tape.wait(100)
    tape.token('release', token)
    expect(tape.poll('hasty')).toEqual([0, -1])
    expect(tape.poll('patient')[1]).toBe(0)
    expect(cancel('patient')).toBe(true)
    expect(tape.tryAcquire()).toHaveProperty('results')
  })

  test('lets a bounded number wait; those whose wait is over make room', () => {
    const tape = new Locks()
    tape.acquire()
    for (let at = 0; at < waitersMax; at++) tape.acquire({ ticket: `t${at}`, waitMs: at === 5 ? 10 : 1_000 })
    expect(tape.tryAcquire({ ticket: 'late' })).toEqual({ refused: 'FULL', detail: waitersMax })
    expect(tape.acquire({ ticket: 't7' })).toEqual([0, 8])
    tape.wait(10)
    expect(tape.acquire({ ticket: 'late' })).toEqual([0, waitersMax])
  })

  test('is held until its expiry is committed, whatever clocks say', () => {
    const tape = new Locks()
    const [token] = tape.acquire({ leaseMs: 100 })
    tape.wait(1_000)
    expect(tape.token('verify', token)).toEqual({ results: [true] })
    expect(tape.tryAcquire()).toHaveProperty('refused')
    expect(tape.tend()).toEqual([{ kind: 'lock.expire', lock: 'nightly', token }])
    expect(tape.token('verify', token)).toHaveProperty('refused', 'STALE_TOKEN')
    expect(tape.token('extend', token)).toHaveProperty('refused', 'STALE_TOKEN')
  })

  test('does not expire a later grant by an old token', () => {
    const tape = new Locks()
    const [token] = tape.acquire({ leaseMs: 100 })
    tape.token('release', token)
    const [next] = tape.acquire()
    expect(tape.token('expire', token)).toEqual({ results: [false] })
    expect(tape.token('verify', next)).toEqual({ results: [true] })
  })

  test('is extended from now, and has its full time again under a new owner', () => {
    const tape = new Locks()
    const [token] = tape.acquire({ leaseMs: 100 })
    tape.wait(60)
    tape.token('extend', token)
    tape.wait(99)
    expect(tape.tend()).toEqual([])
    tape.moveOver(50_000)
    tape.wait(99)
    expect(tape.tend()).toEqual([])
    tape.token('extend', token, { leaseMs: 500 })
    tape.wait(499)
    expect(tape.tend()).toEqual([])
    tape.wait(1)
    expect(tape.tend()).toHaveLength(1)
  })

  test("ends with its session, and the session's waits end too", () => {
    const tape = new Locks()
    tape.acquire()
    tape.acquire({ ticket: 'own' })
    tape.session = 'other#1'
    tape.acquire({ ticket: 'other' })
    tape.end('goose#1')
    expect(tape.poll('own')).toEqual([0, -1])
    expect(tape.poll('other')[1]).toBe(0)
    tape.end('other#1')
    expect(tape.ask({ kind: 'lock.get', lock: 'nightly' })).toBe(null)
  })

  test('passes on in the order of grants when a session ends, on a restored copy too', () => {
    const tape = new Locks()
    const [oldest] = ['z', 'a', 'm'].map(lock => tape.run({ kind: 'lock.acquire', lock }) as unknown as Grant)
    tape.run({ kind: 'lock.extend', lock: 'z', token: oldest?.[0] ?? 0 })
    tape.session = 'other#1'
    for (const lock of ['a', 'm', 'z']) tape.run({ kind: 'lock.acquire', lock, ticket: 't' })
    const fences = (): unknown =>
      ['z', 'a', 'm'].map(lock => (tape.ask({ kind: 'lock.poll', lock, ticket: 't' }) as unknown as Grant)[0])
    const copy = copyOf(tape.machine)
    tape.end('goose#1')
    const first = fences()
    expect(first).toEqual([4, 5, 6].map(nth => 2 ** 32 + nth))
    tape.machine = copy
    tape.end('goose#1')
    expect(fences()).toEqual(first)
  })

  test('taken by nobody ends by time alone', () => {
    const tape = new Locks()
    const [token] = tape.acquire({ holder: 'time' })
    tape.end('goose#1')
    expect(tape.ask({ kind: 'lock.get', lock: 'nightly' })).toEqual([token, '', 30_000, tape.atMs, 0])
    tape.wait(30_000)
    expect(tape.tend()).toHaveLength(1)
  })

  test('that a transaction holds on to outlives its session for a while', () => {
    const tape = new Locks()
    const [token] = tape.acquire()
    const context = { epoch: 1, index: 9, ordinal: 0, atMs: tape.atMs, session: 'goose#1', monotonicMs: 0 }
    tape.machine.endSession('goose#1', context, key => key === 'lock:nightly')
    expect(tape.token('verify', token)).toEqual({ results: [true] })
    expect(tape.machine.due(5_000, tape.atMs, 9, () => true)).toEqual([])
    expect(tape.machine.due(5_250, tape.atMs, 9, () => false)).toHaveLength(1)
  })

  test('is granted once by a command that asks twice', () => {
    const tape = new Locks()
    const acquire = { kind: 'lock.acquire', lock: 'nightly' } as const
    expect(tape.attempt(acquire, acquire)).toEqual({ results: [[expect.any(Number), 0], null] })
  })
})
