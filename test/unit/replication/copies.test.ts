/** What a copy takes, keeps, acknowledges and gives up, rule by rule. */
import { describe, expect, test } from 'vitest'
import { get, put } from './cells.ts'
import { Fleet } from './fleet.ts'

const none = (): boolean => false
const logOf = (fleet: Fleet, member: string): string[] => {
  const log = fleet.machines.get(member)?.partition(0)?.held?.log
  const names: string[] = []
  for (let index = (log?.baseIndex ?? 0) + 1; index <= (log?.lastIndex ?? 0); index++)
    names.push(`${log?.epochAt(index)}:${index}`)
  return names
}

describe('a copy', () => {
  test('refuses an epoch below the highest it has heard of, from the table or from a message', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.configure({ owner: 'b', backups: ['c'] }, ['b'])
    fleet.settle()
    fleet.write('a', [put('x', '1')])
    fleet.turn()
    const appends = fleet.take(({ to, message }) => to === 'c' && message.kind === 'append')
    for (const append of appends) fleet.deliver(append)
    expect(fleet.take(({ from }) => from === 'c')).toMatchObject([{ to: 'a', message: { kind: 'stale', epoch: 2 } }])
  })

  test('truncates what conflicts with the log of a newer owner', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.write('a', [put('x', '1')])
    fleet.write('a', [put('y', '1')])
    fleet.settle(({ to }) => to === 'c')
    expect(logOf(fleet, 'c')).toEqual(['1:1', '1:2', '1:3'])
    fleet.configure({ owner: 'b', backups: ['c'], learners: ['a'] })
    fleet.run(300)
    expect(logOf(fleet, 'b').slice(0, 2)).toEqual(['1:1', '2:2'])
    expect(logOf(fleet, 'c')).toEqual(logOf(fleet, 'b'))
    // The old owner comes back as a learner by the tail.
    expect(logOf(fleet, 'a')).toEqual(logOf(fleet, 'b'))
    expect(fleet.hash('a')).toBe(fleet.hash('b'))
  })

  test('applies only up to the commit point that the owner announces, and soon', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.run(50)
    const before = fleet.hash('b')
    fleet.write('a', [put('x', '1')])
    fleet.settle(({ to, from }) => to !== 'c' && from !== 'c')
    expect(fleet.hash('b')).toBe(before)
    fleet.run(150)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
  })

  test('hears of the last commit even if the announcement is lost', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', '1')])
    fleet.settle()
    fleet.pass(10)
    fleet.settle(none)
    fleet.run(2_500)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
  })

  test('acknowledges nothing before its store has answered', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.slowStores.set('b', [])
    const id = fleet.write('a', [put('x', '1')])
    fleet.run(50)
    expect(fleet.said(id)).toBeUndefined()
    fleet.store('b')
    fleet.settle()
    expect(fleet.said(id)).toBe('done')
  })

  test('does not take the answer of its store for an entry that was truncated since', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.slowStores.set('c', [])
    fleet.write('a', [put('x', '1')])
    fleet.settle(({ to }) => to === 'c')
    const [old] = fleet.slowStores.get('c') as number[]
    fleet.configure({ owner: 'b', backups: ['c'], learners: ['a'] })
    fleet.settle()
    fleet.step('c', { kind: 'persisted', token: old as number })
    fleet.settle()
    expect(fleet.machines.get('c')?.partition(0)?.durableIndex).toBe(1)
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'a', epoch: 1 })
    fleet.store('c')
    fleet.settle()
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'b', epoch: 2 })
  })

  test('acknowledges what it took in place of a truncated tail only when that is durable', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    for (const cell of ['x', 'y', 'z']) fleet.write('a', [put(cell, '1')])
    fleet.settle(({ to }) => to === 'c')
    fleet.slowStores.set('c', [])
    fleet.configure({ owner: 'b', backups: ['c'], learners: ['a'] })
    fleet.run(200)
    expect(logOf(fleet, 'c')).toEqual(['1:1', '2:2'])
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'a' })
    fleet.store('c')
    fleet.settle()
    expect(fleet.opened.at(-1)).toMatchObject({ member: 'b' })
  })

  test('applies nothing that the owner has not been found to agree on, however far that has committed', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    fleet.write('a', [put('x', 'never committed')])
    fleet.settle(({ to }) => to === 'c')
    const before = fleet.hash('c')
    fleet.configure({ owner: 'b', backups: [], learners: ['c'] }, [])
    const message = {
      kind: 'append',
      partition: 0,
      epoch: 2,
      previousEpoch: 1,
      previousIndex: 1,
      commitIndex: 9,
    } as const
    fleet.deliver({ from: 'b', to: 'c', message: { ...message, entries: [], hashIndex: 0, hash: 0 } })
    fleet.turn()
    expect(fleet.hash('c')).toBe(before)
  })

  test('drops its state when the table gives its copy up, and keeps it while nobody owns the partition', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.configure({ owner: undefined, backups: [], learners: [] })
    expect([fleet.hash('a'), fleet.hash('b')]).not.toContain('nothing')
    fleet.configure({ owner: 'a' })
    expect(fleet.hash('b')).toBe('nothing')
  })

  test('does not drop, for a table that comes late, what it acknowledged in a later epoch', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    fleet.configure({ backups: [] }, ['a'])
    const late = fleet.table
    fleet.configure({ learners: ['b'] }, ['a'])
    fleet.settle()
    fleet.step('b', { kind: 'table', state: late })
    expect(fleet.hash('b')).not.toBe('nothing')
  })

  test('whose hash differs stops, says so, and gets a snapshot', () => {
    const fleet = new Fleet(['a', 'b'], { hashInterval: 10, logLengthMax: 4 })
    fleet.found('a', ['b'])
    fleet.run(20)
    fleet.cellsOf('b').cells.set('x', { value: 'spoiled', expiresAtMs: null })
    for (let i = 0; i < 30; i++) {
      fleet.write('a', [put('y', `${i % 10}`)])
      fleet.run(5)
    }
    expect(fleet.events).toContainEqual(expect.objectContaining({ member: 'b', event: 'replication.diverged' }))
    expect(fleet.asks).toContainEqual({ from: 'a', request: { kind: 'remove', partition: 0, epoch: 1, backup: 'b' } })
    fleet.configure({ backups: [], learners: ['b'] })
    fleet.run(500)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
    expect(fleet.cellsOf('b').cells.has('x')).toBe(false)
  })
})

describe('a partition born again', () => {
  test('begins empty, also at a copy that holds the old state and has not heard of it', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b'])
    fleet.write('a', [put('x', 'old')])
    fleet.run(20)
    const epoch = (fleet.table.partitions[0]?.epoch ?? 0) + 1
    fleet.configure({ epoch, bornEpoch: epoch, owner: 'c', backups: [], learners: ['b'] }, ['c'])
    fleet.run(50)
    expect(fleet.answers(fleet.read('c', get('x')))).toEqual([{ kind: 'done', results: [null] }])
    expect(fleet.hash('b')).toBe(fleet.hash('c'))
    fleet.tell()
    expect(fleet.hash('b')).toBe(fleet.hash('c'))
    expect(fleet.hash('a')).toBe('nothing')
  })
})

describe('a newcomer', () => {
  const options = { logLengthMax: 8, chunkBytes: 300, chunkWindow: 2 }
  const filled = (fleet: Fleet): void => {
    fleet.found('a')
    for (let i = 0; i < 100; i++) {
      fleet.write('a', [put(`x${i}`, `${i}`)])
      fleet.settle()
    }
  }

  test('gets a snapshot and the tail while the owner serves, and replaces its state only when all of it is there', () => {
    const fleet = new Fleet(['a', 'b'], options)
    filled(fleet)
    fleet.configure({ learners: ['b'] })
    fleet.turn()
    for (let chunks = 0; chunks < 5;) {
      const posted = fleet.post.shift()
      if (posted === undefined) break
      if (posted.message.kind === 'chunk') chunks++
      fleet.deliver(posted)
      fleet.turn()
    }
    expect(fleet.hash('b')).toBe('nothing')
    const during = fleet.write('a', [put('during', '1')])
    fleet.turn()
    expect(fleet.said(during)).toBe('done')
    fleet.run(200)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
    expect(fleet.asks).toMatchObject([{ request: { kind: 'promote', learner: 'b' } }])
  })

  test('gets it although chunks and answers are lost and the link flaps', () => {
    const fleet = new Fleet(['a', 'b'], options)
    filled(fleet)
    fleet.configure({ learners: ['b'] })
    let count = 0
    fleet.run(3_000, () => count++ % 3 !== 0)
    fleet.step('a', { kind: 'linkUp', member: 'b' })
    fleet.run(1_000)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
  })

  test('waits its turn: only so many snapshots are under way at once', () => {
    const fleet = new Fleet(['a', 'b', 'c', 'd'], { ...options, transfersMax: 2 })
    filled(fleet)
    fleet.configure({ learners: ['b', 'c', 'd'] })
    const chunked = new Set<string>()
    fleet.settle(({ to, message }) => {
      if (message.kind === 'chunk' && message.ordinal === 0) chunked.add(to)
      return message.kind !== 'chunk'
    })
    expect(chunked.size).toBe(2)
    fleet.run(2_000)
    for (const member of ['b', 'c', 'd']) expect(fleet.hash(member)).toBe(fleet.hash('a'))
  })
})

describe('a link that comes up again', () => {
  test('resumes after the last acknowledgement, at once', () => {
    const fleet = new Fleet(['a', 'b'])
    fleet.found('a', ['b'])
    const id = fleet.write('a', [put('x', '1')])
    fleet.settle(none)
    fleet.step('a', { kind: 'linkUp', member: 'b' })
    fleet.settle()
    expect(fleet.said(id)).toBe('done')
  })
})

test('bytes are those of logs, states and transfers, and go with them', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  fleet.write('a', [put('x', '1')])
  fleet.run(20)
  const held = fleet.machines.get('b')?.partition(0)?.held
  expect(fleet.machines.get('b')?.bytes).toBe((held?.log.bytes ?? 0) + (held?.state.bytes ?? 0))
  fleet.configure({ backups: [] })
  fleet.settle()
  expect(fleet.machines.get('b')?.bytes).toBe(0)
})

test('an idle member wants no tick', () => {
  const fleet = new Fleet(['a', 'b'])
  fleet.found('a', ['b'])
  fleet.write('a', [put('x', '1')])
  fleet.run(3_000)
  expect([...fleet.machines.values()].map(machine => machine.deadline())).toEqual([undefined, undefined])
})
