import { describe, expect, it, test } from 'vitest'
import { emptyClusterState, type ClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import { leaseDefaults } from '../../../lib/placement/lease.ts'
import { Placement, type PlacementEffect } from '../../../lib/placement/placement.ts'
import { safetyOf } from '../../../lib/placement/safety.ts'
import { memberEntry } from '../consensus/world.ts'

type Table = readonly (readonly [owner: string | undefined, backups: string, parting?: string])[]

function state(members: string, partitions: Table, fields: Record<string, Partial<MemberEntry>> = {}): ClusterState {
  return {
    ...emptyClusterState,
    cluster: 'c',
    settings: { partitionCount: partitions.length, copies: 2, minCopies: 1 },
    members: new Map(members.split('').map(name => [name, memberEntry(name, fields[name])])),
    partitions: partitions.map(([owner, backups, parting]) => ({
      epoch: 1,
      bornEpoch: 1,
      owner,
      backups: backups.split(''),
      learners: [],
      ...(parting !== undefined && { parting: parting.split('') }),
    })),
  }
}

const of = (members: string, voters: string, partitions: Table, fields?: Record<string, Partial<MemberEntry>>) => {
  const { level, spareVoters, reason } = safetyOf(state(members, partitions, fields), voters.split(''))
  return [level, spareVoters, reason]
}

describe('the safety level', () => {
  it('counts copies: two peers with two copies may lose one, though one of them alone votes', () => {
    const reason = 'every partition has at least 2 copies; a alone votes: without it everything waits'
    expect(
      of('ab', 'a', [
        ['a', 'b'],
        ['b', 'a'],
      ]),
    ).toEqual([1, 0, reason])
  })

  it('says nothing of voters where these can lose as many', () => {
    expect(
      of('abc', 'abc', [
        ['a', 'b'],
        ['c', 'a'],
      ]),
    ).toEqual([1, 1, 'every partition has at least 2 copies'])
  })

  it('is that of the partition with the fewest live copies that are to stay', () => {
    const silent = { b: { state: 'silent' } } as const
    const thin = '1 of 2 partitions have one copy; re-copying'
    expect(
      of(
        'abcd',
        'acd',
        [
          ['a', 'b'],
          ['c', 'a'],
        ],
        silent,
      ),
    ).toEqual([0, 1, thin])
    expect(
      of('abcd', 'acd', [
        ['a', 'c', 'c'],
        ['c', 'a'],
      ]),
    ).toEqual([0, 1, thin])
    expect(
      of('abcd', 'acd', [
        ['a', 'x'],
        ['c', 'a'],
      ]),
    ).toEqual([0, 1, thin])
  })

  it('is -1 while a partition waits for its only copy, also if its owner is silent', () => {
    const reason = '1 of 2 partitions wait for their only copy'
    expect(
      of('abc', 'abc', [
        [undefined, 'b'],
        ['c', 'a'],
      ]),
    ).toEqual([-1, 1, reason])
    const silent = { a: { state: 'silent' } } as const
    expect(
      of(
        'abcd',
        'bcd',
        [
          ['a', 'b'],
          ['c', 'b'],
        ],
        silent,
      ),
    ).toEqual([-1, 1, reason])
  })

  it('is -1 while the voters cannot decide', () => {
    const silent = { b: { state: 'silent' }, c: { state: 'silent' } } as const
    const [level, spareVoters, reason] = of('abc', 'abc', [['a', 'b']], silent)
    expect([level, spareVoters]).toEqual([-1, -1])
    expect(reason).toContain('1 of 3 voters are live, too few to decide')
  })

  it('names the voters that can be spared where they are fewer than the copies', () => {
    const silent = { c: { state: 'silent' } } as const
    expect(of('abcd', 'abc', [['a', 'b']], silent)[2]).toContain('2 of 3 voters are live: no more may die')
    expect(
      of('abc', 'abc', [
        ['a', 'bcd'],
        ['b', 'acd'],
      ])[2],
    ).toContain('3 of 3 voters are live: 1 more may die')
    expect(of('ab', 'ab', [['a', 'b']])[2]).toContain('2 of 2 voters are live: no more may die')
  })

  it('is 0 for one peer alone, which cannot be spared anyway', () => {
    expect(of('a', 'a', [['a', '']])).toEqual([0, 0, 'alone, one copy'])
  })
})

test('a change of voters alone is told, too', () => {
  let voters: readonly string[] = ['a']
  const view = { voters: () => voters, planVoters: () => undefined }
  const placement = new Placement({ member: 'a', view, options: { ...leaseDefaults, repeatIntervalMs: 250 } })
  const told: string[] = []
  const hear = (effects: readonly PlacementEffect[]): void => {
    for (const effect of effects) if (effect.kind === 'safety') told.push(effect.safety.reason)
  }
  const at = { monotonicMs: 0, wallMs: 0 }
  hear(placement.step(at, { kind: 'applied', state: state('abc', [['a', 'b']]), index: 1 }))
  voters = ['a', 'b', 'c']
  hear(placement.step(at, { kind: 'tick' }))
  expect(told).toHaveLength(2)
  expect(told[0]).toContain('a alone votes')
  expect(told[1]).toBe('every partition has at least 2 copies')
})
