/** What an owner may serve, commit, answer and ask, rule by rule. */
import { describe, expect, test } from 'vitest'
import type { MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import { get, put } from './cells.ts'
import { Fleet } from './fleet.ts'

const none = (): boolean => false

describe('a new owner', () => {
  test('serves nothing, reads included, until its tail is committed in its own epoch', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    const lost = fleet.write('a', [put('x', '1')])
    fleet.settle(({ message, to }) => message.kind === 'append' && to === 'b')
    fleet.configure({ owner: 'b', backups: ['c'], learners: ['a'] })
    const write = fleet.write('b', [put('y', '2')])
    const read = fleet.read('b', get('x'))
    fleet.turn()
    expect([write, read, lost].map(id => fleet.said(id))).toEqual([undefined, undefined, undefined])
    fleet.settle()
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'b', epoch: 2 })
    expect(fleet.said(write)).toBe('done')
    expect(fleet.answers(read)).toEqual([{ kind: 'done', results: ['1'] }])
    // Its caller hears nothing from the old owner, asks the new one and finds the recorded result.
    expect(fleet.said(lost)).toBeUndefined()
    expect(fleet.answers(fleet.write('b', [put('x', '1')], lost))).toEqual([])
    fleet.settle()
    expect(fleet.replies.at(-1)?.outcome).toEqual({ kind: 'done', results: ['1'] })
  })

  test('that swapped roles with a live one does not open before that has heard, even if it is no backup any more', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.run(20)
    fleet.configure({ owner: 'b', backups: ['a'] }, ['b'])
    fleet.configure({ backups: [] }, ['b'])
    fleet.run(250, none)
    expect(fleet.opened).toHaveLength(1)
    fleet.run(150, none)
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'b', epoch: 3 })
  })

  test('asks at once for the removal of a backup that is to part, and waits for it until the table has it no more', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.configure({ parting: ['b'] })
    expect(fleet.asks.at(-1)?.request).toEqual({ kind: 'remove', partition: 0, epoch: 2, backup: 'b' })
    const write = fleet.write('a', [put('x', '1')])
    fleet.settle(({ to }) => to !== 'b')
    expect(fleet.said(write)).toBeUndefined()
    fleet.configure({ backups: ['c'], parting: [] })
    fleet.settle(({ to }) => to !== 'b')
    expect(fleet.said(write)).toBe('done')
  })

  test('asks for the removal of a backup once it has heard that it is silent, also with nothing to write', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.run(1_000)
    const silent = { ...(fleet.table.members.get('b') as MemberEntry), state: 'silent' as const }
    fleet.table = { ...fleet.table, members: new Map([...fleet.table.members, ['b', silent]]) }
    fleet.tell()
    expect(fleet.asks.at(-1)?.request).toEqual({ kind: 'remove', partition: 0, epoch: 1, backup: 'b' })
  })

  test('sends those who waited too long back', () => {
    const fleet = new Fleet(['a', 'b'], { waitingMax: 2 })
    fleet.found('a', ['b'])
    fleet.configure({ owner: 'b', backups: ['a'] }, ['b'])
    const ids = [1, 2, 3].map(() => fleet.read('b', get('x')))
    expect(ids.map(id => fleet.said(id))).toEqual([undefined, undefined, 'not-open'])
    fleet.run(400, none)
    expect(ids.map(id => fleet.said(id))).toEqual(['not-open', 'not-open', 'not-open'])
  })

  test('without any state refuses and says so', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', [], ['b'])
    fleet.settle(none)
    fleet.configure({ owner: 'b', backups: [], learners: [] }, ['b'])
    const fresh = new Fleet(['a', 'b'])
    fresh.lease('b')
    fresh.configure({ epoch: 1, bornEpoch: 1, owner: 'a', learners: ['b'] }, ['b'])
    fresh.configure({ owner: 'b', learners: [] }, ['b'])
    fresh.settle()
    expect(fresh.opened).toEqual([])
    expect(fresh.events.map(({ event }) => event)).toContain('replication.owner-without-state')
  })
})

describe('an owner that stays through a change of the table', () => {
  test('goes on without a pause, and its new entries carry the new epoch', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.configure({ backups: ['b'] })
    const read = fleet.read('a', get('x'))
    expect(fleet.said(read)).toBe('done')
    fleet.write('a', [put('x', '1')])
    fleet.settle()
    expect(fleet.opened).toHaveLength(1)
    expect(fleet.machines.get('a')?.partition(0)?.held?.log.lastEpoch).toBe(2)
  })

  test('logs a barrier again if an epoch went by unseen', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.configure({ backups: ['b'] }, [])
    fleet.configure({ backups: ['b'] })
    const read = fleet.read('a', get('x'))
    expect(fleet.said(read)).toBeUndefined()
    fleet.settle()
    expect(fleet.opened.map(({ epoch }) => epoch)).toEqual([1, 3])
    expect(fleet.said(read)).toBe('done')
  })

  test('takes no acknowledgement from before a copy was made anew', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.write('a', [put('x', '1')])
    fleet.settle(({ message }) => message.kind === 'append')
    fleet.configure({ backups: ['b'] })
    fleet.configure({ backups: ['b'], learners: ['c'] })
    fleet.deliver({
      from: 'c',
      to: 'a',
      message: { kind: 'appended', partition: 0, epoch: 1, isAccepted: true, matchIndex: 2, needsSnapshot: false },
    })
    fleet.settle(({ to }) => to !== 'c')
    expect(fleet.asks).toEqual([])
  })
})

describe('commit', () => {
  test('waits for a backup that is to be removed until the table says so', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    const id = fleet.write('a', [put('x', '1')])
    fleet.run(280, none)
    expect(fleet.asks).toEqual([])
    fleet.run(100, none)
    expect(fleet.asks).toMatchObject([{ request: { kind: 'remove', epoch: 1, backup: 'b' } }])
    fleet.run(600, none)
    expect(fleet.said(id)).toBeUndefined()
    fleet.configure({ backups: [], learners: ['b'] })
    fleet.settle(none)
    expect(fleet.said(id)).toBe('done')
  })

  test('waits for a learner from before its promotion is asked for, until the epoch has moved', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', [], ['b'])
    fleet.run(10)
    expect(fleet.asks).toMatchObject([{ request: { kind: 'promote', epoch: 1, learner: 'b' } }])
    const id = fleet.write('a', [put('x', '1')])
    fleet.run(250, none)
    expect(fleet.said(id)).toBeUndefined()
    // Silent: named in a removal, which moves the epoch; until then it is waited for.
    fleet.run(300, none)
    expect(fleet.asks.at(-1)).toMatchObject({ request: { kind: 'remove', epoch: 1, backup: 'b' } })
    expect(fleet.said(id)).toBeUndefined()
    fleet.configure({ learners: [] })
    fleet.settle(none)
    expect(fleet.said(id)).toBe('done')
  })

  test('a promotion is asked for only when the learner holds all that was committed', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a')
    for (let i = 0; i < 100; i++) fleet.write('a', [put('x', `${i}`)])
    fleet.settle()
    fleet.configure({ learners: ['b'] })
    let isComplete = true
    fleet.settle(({ from, message }) => {
      if (from === 'b' && message.kind === 'appended') isComplete &&= fleet.asks.length === 0
      return true
    })
    expect(isComplete).toBe(true)
    expect(fleet.asks).toMatchObject([{ request: { kind: 'promote', epoch: 2, learner: 'b' } }])
  })

  test('an owner that slept does not take its copies for silent', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1')])
    fleet.settle(none)
    fleet.nowMs += 5_000
    fleet.turn()
    expect(fleet.asks).toEqual([])
  })
})

describe('the lease', () => {
  test('is looked at when answering: a write committed after it ended gets no answer, and its retry the recorded one', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    const id = fleet.write('a', [put('x', '1')], 1)
    fleet.turn()
    fleet.lease('a', fleet.nowMs)
    fleet.settle()
    expect(fleet.said(id)).toBeUndefined()
    const [read, write] = [fleet.read('a', get('x')), fleet.write('a', [put('x', '2')], 2)]
    expect([fleet.said(read), fleet.said(write)]).toEqual(['no-lease', 'no-lease'])
    fleet.lease('a')
    const again = fleet.write('a', [put('x', '9')], 1)
    fleet.settle()
    expect(fleet.answers(again)).toEqual([{ kind: 'done', results: ['1'] }])
    expect(fleet.answers(fleet.read('a', get('x')))).toEqual([{ kind: 'done', results: ['1'] }])
  })
})

describe('a reply that is larger than its caller has room for', () => {
  const long = 'x'.repeat(1_000)

  test('is not sent: the caller hears how large it is, and asks again', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', long)])
    fleet.settle()
    const read = fleet.read('a', get('x'), 0, 1_024)
    expect(fleet.said(read)).toBeUndefined()
    const bytes = fleet.oversizes.at(-1)?.bytes as number
    expect(fleet.oversizes).toEqual([{ kind: 'oversize', id: read, bytes }])
    expect(fleet.answers(fleet.read('a', get('x'), 0, bytes))).toEqual([{ kind: 'done', results: [long] }])
  })

  test('is kept when a command has it: the same call is answered from the record', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    const call = { session: 'caller#1', sequence: 1, mark: 1 }
    const command = { kind: 'execute', call, operations: [put('x', long)] } as const
    fleet.command('a', command, 0, 7, { replyBytesMax: 64 })
    fleet.settle()
    expect(fleet.answers(7)).toEqual([])
    expect(fleet.oversizes).toMatchObject([{ id: 7 }])
    fleet.command('a', command, 0, 8)
    fleet.settle()
    expect(fleet.answers(8)).toEqual([{ kind: 'done', results: [long] }])
    expect(fleet.machines.get('a')?.partition(0)?.held?.state.repeatCount).toBe(1)
  })
})

test('a request that comes in twice is answered once: the second finds no lease, and the first was logged under one', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  const call = { session: 'caller#1', sequence: 1, mark: 1 }
  const command = { kind: 'execute', call, operations: [put('x', '1')] } as const
  fleet.command('a', command, 0, 7)
  fleet.lease('a', fleet.nowMs)
  expect(fleet.answers(fleet.command('a', command, 0, 7))).toEqual([])
  expect(fleet.said(fleet.command('a', command, 0, 8))).toBe('no-lease')
})

describe('requests that are refused before anything is logged', () => {
  test('below minCopies; and what was logged above it is not acknowledged below it', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.table = { ...fleet.table, settings: { ...fleet.table.settings, minCopies: 2 } }
    fleet.found('a', ['b'])
    const logged = fleet.write('a', [put('x', '1')])
    fleet.settle(none)
    fleet.configure({ backups: [] })
    fleet.settle()
    expect(fleet.said(logged)).toBeUndefined()
    expect(fleet.said(fleet.write('a', [put('x', '2')]))).toBe('few-copies')
    expect(fleet.said(fleet.read('a', get('x')))).toBe('done')
  })

  test('when memory is short, if they grow', () => {
    const fleet = new Fleet(['a'])
    fleet.found('a')
    fleet.isFull = true
    expect(fleet.said(fleet.write('a', [put('x', '1')]))).toBe('GRID_FULL')
  })

  test('if they are none, from a caller of its own member: nobody looked at them before', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    const call = { session: 'a#1', sequence: 1, mark: 1 }
    const blob = { kind: 'execute', call, operations: [put('x', '1'), { kind: 'blob.put' }] } as const
    expect(fleet.answers(fleet.command('a', blob, 0, 77, { from: 'a' }))).toEqual([
      { kind: 'refused', code: 'INVALID', message: 'blob.put', operation: 1, detail: null },
    ])
  })

  test('when too many are open', () => {
    const fleet = new Fleet(['a', 'b'], { openMax: 2 })
    fleet.found('a', ['b'])
    const ids = [1, 2, 3].map(() => fleet.write('a', [put('x', '1')]))
    expect(ids.map(id => fleet.said(id))).toEqual([undefined, undefined, 'busy'])
  })

  test('of a session that has ended, or that nobody knows yet', () => {
    const fleet = new Fleet(['a'])
    fleet.found('a')
    const of = (session: string): string | undefined =>
      fleet.said(
        fleet.command('a', { kind: 'execute', call: { session, sequence: 1, mark: 1 }, operations: [put('x', '1')] }),
      )
    expect([of('caller#0'), of('caller#2'), of('nobody#1')]).toEqual(['indeterminate', 'not-open', 'not-open'])
    expect(fleet.said(fleet.command('a', { kind: 'barrier' }))).toBe('INVALID')
  })

  test('by whom does not own the partition, with a hint', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b'])
    for (const member of ['b', 'c']) {
      expect(fleet.answers(fleet.read(member, get('x')))).toEqual([
        { kind: 'retry', reason: 'not-owner', owner: 'a', epoch: 1 },
      ])
    }
  })
})

test('attempts of one call that meet in the log are logged once and all answered', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  const lastIndex = (): number => fleet.machines.get('a')?.partition(0)?.held?.log.lastIndex ?? 0
  const before = lastIndex()
  const ids = [1, 2, 3].map(() => fleet.write('a', [put('x', '1')], 7))
  expect(lastIndex()).toBe(before + 1)
  fleet.settle()
  expect(ids.map(id => fleet.said(id))).toEqual(['done', 'done', 'done'])
})

test('an owner writes one append per copy and turn', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  fleet.run(20)
  for (let i = 0; i < 50; i++) fleet.write('a', [put('x', `${i}`)])
  fleet.turn()
  expect(fleet.post.map(({ message }) => message.kind)).toEqual(['append'])
})

test('time in the log never goes back, even if the wall clock does', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  fleet.write('a', [put('x', '1')])
  fleet.settle()
  const before = fleet.machines.get('a')?.partition(0)?.lastAtMs ?? 0
  fleet.wallMs -= 60_000
  fleet.write('a', [put('x', '2')])
  fleet.configure({ owner: 'b', backups: ['a'] })
  fleet.settle()
  expect(fleet.machines.get('b')?.partition(0)?.lastAtMs).toBe(before)
})
