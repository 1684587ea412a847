/** What an open owner logs of its own accord: due entries, ended sessions, both ends of transactions. */
import { describe, expect, test } from 'vitest'
import type { Outcome, TransactionId } from '../../../lib/replication/command.ts'
import { get, put } from './cells.ts'
import { Fleet } from './fleet.ts'

describe('an entry that is due', () => {
  test('is gone for a read that meets it only once its end is committed', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1', fleet.wallMs + 50)])
    fleet.settle()
    fleet.nowMs += 60
    fleet.wallMs += 60
    const read = fleet.read('a', get('x'))
    expect(fleet.said(read)).toBeUndefined()
    fleet.settle()
    expect(fleet.answers(read)).toEqual([{ kind: 'done', results: [null] }])
  })

  test('goes without any read, on all copies alike', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1', fleet.wallMs + 50)])
    fleet.run(200)
    expect([fleet.cellsOf('a').cells.size, fleet.cellsOf('b').cells.size]).toEqual([0, 0])
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
  })

  test('goes when its time has run, also while the wall clock is put back', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1', fleet.wallMs + 50)])
    fleet.settle()
    fleet.wallMs -= 60_000
    fleet.run(200)
    expect(fleet.cellsOf('a').cells.size).toBe(0)
  })

  test('stays while the owner has no lease', () => {
    const fleet = new Fleet(['a'])
    fleet.found('a')
    fleet.write('a', [put('x', '1', fleet.wallMs + 50)])
    fleet.settle()
    fleet.lease('a', fleet.nowMs)
    fleet.run(200)
    expect(fleet.cellsOf('a').cells.size).toBe(1)
    fleet.lease('a')
    fleet.run(200)
    expect(fleet.cellsOf('a').cells.size).toBe(0)
  })
})

describe('a session that has ended', () => {
  const sessionsOf = (fleet: Fleet, member: string): string[] => [
    ...(fleet.machines.get(member)?.partition(0)?.held?.state.sessions() ?? []),
  ]

  test('ends in every partition that knows it', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1')])
    fleet.settle()
    expect(sessionsOf(fleet, 'a')).toEqual(['caller#1'])
    fleet.table = {
      ...fleet.table,
      endedSessions: ['caller#1'],
      members: new Map([...fleet.table.members].filter(([member]) => member !== 'caller')),
    }
    fleet.tell()
    fleet.run(50)
    expect([sessionsOf(fleet, 'a'), sessionsOf(fleet, 'b')]).toEqual([[], []])
  })

  test('ends at an owner that opens after the cluster ended it', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1')])
    fleet.run(20)
    fleet.table = {
      ...fleet.table,
      endedSessions: ['caller#1'],
      members: new Map([...fleet.table.members].filter(([member]) => member !== 'caller')),
    }
    fleet.configure({ owner: 'b', backups: ['a'] })
    fleet.settle()
    expect(sessionsOf(fleet, 'b')).toEqual([])
  })
})

describe('a transaction over two partitions', () => {
  const transaction: TransactionId = { session: 'caller#1', sequence: 1, partition: 0 }
  /** Partition 0, with the record, at a; partition 1, a participant, at `other`. */
  function prepared(other: string): Fleet {
    const fleet = new Fleet(['a', 'b'], {}, 2)
    for (const member of ['a', 'b']) fleet.lease(member)
    fleet.configure({ epoch: 1, bornEpoch: 1, owner: 'a' }, ['a', 'b'], 0)
    fleet.configure({ epoch: 1, bornEpoch: 1, owner: other }, ['a', 'b'], 1)
    fleet.settle()
    fleet.command(
      other,
      {
        kind: 'prepare',
        call: { session: 'caller#1', sequence: 1, mark: 1 },
        transaction,
        operations: [put('y', '2')],
      },
      1,
    )
    fleet.settle()
    expect(fleet.replies.at(-1)?.outcome.kind).toBe('done')
    return fleet
  }
  const decide = (fleet: Fleet, commit: boolean): Outcome[] => {
    const id = fleet.command('a', {
      kind: 'decide',
      call: { session: 'caller#1', sequence: 1, mark: 1 },
      participants: [0, 1],
      commit,
    })
    fleet.turn()
    return fleet.answers(id)
  }
  const valueOf = (fleet: Fleet, other: string): unknown => fleet.answers(fleet.read(other, get('y'), 1))[0]

  test.for(['a', 'b'])('is finished at the participant, owned by %s, and then forgotten', other => {
    const fleet = prepared(other)
    expect(decide(fleet, true)).toMatchObject([{ kind: 'done' }])
    fleet.run(20)
    expect(valueOf(fleet, other)).toEqual({ kind: 'done', results: ['2'] })
    const record = fleet.machines.get('a')?.partition(0)?.held?.state
    fleet.run(1_000)
    expect(record?.openDecisions(fleet.nowMs)).toEqual([])
  })

  test('is told again and again until the participant has finished', () => {
    const fleet = prepared('b')
    decide(fleet, true)
    let count = 0
    fleet.run(900, () => count++ > 1)
    expect(valueOf(fleet, 'b')).toEqual({ kind: 'done', results: ['2'] })
  })

  test('is aborted when its caller is silent: the participant asks, and the record says no for ever', () => {
    const fleet = prepared('b')
    fleet.run(2_500)
    expect(valueOf(fleet, 'b')).toEqual({ kind: 'done', results: [null] })
    expect(decide(fleet, true)).toEqual([{ kind: 'done', results: [false] }])
  })

  test('is not acknowledged by an owner without a lease, which may have missed the prepare', () => {
    const fleet = prepared('b')
    fleet.lease('b', fleet.nowMs)
    decide(fleet, true)
    const words: string[] = []
    fleet.run(500, ({ from, message }) => {
      if (from === 'b') words.push(message.kind)
      return true
    })
    expect(words).toEqual([])
    fleet.lease('b')
    fleet.run(500)
    expect(valueOf(fleet, 'b')).toEqual({ kind: 'done', results: ['2'] })
  })
})
