import { describe, expect, test } from 'vitest'
import { recoveredId, recoveriesMax, supersedes } from '../../../lib/base/lineage.ts'
import type { ClusterState } from '../../../lib/consensus/cluster-state.ts'
import {
  planRecovery,
  recoveryProblem,
  recoveryTermStep,
  type RecoveryQuestion,
} from '../../../lib/consensus/recovery.ts'
import { Ledger } from '../../../lib/consensus/ledger.ts'
import { RaftWorld } from './world.ts'

const members = ['a', 'b', 'c', 'd', 'e']

/** Five voters of whom a, with what it had, and perhaps others are left. */
function stranded(left: readonly string[]): RaftWorld {
  const world = new RaftWorld(7)
  world.found(members)
  world.propose('a')
  world.run(100)
  for (const member of members) if (!left.includes(member)) world.crash(member)
  world.run(1_000)
  return world
}

function recover(world: RaftWorld, at: string, kept: readonly string[]): void {
  world.input(at, { kind: 'survey', members: kept })
  world.run(20)
  world.input(at, { kind: 'recover', cluster: 'test+1', kept })
  world.run(200)
}

describe('a forced recovery', () => {
  test('makes one of five the only voter, with all that it knew, in a term out of reach of elections', () => {
    const world = stranded(['a'])
    const { term, state } = world.node('a').machine
    recover(world, 'a', ['a'])
    const { machine } = world.node('a')
    expect(machine.role).toBe('leader')
    expect(machine.config).toEqual({ voters: ['a'], learners: [] })
    expect(machine.term).toBeGreaterThanOrEqual(term + recoveryTermStep)
    expect(machine.state.cluster).toBe('test+1')
    expect(machine.state.definitions).toEqual(state.definitions)
    const id = world.propose('a')
    world.run(50)
    expect(world.results.get(id)).toBe('committed')
  })

  test('takes another survivor along, who may vote again', () => {
    const world = stranded(['a', 'b'])
    recover(world, 'a', ['a', 'b'])
    const { machine } = world.node('b')
    expect(machine.state.cluster).toBe('test+1')
    expect(machine.leader).toBe('a')
    world.reconfigure({ voters: ['a', 'b'], learners: [] })
    expect(machine.config.voters).toEqual(['a', 'b'])
  })

  test('is not carried out while a leader is known', () => {
    const world = new RaftWorld(7)
    world.found(members)
    recover(world, 'b', ['b'])
    expect(world.node('b').machine.state.cluster).toBe('test')
    expect(world.leader()).toBe('a')
  })

  test('learns who knows more, and catches up with a voter that does', () => {
    const world = new RaftWorld(8)
    world.found(members)
    world.isolate('a')
    world.runUntil(() => world.leader() !== 'a')
    const leader = world.leader() as string
    const other = members.find(member => member !== 'a' && member !== leader) as string
    world.propose(leader)
    world.run(100)
    for (const member of members) if (member !== 'a' && member !== other) world.crash(member)
    world.run(1_000)
    world.heal()
    const { survey } = world.node('a').machine
    world.input('a', { kind: 'survey', members: [other] })
    expect(survey.hasAnswered(other)).toBe(false)
    world.runUntil(() => survey.hasAnswered(other))
    expect(survey.isNewer(other)).toBe(true)
    world.run(200)
    expect(survey.isNewer(other)).toBe(false)
    recover(world, 'a', ['a', other])
    expect(world.node(other).machine.state.cluster).toBe('test+1')
  })

  test('learns that another one follows a leader who is only out of reach', () => {
    const world = new RaftWorld(7)
    world.found(['c', 'a', 'b', 'd', 'e'])
    world.partition(['a'], ['c', 'd', 'e'])
    world.run(2_000)
    const { machine } = world.node('a')
    expect([world.leader(), machine.leader]).toEqual(['c', undefined])
    world.input('a', { kind: 'survey', members: ['b'] })
    expect(machine.survey.isLed('b')).toBe(false)
    world.run(100)
    // The log does not tell.
    expect(machine.survey.isNewer('b')).toBe(false)
    expect(machine.survey.isLed('b')).toBe(true)
    for (const member of ['c', 'd', 'e']) world.crash(member)
    world.run(2_000)
    world.input('a', { kind: 'survey', members: ['b'] })
    world.run(100)
    expect(machine.survey.hasAnswered('b')).toBe(true)
    expect(machine.survey.isLed('b')).toBe(false)
  })

  test('is not taken over by a survivor that holds something else as committed', () => {
    const ledger = new Ledger(100, [])
    const entries = [1, 2, 3].map(index => ({ term: 1, index }))
    expect(ledger.splice(0, 0, entries)).toBe(3)
    ledger.commit(2)
    const term = 1 + recoveryTermStep
    const other = [2, 3].map(index => ({ term, index }))
    expect(ledger.splice(1, 1, other)).toBeUndefined()
    expect(ledger.log.lastTerm).toBe(1)
    expect(ledger.splice(2, 1, other.slice(1))).toBe(3)
    expect(ledger.log.lastTerm).toBe(term)
  })
})

const entry = (owner: string, backups: readonly string[]) => ({ epoch: 1, bornEpoch: 1, owner, backups, learners: [] })

function state(cluster = 'c1'): ClusterState {
  const named = members.map(member => ({
    member,
    peer: '',
    name: `goose-${member}`,
    addresses: [],
    zone: undefined,
    state: 'live' as const,
    holdsData: true,
    session: 1,
    memoryBytes: 1,
  }))
  return {
    cluster,
    settings: { partitionCount: 3, copies: 2, minCopies: 1 },
    version: 1,
    members: new Map(named.map(each => [each.member, each])),
    partitions: [entry('a', ['c']), entry('c', ['b']), entry('d', ['e'])],
    definitions: new Map(),
    endedSessions: [],
  }
}

const survey: RecoveryQuestion['survey'] = { hasAnswered: () => true, isNewer: () => false, isLed: () => false }
const question = { self: 'a', state: state(), voters: members, leader: undefined, isLeased: false, survey }

describe('what a person is told beforehand', () => {
  test('names who is kept and dropped, and the partitions without a copy among those kept', () => {
    const { kept, dropped, lost } = planRecovery(state(), ['a', 'b'])
    expect(kept.map(({ member }) => member)).toEqual(['a', 'b'])
    expect(dropped.map(({ member }) => member)).toEqual(['c', 'd', 'e'])
    expect(lost).toEqual([2])
  })

  test('lets a minority without a leader go on', () => {
    expect(recoveryProblem({ ...question, linked: ['a', 'b'] })).toBeUndefined()
  })

  test.for([
    [{ linked: ['a'], leader: 'b' }, 'has a leader (goose-b)'],
    [{ linked: ['a'], isLeased: true }, 'has a leader'],
    [{ linked: ['a', 'b', 'c'] }, '3 of 5 voters can be reached'],
    [{ linked: ['a', 'b'], survey: { ...survey, isNewer: () => true } }, 'goose-a knows more'],
    [
      { linked: ['a', 'b'], survey: { ...survey, hasAnswered: (member: string) => member === 'a' } },
      'goose-b is linked',
    ],
    [
      { linked: ['a', 'b'], survey: { ...survey, isLed: (member: string) => member === 'b' } },
      'goose-b follows a leader',
    ],
    [{ linked: ['a'], self: 'x' }, 'in no cluster'],
    [{ linked: ['a'], state: state(`c1${'+x'.repeat(recoveriesMax)}`) }, 'which is the limit'],
  ] as const)('refuses where it must: %o', ([changes, reason]) => {
    expect(recoveryProblem({ ...question, ...changes })).toContain(reason)
  })
})

test('a recovered cluster supersedes the former one and its forebears, no other one and not itself', () => {
  const once = recoveredId('c1', 'x')
  const twice = recoveredId(once, 'y')
  expect([supersedes(once, 'c1'), supersedes(twice, 'c1'), supersedes(twice, once)]).toEqual([true, true, true])
  expect([supersedes('c1', once), supersedes(once, once), supersedes(recoveredId('c1', 'z'), once)]).toEqual([
    false,
    false,
    false,
  ])
  expect([supersedes('c12', 'c1'), supersedes('c1', '')]).toEqual([false, false])
})
