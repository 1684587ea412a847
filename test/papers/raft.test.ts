/** One test per claim of Raft (Ongaro, Ousterhout 2014), sections 5 to 7; the section is in the name. */
import { describe, expect, it } from 'vitest'
import type { RaftConfig } from '../../lib/consensus/messages.ts'
import { consensusDefaults } from '../../lib/consensus/options.ts'
import { converse, entriesOf, Solo } from '../unit/consensus/solo.ts'
import { RaftWorld } from '../unit/consensus/world.ts'

const { heartbeatMs, electionMinMs, electionMaxMs } = consensusDefaults
const five = ['a', 'b', 'c', 'd', 'e']

function founded(seed = 1, members: readonly string[] = ['a', 'b', 'c'], voterCount?: number): RaftWorld {
  const world = new RaftWorld(seed)
  world.found(members, voterCount)
  world.roles.length = 0
  return world
}

/** Runs until a proposal at the leader is committed. */
function commitOne(world: RaftWorld): void {
  let id = 0
  world.runUntil(() => {
    const leader = world.leader()
    if (leader !== undefined && !['committed', undefined].includes(world.results.get(id) ?? 'dropped')) id = 0
    if (leader !== undefined && id === 0) id = world.propose(leader)
    return world.results.get(id) === 'committed'
  })
}

describe('5.1 terms', () => {
  it('a leader that sees a newer term becomes a follower of it', () => {
    const solo = new Solo().elect()
    expect(solo.machine.role).toBe('leader')
    solo.accept('b', 1, { term: 9, isAccepted: false })
    expect([solo.machine.role, solo.machine.term]).toEqual(['follower', 9])
  })

  it('a request of an older term is refused', () => {
    const solo = new Solo('b', { term: 5 })
    expect(solo.askVote('a', 4, [9, 4])).toBe(false)
    solo.append('a', { term: 4 })
    expect(solo.take('appended')).toMatchObject([{ message: { isAccepted: false, term: 5 } }])
    expect(solo.machine.leader).toBeUndefined()
  })
})

describe('5.2 leader election', () => {
  it('a leader keeps its authority by heartbeats', () => {
    const world = founded()
    const { term } = world.node('a').machine
    world.run(3_000)
    expect(world.roles).toEqual([])
    expect(world.node('c').machine.term).toBe(term)
  })

  it('heartbeats go to all, in each interval', () => {
    const solo = new Solo().elect()
    solo.take('append')
    solo.accept('b', 2)
    solo.accept('c', 2)
    solo.runTo(solo.nowMs + heartbeatMs)
    expect(new Set(solo.take('append').map(({ to }) => to))).toEqual(new Set(['b', 'c']))
  })

  it('a follower that hears of no leader for an election timeout votes for itself in a new term and asks all', () => {
    const solo = new Solo('b')
    solo.append('a', {})
    const dueMs = solo.machine.deadline() as number
    expect(dueMs).toBeGreaterThanOrEqual(electionMinMs)
    expect(dueMs).toBeLessThanOrEqual(electionMaxMs)
    solo.tick()
    solo.vote('c', true)
    const asked = solo.take('requestVote').filter(({ message }) => !message.isPre)
    expect(asked.map(({ to, message }) => `${to} ${message.term}`)).toEqual(['a 2', 'c 2'])
    expect(solo.askVote('c', 2, [9, 2])).toBe(false)
  })

  it('wins with the votes of a majority for its term', () => {
    const solo = new Solo('a', { voters: five })
    solo.tick()
    for (const voter of ['b', 'c']) solo.vote(voter, true)
    solo.vote('b', false)
    solo.vote('b', false)
    solo.vote('x', false)
    expect(solo.machine.role).toBe('candidate')
    solo.vote('c', false)
    expect(solo.machine.role).toBe('leader')
  })

  it('votes of another term do not count', () => {
    const solo = new Solo('a', { term: 4 })
    solo.tick()
    solo.vote('b', true)
    const vote = { kind: 'voted', isPre: false, isGranted: true, ageMs: undefined, lastIndex: 0, lastTerm: 0 } as const
    solo.hear('b', { ...vote, term: 4 })
    expect(solo.machine.role).toBe('candidate')
  })

  it('each votes for at most one in a term, first come, first served', () => {
    const solo = new Solo('c')
    expect(solo.askVote('a', 2, [1, 1])).toBe(true)
    expect(solo.askVote('b', 2, [1, 1])).toBe(false)
    expect(solo.askVote('a', 2, [1, 1])).toBe(true)
  })

  it('a vote outlives a restart', () => {
    const solo = new Solo('c', { term: 2, votedFor: 'a' })
    expect(solo.askVote('b', 2, [1, 1])).toBe(false)
    expect(solo.askVote('a', 2, [1, 1])).toBe(true)
  })

  it('a candidate follows whoever leads its term, and refuses older leaders', () => {
    const solo = new Solo('b')
    solo.tick()
    solo.vote('c', true)
    solo.append('a', { term: 1 })
    expect(solo.machine.role).toBe('candidate')
    solo.append('a', { term: 2 })
    expect([solo.machine.role, solo.machine.leader]).toEqual(['follower', 'a'])
  })

  it('election timeouts are random over the interval, so that few votes are split', () => {
    const dues = Array.from({ length: 200 }, (_, seed) => {
      const solo = new Solo('b', { seed })
      solo.append('a', {})
      return solo.machine.deadline() as number
    })
    expect(Math.min(...dues)).toBeLessThan(electionMinMs + 10)
    expect(Math.max(...dues)).toBeGreaterThan(electionMaxMs - 10)
  })

  it('a leader is found soon after the old one is lost, also when all notice at once', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const world = founded(seed, five)
      world.crash('a')
      expect(world.runUntil(() => world.leader() !== 'a' && world.leader() !== undefined)).toBeLessThan(500)
    }
  })
})

describe('5.3 log replication', () => {
  it('an entry is committed once a majority holds it, applied, and announced with the next append', () => {
    const solo = new Solo('a', { voters: five }).elect()
    for (const other of ['b', 'c']) solo.accept(other, 2)
    solo.give({ kind: 'propose', id: 1, command: { kind: 'version', version: 7 } })
    solo.tick()
    solo.accept('b', 3)
    expect([solo.machine.commitIndex, solo.resultOf(1)]).toEqual([2, undefined])
    solo.accept('c', 3)
    expect([solo.machine.commitIndex, solo.resultOf(1)]).toEqual([3, 'committed'])
    expect(solo.machine.state.version).toBe(7)
    solo.take('append')
    solo.tick()
    expect(solo.take('append').some(({ message }) => message.commitIndex === 3)).toBe(true)
  })

  it('a commit commits all that precedes it, entries of former leaders too', () => {
    const solo = new Solo('a', { terms: [1, 2, 2] }).elect()
    solo.accept('b', 4)
    expect(solo.machine.commitIndex).toBe(4)
    expect([...solo.machine.state.definitions.keys()]).toEqual(['2/2', '2/3'])
  })

  it('an append whose predecessor is not held is refused', () => {
    const solo = new Solo('b', { terms: [1, 1] })
    solo.append('a', { term: 2, prevIndex: 5, prevTerm: 1, entries: entriesOf([2], 5) })
    solo.append('a', { term: 2, prevIndex: 2, prevTerm: 2, entries: entriesOf([2], 2) })
    expect(solo.take('appended').map(({ message }) => message.isAccepted)).toEqual([false, false])
    expect(solo.terms).toEqual([1, 1])
  })

  it('an entry that differs goes, with all after it', () => {
    const solo = new Solo('b', { terms: [1, 1, 1, 1] })
    solo.append('a', { term: 2, prevIndex: 2, prevTerm: 1, entries: entriesOf([2], 2) })
    expect(solo.terms).toEqual([1, 1, 2])
  })

  it('an append that comes late or again takes nothing away', () => {
    const solo = new Solo('b', { terms: [1, 1] })
    solo.append('a', { prevIndex: 2, entries: entriesOf([1, 1], 2) })
    solo.append('a', { prevIndex: 2, entries: entriesOf([1], 2) })
    solo.append('a', { prevIndex: 1, entries: [] })
    expect(solo.terms).toEqual([1, 1, 1, 1])
  })

  // Figure 7: what a follower may hold when the leader at the top comes to power for term 8.
  const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
  it.each([
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b', [1, 1, 1, 4]],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e', [1, 1, 1, 4, 4, 4, 4]],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ])('figure 7: follower %s ends with the log of the leader, which never changes its own', (name, terms) => {
    const voters = ['leader', name, 'third']
    const leader = new Solo('leader', { voters, terms: leaderTerms, term: 7 }).elect()
    const follower = new Solo(name, { voters, terms, term: 7 })
    leader.accept('third', 0)
    converse(leader, follower, 200)
    expect(leader.terms).toEqual([...leaderTerms, 8])
    expect(follower.terms).toEqual(leader.terms)
    expect(follower.machine.state.definitions).toEqual(leader.machine.state.definitions)
  })

  it('whole terms are skipped on the way back to where two logs meet', () => {
    const voters = ['leader', 'b', 'third']
    const leader = new Solo('leader', { voters, terms: [1, ...Array<number>(300).fill(4)], term: 7 }).elect()
    const follower = new Solo('b', { voters, terms: [1, ...Array<number>(300).fill(3)], term: 7 })
    const count = converse(leader, follower, 1_000)
    expect(follower.terms).toEqual(leader.terms)
    expect(count).toBeLessThan(70)
  })

  it('appends are sent again for as long as a follower is away', () => {
    const world = founded()
    world.isolate('c')
    for (let i = 0; i < 20; i++) world.propose('a')
    world.run(5_000)
    world.heal()
    world.runUntil(() => world.node('c').machine.commitIndex === world.node('a').machine.commitIndex, 300)
  })
})

describe('5.4 safety', () => {
  const held = [1, 2, 2] as const
  it.each([
    [[9, 1], false], // more entries, of an older term
    [[2, 2], false], // fewer entries
    [[3, 2], true], // an equal log
    [[4, 2], true], // more entries
    [[1, 3], true], // fewer entries, of a newer term
  ] as const)('5.4.1 a vote for a log that ends with %j: %s', (end, isGranted) => {
    expect(new Solo('b', { terms: held, term: 4 }).askVote('a', 5, end)).toBe(isGranted)
    expect(new Solo('b', { terms: held, term: 4 }).askVote('a', 5, end, true)).toBe(isGranted)
  })

  it('5.4.1 who lacks what is committed is not elected', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = founded(seed)
      world.isolate('c')
      commitOne(world)
      const { commitIndex } = world.node('a').machine
      world.crash('a')
      world.heal()
      world.runUntil(() => !['a', undefined].includes(world.leader()))
      expect(world.node(world.leader() as string).machine.entryAt(commitIndex)).toBeDefined()
    }
  })

  it('5.4.2 an entry of an older term is committed by counting never, and with the first of the own term', () => {
    const solo = new Solo('a', { terms: [1, 2], term: 3 }).elect()
    for (const other of ['b', 'c']) solo.accept(other, 2)
    expect(solo.machine.commitIndex).toBe(0)
    solo.accept('b', 3)
    expect(solo.machine.commitIndex).toBe(3)
  })

  it('5.5 a follower that died catches up when it comes back with what it had', () => {
    const world = founded()
    world.crash('c')
    commitOne(world)
    world.restart('c')
    world.runUntil(() => world.node('c').machine.commitIndex === world.node('a').machine.commitIndex)
  })
})

describe('6 changes of the configuration', () => {
  const step = (voters: readonly string[], all: readonly string[]): RaftConfig => ({
    voters,
    learners: all.filter(member => !voters.includes(member)),
  })

  it('a newcomer follows without a vote first', () => {
    const world = founded(1, ['a', 'b', 'c'], 1)
    expect(world.node('b').machine.role).toBe('learner')
    expect(world.node('b').machine.commitIndex).toBe(world.node('a').machine.commitIndex)
    world.isolate('a')
    world.run(2_000)
    expect(world.roles.filter(({ member }) => member !== 'a').map(({ effect }) => effect)).not.toContainEqual(
      expect.objectContaining({ role: 'candidate' }),
    )
    const id = world.propose('a')
    world.run(50)
    expect(world.results.get(id)).toBe('committed')
  })

  it('the newest configuration in the log counts, committed or not', () => {
    const world = founded(1, ['a', 'b', 'c'], 1)
    world.isolate('a')
    world.propose('a', undefined, step(['a', 'b'], ['a', 'b', 'c']))
    expect(world.node('a').machine.config.voters).toEqual(['a', 'b'])
    const id = world.propose('a')
    world.run(100)
    expect(world.results.get(id)).toBeUndefined()
  })

  it('a leader that is not in it leads until it is committed, and steps down then', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = founded(seed)
      world.reconfigure(step(['b', 'c'], ['a', 'b', 'c']))
      expect(world.node('a').machine.role).not.toBe('leader')
      expect(world.runUntil(() => ['b', 'c'].includes(world.leader() ?? ''))).toBeLessThan(400)
      commitOne(world)
    }
  })

  it('a removed member disturbs nobody: votes are refused while a leader is heard', () => {
    const world = founded(1, five)
    world.isolate('e')
    world.reconfigure({ voters: ['a', 'b', 'c', 'd'], learners: [] })
    world.heal()
    const { term } = world.node('a').machine
    world.roles.length = 0
    world.run(3_000)
    expect(world.roles.filter(({ member }) => member !== 'e')).toEqual([])
    expect(world.node('a').machine.term).toBe(term)
  })

  it('a vote is refused, and its term not entered, within the least election timeout of hearing a leader', () => {
    const solo = new Solo('b')
    solo.append('a', {})
    solo.nowMs += electionMinMs - 1
    expect(solo.askVote('c', 7, [9, 6])).toBe(false)
    expect(solo.machine.term).toBe(1)
    solo.nowMs += 1
    expect(solo.askVote('c', 7, [9, 6])).toBe(true)
  })
})

describe('7 log compaction', () => {
  function far(seed: number): RaftWorld {
    const world = new RaftWorld(seed, { logLengthMax: 10, itemsPerPartMax: 2 })
    world.found(['a', 'b', 'c'])
    world.isolate('c')
    for (let i = 0; i < 40; i++) {
      world.propose('a')
      world.run(5)
    }
    return world
  }

  it('drops applied entries and keeps their end, the configuration and the state', () => {
    const { machine } = far(1).node('a')
    expect(machine.entryAt(1)).toBeUndefined()
    expect(machine.config.voters).toEqual(['a', 'b', 'c'])
    expect(machine.state.definitions.has('key-43')).toBe(true)
  })

  it('a follower that needs what is gone gets the state in parts, then entries', () => {
    const world = far(1)
    world.isRecording = true
    world.faults.lossRatio = 0.1
    world.heal()
    world.runUntil(() => world.node('c').machine.commitIndex === world.node('a').machine.commitIndex)
    expect(world.sent.filter(({ message }) => message.kind === 'snapshot').length).toBeGreaterThan(10)
    expect(world.node('c').machine.state).toEqual(world.node('a').machine.state)
  })

  it('a member starts again from its own snapshot', () => {
    const world = far(1)
    world.heal()
    const { state } = world.node('b').machine
    world.crash('b')
    world.restart('b')
    expect(world.node('b').machine.state.definitions.size).toBeGreaterThan(20)
    world.runUntil(() => world.node('b').machine.commitIndex === world.node('a').machine.commitIndex)
    expect(world.node('b').machine.state).toEqual(state)
  })

  it('a snapshot of what a follower has taken back nothing', () => {
    const solo = new Solo('b', { terms: [1, 1, 1] })
    solo.append('a', { prevIndex: 3, commitIndex: 3 })
    const { state, config } = solo.machine
    const part = { index: 2, lastTerm: 1, config, part: 0, partCount: 1, state }
    solo.hear('a', { kind: 'snapshot', term: 1, round: 2, ...part })
    expect([solo.machine.commitIndex, solo.terms]).toEqual([3, [1, 1, 1]])
    expect(solo.take('snapshotHeld')).toMatchObject([{ message: { next: 1 } }])
  })

  it('entries behind a snapshot stay if they agree with it, and go if they do not', () => {
    for (const [lastTerm, kept] of [
      [1, [1, 1, 1]],
      [2, []],
    ] as const) {
      const solo = new Solo('b', { terms: [1, 1, 1] })
      const { state, config } = solo.machine
      const part = { index: 2, lastTerm, config, part: 0, partCount: 1, state }
      solo.hear('a', { kind: 'snapshot', term: 2, round: 1, ...part })
      expect(solo.machine.commitIndex).toBe(2)
      expect(solo.terms).toEqual(kept)
    }
  })
})
