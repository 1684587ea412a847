import { describe, expect, test } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import { bytesOf, readable, Tape } from './tape.ts'

const both = { complete: { each: ['head', 'payload'] } }

class Join extends Tape {
  add(source: string, id = '1', more: object = {}): Plain {
    return this.run(this.piece(source, id, more) as never)
  }
  piece(source: string, id = '1', more: object = {}) {
    const body = bytesOf(`${source}${id}`)
    return { kind: 'group.add', group: 'join', key: 'd1', source, id, body, ...both, ...more } as const
  }
  ready(): unknown {
    return (this.ask({ kind: 'group.ready', group: 'join', max: 10 }) as readonly Plain[])[0]
  }
  release(generation: number) {
    return this.attempt({ kind: 'group.release', group: 'join', generation } as never)
  }
  stats(): Plain {
    return this.ask({ kind: 'group.stats', group: 'join' })
  }
  closed(generation: number): unknown {
    return readable(this.ask({ kind: 'group.closed', group: 'join', generation }))
  }
}

describe('a group', () => {
  test('is complete when each source has sent, and waits whole until it is released', () => {
    const tape = new Join()
    expect(tape.add('payload')).toEqual(['open', 1, 1])
    expect(readable(tape.ask({ kind: 'group.get', group: 'join', key: 'd1' }))).toEqual([
      1,
      0,
      [['payload', '1', 'payload1', null]],
    ])
    expect(tape.add('head', '1', { headers: { a: 1 } })).toEqual(['closed', 1, 2])
    expect([...tape.machine.changes.closed]).toEqual(['join'])
    expect(tape.ready()).toEqual([[1, 'd1', 'complete', tape.atMs]])
    expect(tape.closed(1)).toEqual([
      'd1',
      'complete',
      tape.atMs,
      [
        ['payload', '1', 'payload1', null],
        ['head', '1', 'head1', { a: 1 }],
      ],
    ])
  })

  test('is released once, in the command that hands it on', () => {
    const tape = new Join()
    tape.add('head')
    tape.add('payload')
    const put = { kind: 'queue.put', queue: 'next', id: 'd1', body: bytesOf('joined') } as const
    const release = { kind: 'group.release', group: 'join', generation: 1 } as const
    expect(tape.attempt(release, put)).toHaveProperty('results')
    expect(tape.attempt(release, put)).toHaveProperty('refused', 'CONFLICT')
    expect(tape.ask({ kind: 'queue.stats', queue: 'next' })).toEqual([1, 0, 0, 0, 1])
    expect(tape.stats()).toEqual([0, 0, 0, 0, 0])
    expect(tape.closed(1)).toBe(null)
    expect([...tape.machine.snapshot()].filter(([space]) => /join/.test(space))).toEqual([])
  })

  test('is complete at a size, in the order of arrival, and its key begins anew', () => {
    const tape = new Join()
    const batch = { complete: { size: 3 }, lists: ['in'] }
    for (const id of ['b', 'a']) tape.add('in', id, batch)
    expect(tape.add('in', 'c', batch)).toEqual(['closed', 1, 3])
    expect(tape.add('in', 'd', batch)).toEqual(['open', 2, 1])
    expect(tape.closed(1)).toMatchObject({ 3: [{ 1: 'b' }, { 1: 'a' }, { 1: 'c' }] })
  })

  test('needs all that completion names', () => {
    const tape = new Join()
    const more = { complete: { each: ['head'], size: 3 }, lists: ['item'] }
    tape.add('item', 'a', more)
    tape.add('item', 'b', more)
    expect(tape.add('item', 'c', more)).toEqual(['open', 1, 3])
    expect(tape.add('head', 'h', more)).toEqual(['closed', 1, 4])
  })

  test('takes one piece of a source, unless it is a list; then one of an id; drops the rest and counts them', () => {
    const tape = new Join()
    const more = { complete: { size: 9 }, lists: ['item'] }
    expect(tape.add('head', '1', more)).toEqual(['open', 1, 1])
    expect(tape.add('head', '2', more)).toEqual(['duplicate', 1, 1])
    expect(tape.add('item', '1', more)).toEqual(['open', 1, 2])
    expect(tape.add('item', '1', more)).toEqual(['duplicate', 1, 2])
    expect(tape.add('item', '2', more)).toEqual(['open', 1, 3])
    expect(tape.stats()).toEqual([1, 0, 0, 0, 2])
  })

  test('refuses what is surplus if asked to, so that the flow may decide', () => {
    const tape = new Join()
    const refuse = { surplus: 'refuse', rememberMs: 1_000 }
    tape.add('head', '1', refuse)
    expect(tape.attempt(tape.piece('head', '2', refuse) as never)).toEqual({ refused: 'CONFLICT', detail: 'duplicate' })
    tape.add('payload', '1', refuse)
    expect(tape.attempt(tape.piece('head', '1', refuse) as never)).toEqual({ refused: 'CONFLICT', detail: 'late' })
    expect(tape.stats()).toEqual([0, 1, 1, 0, 0])
  })

  test('remembers its key for the stated window and drops what comes late, also after the release', () => {
    const tape = new Join()
    const remember = { rememberMs: 1_000 }
    tape.add('head', '1', remember)
    tape.add('payload', '1', remember)
    expect(tape.add('head', '1', remember)).toEqual(['late', 0, 0])
    tape.release(1)
    tape.wait(999)
    expect(tape.add('payload', '1', remember)).toEqual(['late', 0, 0])
    expect(tape.stats()).toEqual([0, 0, 1, 2, 0])
    tape.wait(1)
    expect(tape.tend()).toEqual([{ kind: 'group.forget', group: 'join', key: 'd1' }])
    expect(tape.stats()).toEqual([0, 0, 0, 2, 0])
    expect(tape.add('head', '1', remember)).toEqual(['open', 2, 1])
  })

  test('forgets by the time of the entry, whether or not housekeeping came', () => {
    const tape = new Join()
    const remember = { rememberMs: 1_000 }
    tape.add('head', '1', remember)
    tape.add('payload', '1', remember)
    tape.wait(1_000)
    expect(tape.add('head', '1', remember)).toEqual(['open', 2, 1])
    expect(tape.run({ kind: 'group.forget', group: 'join', key: 'd1' })).toBe(false)
    expect(tape.stats()).toEqual([1, 1, 0, 0, 0])
  })

  test('closes at its deadline, counted from its first piece, on any copy', () => {
    const tape = new Join()
    tape.add('head', '1', { deadlineMs: 300 })
    tape.wait(200)
    tape.moveOver()
    tape.wait(99)
    expect(tape.tend()).toEqual([])
    tape.wait(1)
    expect(tape.tend()).toEqual([{ kind: 'group.expire', group: 'join', key: 'd1', generation: 1 }])
    expect(tape.ready()).toEqual([[1, 'd1', 'timeout', tape.atMs]])
  })

  test('closes by a piece that comes after the deadline, which begins the next or is late', () => {
    const tape = new Join()
    tape.add('head', '1', { deadlineMs: 300 })
    tape.wait(300)
    expect(tape.add('payload', '1', { deadlineMs: 300 })).toEqual(['open', 2, 1])
    tape.wait(300)
    expect(tape.run({ kind: 'group.expire', group: 'join', key: 'd1', generation: 1 })).toBe(false)
    expect(tape.ask({ kind: 'group.get', group: 'join', key: 'd1' })).toBe(null)
    expect(tape.ready()).toMatchObject([
      { 0: 1, 2: 'timeout' },
      { 0: 2, 2: 'timeout' },
    ])
    const remember = { deadlineMs: 300, rememberMs: 1_000 }
    tape.add('head', '1', remember)
    tape.wait(300)
    expect(tape.add('payload', '1', remember)).toEqual(['late', 0, 0])
  })

  test('closes by hand', () => {
    const tape = new Join()
    expect(tape.run({ kind: 'group.close', group: 'join', key: 'd1' })).toBe(0)
    tape.add('head')
    expect(tape.run({ kind: 'group.close', group: 'join', key: 'd1' })).toBe(1)
    expect(tape.ready()).toMatchObject([{ 2: 'forced' }])
  })

  test('is bounded in keys and in pieces', () => {
    const tape = new Join()
    tape.add('head', '1', { keysMax: 1 })
    const other = { ...tape.piece('head', '1', { keysMax: 1 }), key: 'd2' }
    expect(tape.attempt(other as never)).toEqual({ refused: 'FULL', detail: 1 })
    expect(tape.attempt(tape.piece('other', '1', { piecesMax: 1 }) as never)).toEqual({ refused: 'FULL', detail: 1 })
  })

  test('keeps groups of many pieces apart, and releases all of them', () => {
    const tape = new Join()
    const more = { complete: { size: 2_500 }, lists: ['in'] }
    for (let at = 0; at < 2_500; at++) tape.add('in', `${at}`, more)
    tape.add('in', 'next', more)
    const [, , , pieces] = tape.closed(1) as readonly [string, string, number, readonly unknown[]]
    expect(pieces).toHaveLength(2_500)
    expect(pieces[1_234]).toEqual(['in', '1234', 'in1234', null])
    tape.release(1)
    expect([...tape.machine.snapshot()].filter(([space]) => space === 'pieces:join')).toHaveLength(1)
  })

  test('takes no room but its counts when all is released and forgotten', () => {
    const tape = new Join()
    const remember = { rememberMs: 10, deadlineMs: 10 }
    for (const source of ['head', 'payload', 'head']) tape.add(source, '1', remember)
    tape.release(1)
    tape.wait(10)
    tape.tend()
    expect([...tape.machine.snapshot()].map(([space]) => space)).toEqual(['meta', 'groups'])
    expect(tape.machine.nextDueMs(tape.monotonicMs, tape.atMs)).toBe(undefined)
  })
})
