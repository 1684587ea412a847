/**
 * One test per claim of Ongaro's thesis (Consensus: Bridging Theory and Practice, 2014) beyond the paper, and of the
 * partial partitions that OmniPaxos shows Raft to fail in (Ng, Haridi, Carbone 2023, section 2).
 */
import { describe, expect, it } from 'vitest'
import { consensusDefaults } from '../../lib/consensus/options.ts'
import { entriesOf, Solo } from '../unit/consensus/solo.ts'
import { RaftWorld } from '../unit/consensus/world.ts'

const { electionMaxMs, heartbeatMs } = consensusDefaults
const five = ['a', 'b', 'c', 'd', 'e']
const seeds = Array.from({ length: 20 }, (_, i) => i + 1)

function founded(seed: number, members: readonly string[] = ['a', 'b', 'c']): RaftWorld {
  const world = new RaftWorld(seed)
  world.found(members)
  world.roles.length = 0
  return world
}

/** Time until something proposed at the newest leader is committed, asked anew each 10 ms. */
function recoveryMs(world: RaftWorld, msMax = 2_000): number {
  const ids: number[] = []
  let askedAtMs = -Infinity
  return world.runUntil(() => {
    const leader = world.leader()
    if (leader !== undefined && world.nowMs - askedAtMs >= 10) {
      askedAtMs = world.nowMs
      ids.push(world.propose(leader))
    }
    return ids.some(id => world.results.get(id) === 'committed')
  }, msMax)
}

describe('3.10 leadership transfer', () => {
  /** a leads term 2 with b and c, who hold everything. */
  function led(): Solo {
    const solo = new Solo().elect()
    for (const other of ['b', 'c']) solo.accept(other, 2)
    solo.tick()
    return solo
  }

  it('the leader takes no more proposals and tells the voter that has everything to stand', () => {
    const solo = led()
    solo.give({ kind: 'propose', id: 1 })
    solo.tick()
    solo.give({ kind: 'resign' })
    solo.give({ kind: 'propose', id: 2 })
    expect(solo.resultOf(2)).toBe('dropped')
    solo.tick()
    expect(solo.take('timeoutNow')).toEqual([])
    solo.accept('c', 3)
    solo.tick()
    expect(solo.take('timeoutNow').map(({ to }) => to)).toEqual([])
    solo.accept('b', 3)
    solo.tick()
    expect(solo.take('timeoutNow').map(({ to }) => to)).toEqual(['b'])
  })

  it('whoever is told stands at once, and gets votes though a leader lives', () => {
    const told = new Solo('b')
    told.append('a', {})
    told.hear('a', { kind: 'timeoutNow', term: 1 })
    const [request] = told.take('requestVote')
    expect(request?.message).toMatchObject({ term: 2, isPre: false, isTransfer: true })
    const voter = new Solo('c')
    voter.append('a', {})
    if (request !== undefined) voter.hear('b', request.message)
    expect(voter.take('voted')).toMatchObject([{ message: { isGranted: true, term: 2 } }])
  })

  it('only the leader itself can tell', () => {
    const solo = new Solo('b')
    solo.append('a', {})
    solo.hear('c', { kind: 'timeoutNow', term: 1 })
    expect(solo.take('requestVote')).toEqual([])
  })

  it('a transfer that takes an election timeout is given up', () => {
    const solo = led()
    solo.give({ kind: 'resign' })
    const endMs = solo.nowMs + electionMaxMs + heartbeatMs
    while (solo.nowMs < endMs) {
      solo.runTo(solo.nowMs + heartbeatMs)
      for (const other of ['b', 'c']) solo.accept(other, 1)
    }
    solo.give({ kind: 'propose', id: 2 })
    expect([solo.machine.role, solo.resultOf(2)]).toEqual(['leader', undefined])
  })

  it('takes a round trip, not an election timeout', () => {
    for (const seed of seeds) {
      const world = founded(seed)
      world.input('a', { kind: 'resign' })
      expect(world.runUntil(() => !['a', undefined].includes(world.leader()))).toBeLessThan(15)
      recoveryMs(world, 20)
    }
  })
})

describe('6.2 check-quorum', () => {
  it('a leader that hears no majority for an election timeout steps down and says so', () => {
    const world = founded(1)
    const id = world.propose('a')
    world.isolate('a')
    expect(world.runUntil(() => world.node('a').machine.role !== 'leader')).toBeLessThan(
      electionMaxMs + heartbeatMs + 10,
    )
    expect(world.results.get(id)).toBe('unknown')
    expect(world.node('a').machine.leader).toBeUndefined()
  })

  it('a leader that hears a bare majority goes on', () => {
    const world = founded(1, five)
    for (const other of ['d', 'e']) world.cut('a', other)
    world.run(1_000)
    expect(world.leader()).toBe('a')
  })
})

describe('6.4 reading without the log', () => {
  it('waits until an entry of the own term is committed', () => {
    const solo = new Solo().elect()
    solo.give({ kind: 'confirm', id: 1 })
    solo.tick()
    const round = solo.take('append').at(-1)?.message.round ?? 0
    solo.accept('b', 1, { round })
    expect(solo.isConfirmed(1)).toBeUndefined()
    solo.accept('b', 2, { round })
    expect(solo.isConfirmed(1)).toBe(true)
  })

  it('needs a majority to acknowledge a round begun after the question', () => {
    const solo = new Solo('a', { voters: five }).elect()
    for (const other of ['b', 'c', 'd', 'e']) solo.accept(other, 2)
    solo.tick()
    const before = solo.take('append').at(-1)?.message.round ?? 0
    solo.give({ kind: 'confirm', id: 1 })
    solo.tick()
    const round = solo.take('append').at(-1)?.message.round ?? 0
    expect(round).toBeGreaterThan(before)
    for (const other of ['b', 'c', 'd', 'e']) solo.accept(other, 2, { round: before })
    solo.accept('b', 2, { round })
    solo.accept('b', 2, { round })
    expect(solo.isConfirmed(1)).toBeUndefined()
    solo.accept('c', 2, { round })
    expect(solo.isConfirmed(1)).toBe(true)
  })

  it('questions of one turn share a round', () => {
    const world = founded(1)
    world.run(3)
    const ids = Array.from({ length: 100 }, () => world.confirm('a'))
    world.isRecording = true
    world.run(10)
    expect(ids.every(id => world.confirms.get(id) === true)).toBe(true)
    expect(world.sent.filter(({ message }) => message.kind === 'append').length).toBeLessThanOrEqual(6)
  })

  it('is refused by whoever does not lead, and by a leader that steps down first', () => {
    const world = founded(1)
    const other = world.confirm('b')
    expect(world.confirms.get(other)).toBe(false)
    world.isolate('a')
    const own = world.confirm('a')
    world.run(1_000)
    expect(world.confirms.get(own)).toBe(false)
  })
})

describe('9.6 pre-vote', () => {
  it('a member that is cut off does not raise its term, and disturbs nobody when it comes back', () => {
    for (const seed of seeds) {
      const world = founded(seed)
      const { term } = world.node('c').machine
      world.isolate('c')
      world.run(3_000)
      expect(world.node('c').machine.term).toBe(term)
      world.heal()
      world.run(1_000)
      expect([world.leader(), world.node('a').machine.term]).toEqual(['a', term])
    }
  })

  it('a promise is given to a log as new as the own while no leader lives, and changes nothing', () => {
    const solo = new Solo('b', { terms: [1, 1] })
    expect(solo.askVote('a', 2, [1, 1], true)).toBe(false)
    expect(solo.askVote('a', 2, [2, 1], true)).toBe(true)
    expect(solo.askVote('c', 2, [2, 1], true)).toBe(true)
    expect(solo.machine.term).toBe(1)
    solo.append('a', { prevIndex: 2 })
    expect(solo.askVote('c', 2, [2, 1], true)).toBe(false)
  })

  it('a closed link to the leader frees from loyalty at once, so that the next leader stands within milliseconds', () => {
    for (const seed of seeds) {
      const world = founded(seed)
      world.crash('a')
      expect(recoveryMs(world)).toBeLessThan(60)
    }
  })
})

describe('10.2.1 writing to disk beside sending', () => {
  it('a leader sends entries before it has written them, a follower acknowledges after', () => {
    const leader = new Solo().elect()
    leader.isDiskFast = false
    leader.give({ kind: 'propose', id: 1 })
    leader.tick()
    expect(leader.take('append').some(({ message }) => message.entries.length > 0)).toBe(true)
    const follower = new Solo('b')
    follower.isDiskFast = false
    follower.append('a', { entries: entriesOf([1], 1) })
    expect(follower.take('appended')).toEqual([])
  })
})

describe('OmniPaxos 2: partial partitions', () => {
  it('quorum loss: the leader lives but one other alone is connected to a majority, and is elected', () => {
    for (const seed of seeds) {
      const world = founded(seed, five)
      for (const [i, one] of five.entries())
        for (const other of five.slice(i + 1)) if (one !== 'c' && other !== 'c') world.cut(one, other)
      recoveryMs(world)
      world.runUntil(() => world.leader() === 'c', 2_000)
      const { term } = world.node('c').machine
      world.run(3_000)
      expect([world.leader(), world.node('c').machine.term]).toEqual(['c', term])
    }
  })

  it('constrained election: who alone reaches a majority has an old log, fetches the rest and is elected', () => {
    for (const seed of seeds) {
      const world = founded(seed, five)
      world.cut('a', 'c')
      for (const other of ['b', 'd', 'e']) world.cut('c', other)
      for (let i = 0; i < 80; i++) {
        world.propose('a')
        world.run(2)
      }
      world.heal()
      world.isolate('a')
      for (const [one, other] of [
        ['b', 'd'],
        ['b', 'e'],
        ['d', 'e'],
      ] as const)
        world.cut(one, other)
      recoveryMs(world)
      world.runUntil(() => world.leader() === 'c', 2_000)
      expect(world.node('c').machine.state.definitions.size).toBeGreaterThanOrEqual(80)
    }
  })

  it('chained: with three in a row somebody always leads, and the ends do not depose each other', () => {
    for (const seed of seeds) {
      const world = founded(seed)
      world.cut('a', 'c')
      world.run(2_000)
      const { term } = world.node('b').machine
      world.run(5_000)
      expect(world.node('b').machine.term).toBe(term)
      recoveryMs(world, 100)
    }
  })
})
