import { describe, expect, it } from 'vitest'
import {
  applyClusterCommand,
  clusterCommandShape,
  clusterStateShape,
  emptyClusterState,
  endedSessionsMax,
  type ClusterCommand,
  type ClusterState,
  type PartitionChange,
} from '../../../lib/consensus/cluster-state.ts'
import { joinStates, splitState } from '../../../lib/consensus/snapshot.ts'
import { foundCommand, memberEntry } from './world.ts'

type Change = Extract<ClusterCommand, { kind: 'change' }>

const founded = applyClusterCommand(emptyClusterState, foundCommand('a'))

function changed(state: ClusterState, fields: Partial<Omit<Change, 'kind'>>): ClusterState {
  return applyClusterCommand(state, {
    kind: 'change',
    upsert: [],
    remove: [],
    endSessions: [],
    partitions: [],
    ...fields,
  })
}

function moved(fields: Partial<PartitionChange> = {}): PartitionChange {
  return { partition: 2, fromEpoch: 1, owner: 'b', backups: ['a'], learners: ['c'], lost: false, ...fields }
}

describe('found', () => {
  it('makes the founder the only member and the owner of all partitions, in epoch 1', () => {
    expect(founded.cluster).toBe('test')
    expect([...founded.members.keys()]).toEqual(['a'])
    expect(founded.partitions).toEqual(
      Array.from({ length: 4 }, () => ({ epoch: 1, bornEpoch: 1, owner: 'a', backups: [], learners: [] })),
    )
  })

  it('leaves the partitions without owner where the founder holds no data', () => {
    const command = { ...foundCommand('w'), member: memberEntry('w', { holdsData: false }) } as ClusterCommand
    const { partitions } = applyClusterCommand(emptyClusterState, command)
    expect(partitions.map(({ owner }) => owner)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('happens once', () => {
    expect(applyClusterCommand(founded, foundCommand('b'))).toBe(founded)
  })
})

describe('change', () => {
  it('adds members and replaces what is known of them', () => {
    const grown = changed(founded, { upsert: [memberEntry('b'), memberEntry('a', { state: 'leaving' })] })
    expect([...grown.members.keys()]).toEqual(['a', 'b'])
    expect(grown.members.get('a')?.state).toBe('leaving')
    expect(founded.members.get('a')?.state).toBe('live')
  })

  it('removes members and ends their sessions', () => {
    const two = changed(founded, { upsert: [memberEntry('b', { session: 7 }), memberEntry('c', { session: 0 })] })
    const left = changed(two, { remove: ['b', 'c', 'stranger'] })
    expect([...left.members.keys()]).toEqual(['a'])
    expect(left.endedSessions).toEqual(['b#7'])
  })

  it('ends the session a member has when it is removed, not the one it had', () => {
    const two = changed(founded, { upsert: [memberEntry('b', { session: 7 })] })
    const left = changed(two, { upsert: [memberEntry('b', { session: 8 })], remove: ['b'] })
    expect(left.endedSessions).toEqual(['b#8'])
  })

  it('ends sessions once each, also one that is named twice and whose member goes', () => {
    const once = changed(founded, { endSessions: ['b#1', 'a#1', 'b#1'], remove: ['a'] })
    expect(once.endedSessions).toEqual(['b#1', 'a#1'])
    expect(changed(once, { endSessions: ['a#1', 'c#1'] }).endedSessions).toEqual(['b#1', 'a#1', 'c#1'])
  })

  it('forgets the oldest ended sessions beyond the limit', () => {
    const many = Array.from({ length: endedSessionsMax }, (_, i) => `m#${i}`)
    const full = changed(founded, { endSessions: many })
    expect(full.endedSessions).toHaveLength(endedSessionsMax)
    const { endedSessions } = changed(full, { endSessions: ['x#1', 'm#5', 'y#1'] })
    expect(endedSessions).toHaveLength(endedSessionsMax)
    expect([endedSessions[0], endedSessions.at(-2), endedSessions.at(-1)]).toEqual(['m#2', 'x#1', 'y#1'])
  })

  it('moves a partition into the next epoch', () => {
    const { partitions } = changed(founded, { partitions: [moved()] })
    expect(partitions[2]).toEqual({ epoch: 2, bornEpoch: 1, owner: 'b', backups: ['a'], learners: ['c'] })
    expect(partitions[1]).toBe(founded.partitions[1])
    expect(founded.partitions[2]?.epoch).toBe(1)
  })

  it('lets only the first of those through that were computed from one epoch', () => {
    const first = changed(founded, { partitions: [moved(), moved({ owner: 'c' })] })
    expect(first.partitions[2]).toMatchObject({ epoch: 2, owner: 'b' })
    expect(changed(first, { partitions: [moved({ owner: 'c' })] })).toBe(first)
    expect(changed(first, { partitions: [moved({ fromEpoch: 3 })] })).toBe(first)
    expect(changed(first, { partitions: [moved({ fromEpoch: 2, owner: 'c' })] }).partitions[2]).toMatchObject({
      epoch: 3,
      owner: 'c',
    })
  })

  it('applies those that fit beside those that do not', () => {
    const { partitions } = changed(founded, { partitions: [moved({ fromEpoch: 9 }), moved({ partition: 0 })] })
    expect(partitions.map(({ epoch }) => epoch)).toEqual([2, 1, 1, 1])
  })

  it('notes the epoch in which a lost partition began empty', () => {
    const lost = changed(founded, { partitions: [moved({ lost: true })] })
    expect(lost.partitions[2]).toMatchObject({ epoch: 2, bornEpoch: 2 })
    const later = changed(lost, { partitions: [moved({ fromEpoch: 2 })] })
    expect(later.partitions[2]).toMatchObject({ epoch: 3, bornEpoch: 2 })
  })

  it('passes over a partition that does not exist', () => {
    expect(changed(founded, { partitions: [moved({ partition: 4 })] })).toBe(founded)
  })

  it('shares what it does not change, above all the list of ended sessions', () => {
    const before = changed(founded, { endSessions: ['b#1'] })
    const after = changed(before, { partitions: [moved()] })
    expect(after.endedSessions).toBe(before.endedSessions)
    expect(after.members).toBe(before.members)
    expect(changed(before, { upsert: [memberEntry('b')] }).partitions).toBe(before.partitions)
    expect(changed(before, { endSessions: ['b#1'], remove: ['stranger'] })).toBe(before)
  })
})

describe('define', () => {
  const define = (state: ClusterState, definition: ClusterState['cluster'] | null, ifAbsent = false): ClusterState =>
    applyClusterCommand(state, { kind: 'define', name: 'queue/orders', definition, ifAbsent })

  it('adds, replaces and removes', () => {
    const one = define(founded, 'one')
    expect(one.definitions.get('queue/orders')).toBe('one')
    expect(define(one, 'two').definitions.get('queue/orders')).toBe('two')
    expect(define(one, null).definitions.has('queue/orders')).toBe(false)
    expect(founded.definitions.size).toBe(0)
  })

  it('leaves what is there alone where it asks for absence', () => {
    const one = define(founded, 'one', true)
    expect(define(one, 'two', true)).toBe(one)
    expect(define(founded, null)).toBe(founded)
  })
})

it('settings change all but the number of partitions', () => {
  const settings = { partitionCount: 99, copies: 3, minCopies: 2 }
  const after = applyClusterCommand(founded, { kind: 'settings', settings })
  expect(after.settings).toEqual({ partitionCount: 4, copies: 3, minCopies: 2 })
})

it('the version never falls', () => {
  const third = applyClusterCommand(founded, { kind: 'version', version: 3 })
  expect(third.version).toBe(3)
  expect(applyClusterCommand(third, { kind: 'version', version: 2 })).toBe(third)
})

describe('on the wire', () => {
  const state = changed(applyClusterCommand(founded, { kind: 'define', name: 'n', definition: [1], ifAbsent: false }), {
    upsert: [memberEntry('b', { zone: 'x' }), memberEntry('c')],
    endSessions: ['z#1', 'z#2'],
    partitions: [moved(), moved({ partition: 3, owner: undefined, backups: [] })],
  })

  it('a state stays what it is', () => {
    expect(clusterStateShape.unpack(clusterStateShape.pack(state))).toEqual(state)
  })

  it.each([1, 2, 3, 5, 100])('a state cut into parts of %i comes together again', itemsMax => {
    const parts = splitState(state, itemsMax)
    expect(parts.length).toBe(Math.ceil((3 + 4 + 1 + 2) / itemsMax))
    expect(joinStates(parts)).toEqual(state)
  })

  it('a command stays what it is', () => {
    const commands: readonly ClusterCommand[] = [
      foundCommand('a'),
      {
        kind: 'change',
        upsert: [memberEntry('b')],
        remove: ['a'],
        endSessions: ['a#1'],
        partitions: [moved({ owner: undefined })],
      },
      { kind: 'define', name: 'n', definition: { a: [1, null] }, ifAbsent: true },
      { kind: 'settings', settings: founded.settings },
      { kind: 'version', version: 2 },
    ]
    for (const command of commands)
      expect(clusterCommandShape.unpack(clusterCommandShape.pack(command))).toEqual(command)
  })
})
