/**
 * The argument in ballot.ts, tried: what an old leader confirmed reached it before the moment from which any later leader
 * counts old leases. The checker compares each confirmed question with each later leader, in true time, under clocks that
 * differ in rate by up to 1 %.
 */
import { expect, it } from 'vitest'
import { RaftWorld } from './world.ts'
import { runSeed } from './nemesis.ts'

/** Questions all the time, elections as often as they come about. */
function trouble(seed: number): RaftWorld {
  const world = new RaftWorld(seed)
  const { random } = world
  const members = ['a', 'b', 'c', 'd', 'e']
  world.found(members, 3)
  world.faults.persistMaxMs = random.pick([0, 5, 60]) as number
  world.faults.delayMaxMs = random.pick([1, 20]) as number
  for (let i = 0; i < 400; i++) {
    world.run(random.between(1, 15))
    for (const { member, machine } of world.nodes.values()) if (machine.role === 'leader') world.confirm(member)
    if (!random.chance(0.04)) continue
    const leader = world.leader() ?? 'a'
    const { voters, learners } = world.node(leader).machine.config
    const moved = random.pick(random.chance(0.5) || voters.length < 3 ? learners : voters) as string | undefined
    switch (random.int(0, 5)) {
      case 0:
        world.isolate(leader)
        break
      case 1:
        world.input(leader, { kind: 'resign' })
        break
      case 2:
        if (world.node(leader).isPaused) break
        world.crash(leader)
        world.at(random.between(1, 400), () => world.restart(leader))
        break
      case 3:
        if (world.node(leader).isPaused) break
        world.pause(leader)
        world.at(random.between(1, 400), () => world.resume(leader))
        break
      case 4: {
        if (moved === undefined) break
        const next = voters.includes(moved) ? voters.filter(voter => voter !== moved) : [...voters, moved]
        world.propose(leader, undefined, { voters: next, learners: members.filter(member => !next.includes(member)) })
        break
      }
      default:
        world.heal()
    }
  }
  return world
}

it('no later leader counts old leases from before a question that was confirmed', () => {
  let comparisonCount = 0
  let marginMs = Infinity
  for (let seed = 1; seed <= 60; seed++)
    for (const { checker } of [trouble(seed), runSeed(10_000 + seed).world]) {
      comparisonCount += checker.leaseComparisonCount
      marginMs = Math.min(marginMs, checker.leaseMarginMs)
    }
  expect(comparisonCount).toBeGreaterThan(10_000)
  // Close calls happen, or the test would prove little.
  expect(marginMs).toBeLessThan(5)
}, 30_000)

it('a new leader knows when the old one was last acknowledged', () => {
  const world = new RaftWorld(1)
  world.found(['a', 'b', 'c'])
  world.run(1_000)
  world.isolate('a')
  world.roles.length = 0
  const gapMs = world.runUntil(() => !['a', undefined].includes(world.leader()))
  const won = world.roles.find(({ effect }) => effect.kind === 'role' && effect.role === 'leader')
  const ageMs = won?.effect.kind === 'role' ? won.effect.oldLeaseAgeMs : undefined
  expect(ageMs).toBeGreaterThan(gapMs - 5)
  expect(ageMs).toBeLessThan(gapMs + 60)
})
