import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import type { RaftConfig } from '../../../lib/consensus/messages.ts'
import { configProblem } from '../../../lib/consensus/raft-config.ts'
import {
  candidateHeardWithinMs,
  planVoters,
  silentAfterMs,
  type VotersQuestion,
} from '../../../lib/consensus/voters.ts'
import { memberEntry } from './world.ts'

const nowMs = 10_000

interface Case extends Partial<Omit<VotersQuestion, 'config' | 'state'>> {
  /** Members by name, e.g. `{ a: {}, b: { zone: 'x' } }`; those who do not vote are learners. */
  readonly members: Readonly<Record<string, Partial<MemberEntry>>>
  readonly voters: readonly string[]
  /** How long each was not heard, 0 by default; -1: never was. */
  readonly silentMs?: Readonly<Record<string, number>>
}

function question({ members, voters, silentMs = {}, ...others }: Case): VotersQuestion {
  const entries = Object.entries(members).map(([name, fields]) => [name, memberEntry(name, fields)] as const)
  const learners = Object.keys(members).filter(member => !voters.includes(member))
  const lastHeardMs = (member: string): number | undefined =>
    silentMs[member] === -1 ? undefined : nowMs - (silentMs[member] ?? 0)
  const state = { ...emptyClusterState, members: new Map(entries) }
  return { state, config: { voters, learners }, lastHeardMs, nowMs, leader: voters[0], ...others }
}

/** The sets of voters on the way to where nothing changes any more; each step is one a leader may propose. */
function way(one: Case): readonly string[] {
  const steps: string[] = []
  let current = question(one)
  for (let next = planVoters(current); next !== undefined; next = planVoters(current)) {
    expect(configProblem(current.config, next)).toBeUndefined()
    expect(steps.length).toBeLessThan(30)
    current = { ...current, config: next }
    steps.push(next.voters.join(''))
  }
  return steps
}

const names = (text: string, fields: Partial<MemberEntry> = {}): Record<string, Partial<MemberEntry>> =>
  Object.fromEntries(text.split('').map(name => [name, fields]))

describe('the number of voters', () => {
  it('is one for one and for two members', () => {
    expect(way({ members: names('a'), voters: ['a'] })).toEqual([])
    expect(way({ members: names('ab'), voters: ['a'] })).toEqual([])
  })

  it('grows to three with the third member, over two', () => {
    expect(way({ members: names('abc'), voters: ['a'] })).toEqual(['ab', 'abc'])
    expect(way({ members: names('abcd'), voters: ['a', 'b', 'c'] })).toEqual([])
  })

  it('grows to five with the fifth, and no further', () => {
    expect(way({ members: names('abcde'), voters: ['a', 'b', 'c'] })).toEqual(['abcd', 'abcde'])
    expect(way({ members: names('abcdefgh'), voters: ['a', 'b', 'c', 'd', 'e'] })).toEqual([])
  })

  it('is at most what is asked for', () => {
    expect(way({ members: names('abcde'), voters: ['a'], votersMax: 3 })).toEqual(['ab', 'abc'])
    expect(way({ members: names('abcde'), voters: ['a', 'b', 'c', 'd', 'e'], votersMax: 3 })).toEqual(['abcd', 'abc'])
    expect(way({ members: names('abc'), voters: ['a', 'b', 'c'], votersMax: 1 })).toEqual(['ab', 'a'])
  })

  it('falls to one when two members are left: the loss of either must not stop the other two ways', () => {
    expect(way({ members: names('ab'), voters: ['a', 'b', 'c'] })).toEqual(['ab', 'a'])
  })
})

describe('a voter that is gone', () => {
  it('is removed first and replaced then', () => {
    expect(way({ members: names('abd'), voters: ['a', 'b', 'c'] })).toEqual(['ab', 'abd'])
  })

  it('leaves an odd number behind where nobody can replace it', () => {
    expect(way({ members: names('abcd'), voters: ['a', 'b', 'c', 'd', 'e'] })).toEqual(['abcd', 'abc'])
  })
})

describe('a voter that is silent', () => {
  const members = names('abcd')

  it('is replaced after 2 s, the replacement first', () => {
    const voters = ['a', 'b', 'c']
    expect(way({ members, voters, silentMs: { c: silentAfterMs - 1 } })).toEqual([])
    expect(way({ members, voters, silentMs: { c: silentAfterMs } })).toEqual(['abcd', 'abd'])
    expect(way({ members, voters, silentMs: { c: -1 } })).toEqual(['abcd', 'abd'])
  })

  it('counts as silent also by the agreed state', () => {
    const silent = { ...members, c: { state: 'silent' } as const }
    expect(way({ members: silent, voters: ['a', 'b', 'c'] })).toEqual(['abcd', 'abd'])
  })

  it('stays while nobody can replace it', () => {
    expect(way({ members: names('abc'), voters: ['a', 'b', 'c'], silentMs: { c: 60_000 } })).toEqual([])
    expect(way({ members, voters: ['a', 'b', 'c'], silentMs: { c: 60_000, d: 60_000 } })).toEqual([])
  })
})

describe('a learner', () => {
  it('becomes a voter only if it was just heard', () => {
    const one = { members: names('abc'), voters: ['a'] }
    expect(way({ ...one, silentMs: { b: candidateHeardWithinMs, c: candidateHeardWithinMs } })).toEqual([])
    expect(way({ ...one, silentMs: { b: candidateHeardWithinMs - 1 } })).toEqual(['ab', 'abc'])
  })

  it('becomes a voter only if it holds what is committed', () => {
    const isCaughtUp = (member: string): boolean => member !== 'b'
    expect(way({ members: names('abcd'), voters: ['a'], isCaughtUp })).toEqual(['ac', 'acd'])
  })

  it('does not make two voters out of one where the third lags', () => {
    expect(way({ members: names('abc'), voters: ['a'], isCaughtUp: member => member !== 'c' })).toEqual([])
  })

  it('is who is a member and does not vote', () => {
    const config = { voters: ['a'], learners: ['gone'] }
    expect(planVoters({ ...question({ members: names('ab'), voters: ['a'] }), config })).toEqual({
      voters: ['a'],
      learners: ['b'],
    })
  })

  it('votes also if it holds no data', () => {
    const members = { ...names('ab'), w: { holdsData: false } }
    expect(way({ members, voters: ['a'] })).toEqual(['ab', 'abw'])
  })
})

describe('a voter that leaves', () => {
  it('is replaced before it goes', () => {
    const members = { ...names('abd'), c: { state: 'leaving' } as const }
    expect(way({ members, voters: ['a', 'b', 'c'] })).toEqual(['abcd', 'abd'])
  })

  it('goes without replacement where there is none', () => {
    const members = { ...names('ab'), c: { state: 'leaving' } as const }
    expect(way({ members, voters: ['a', 'b', 'c'] })).toEqual(['ab', 'a'])
  })

  it('stays while another one has not shown that it holds what is committed', () => {
    const members = { ...names('ab'), c: { state: 'leaving' } as const }
    expect(way({ members, voters: ['a', 'b', 'c'], isCaughtUp: member => member !== 'b' })).toEqual([])
  })

  it('stays while those who stay were not heard a moment ago: they could not decide that it goes', () => {
    const one = { members: { ...names('ab'), c: { state: 'leaving' } as const }, voters: ['a', 'b', 'c'] }
    expect(way({ ...one, silentMs: { b: candidateHeardWithinMs } })).toEqual([])
    expect(way({ ...one, silentMs: { b: candidateHeardWithinMs - 1 } })).toEqual(['ab', 'a'])
  })

  it('hands over to the other of two, also as the leader', () => {
    expect(way({ members: { a: { state: 'leaving' }, b: {} }, voters: ['a'] })).toEqual(['ab', 'b'])
  })

  it('stays where it is the last', () => {
    expect(way({ members: { a: { state: 'leaving' } }, voters: ['a'] })).toEqual([])
  })

  it('is never chosen as a learner', () => {
    expect(way({ members: { ...names('ab'), c: { state: 'leaving' } }, voters: ['a'] })).toEqual([])
  })
})

describe('zones', () => {
  it('have the next voter where the fewest are', () => {
    const members = { ...names('abc', { zone: 'x' }), ...names('de', { zone: 'y' }) }
    expect(way({ members, voters: ['a', 'b', 'c'], votersMax: 3 })).toEqual(['abcd', 'abd'])
    expect(way({ members: { ...names('ab', { zone: 'x' }), c: { zone: 'y' } }, voters: ['a'] })).toEqual(['ac', 'acb'])
  })

  it('are left alone where a change gains nothing', () => {
    const members = { ...names('ab', { zone: 'x' }), ...names('cd', { zone: 'y' }) }
    expect(way({ members, voters: ['a', 'b', 'c'] })).toEqual([])
  })

  it('count each member that names none as one', () => {
    expect(way({ members: names('abcd'), voters: ['a', 'b', 'c'] })).toEqual([])
  })
})

describe('the leader', () => {
  it('goes last of equals', () => {
    const one = { members: names('abcd'), voters: ['a', 'b', 'c', 'd'], votersMax: 3 }
    expect(way({ ...one, leader: 'd' })).toEqual(['abd'])
    expect(way({ ...one, leader: 'a' })).toEqual(['abc'])
    expect(way({ members: names('ab'), voters: ['a', 'b'], leader: 'b' })).toEqual(['b'])
  })

  it('stays the last voter when the others are gone', () => {
    expect(way({ members: names('b'), voters: ['a', 'b', 'c'], leader: 'b' })).toEqual(['bc', 'b'])
  })
})

it('comes to rest at one, three or five voters from anywhere, over steps that a leader may take', () => {
  const state = fc.constantFrom('live' as const, 'live' as const, 'leaving' as const, 'silent' as const)
  const member = fc.record({ zone: fc.constantFrom(undefined, 'x', 'y', 'z'), state })
  const voters = fc.subarray('abcdefg'.split(''), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.array(member, { minLength: 1, maxLength: 7 }), voters, (list, from) => {
      const members = Object.fromEntries(list.map((fields, i) => ['abcdefg'[i] as string, fields]))
      const last = way({ members, voters: from, leader: from[0] }).at(-1) ?? from.join('')
      // Silent and leaving voters may have to stay for want of others.
      const isWhole = list.every(fields => fields.state === 'live')
      expect(isWhole ? last.length : 0).toBe(isWhole ? (list.length >= 5 ? 5 : list.length >= 3 ? 3 : 1) : 0)
    }),
    { numRuns: 500 },
  )
})

it('plans for the newest configuration only, one voter at a time', () => {
  const config: RaftConfig = { voters: ['a', 'b', 'c'], learners: ['d', 'e'] }
  const next = planVoters({ ...question({ members: names('abcde'), voters: ['a', 'b', 'c'] }), config })
  expect(next).toEqual({ voters: ['a', 'b', 'c', 'd'], learners: ['e'] })
})
