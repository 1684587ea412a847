/**
 * A leader goes back on a change of voters that cannot be committed (`Leadership.retract`). Old and new voters differ by
 * one, so any two majorities of theirs meet: whoever commits one of the two entries has been heard by whoever could commit
 * the other. The checker looks for two leaders, entries lost and voters that change by more than one.
 */
import { expect, test } from 'vitest'
import { isMajority } from '../../../lib/consensus/raft-config.ts'
import type { RaftConfig } from '../../../lib/consensus/messages.ts'
import { RaftWorld } from './world.ts'

const members = ['a', 'b', 'c', 'd']
const changeMsMax = 4

/** One step from the configuration: one more voter, or one less. */
function step(world: RaftWorld, { voters, learners }: RaftConfig): RaftConfig {
  const { random } = world
  const isGrowing = voters.length === 1 || (learners.length > 0 && random.chance(0.5))
  const moved = random.pick(isGrowing ? learners : voters) as string
  return isGrowing
    ? { voters: [...voters, moved], learners: learners.filter(member => member !== moved) }
    : { voters: voters.filter(member => member !== moved), learners: [...learners, moved] }
}

const lives = (config: RaftConfig, dead: string): boolean => isMajority(config, voter => voter !== dead)

/** Whether the change was gone back on; undefined if the death was too much for what was committed. */
function dieInChange(seed: number): boolean | undefined {
  const world = new RaftWorld(seed)
  const { random } = world
  world.found(members, random.int(1, 4))
  const leader = world.leader() as string
  const { machine } = world.node(leader)
  const before = machine.config
  const next = step(world, before)
  const dead = random.pick(members.filter(member => member !== leader)) as string
  world.faults.lossRatio = random.pick([0, 0.1]) as number
  const change = world.propose(leader, undefined, next)
  world.run(random.between(0, changeMsMax))
  // Nothing that it said is under way any more: what the leader has heard decides.
  world.isolate(dead)
  world.crash(dead)
  const isSettled = world.results.get(change) === 'committed'
  if (!lives(isSettled ? next : before, dead)) return undefined
  world.run(3_000)
  world.faults.lossRatio = 0
  const isCommitted = world.results.get(change) === 'committed'
  // All others acknowledged it, too, and the last of them only now.
  const isNew = [...next.voters].sort().join('') === [...machine.config.voters].sort().join('')
  if (isCommitted && isNew && !lives(next, dead)) return undefined
  world.run(1_000)
  const id = world.propose(world.leader() ?? leader)
  world.run(500)
  world.checker.logMatching()
  if (world.results.get(id) !== 'committed')
    world.checker.fail(`${before.voters.join('')} to ${next.voters.join('')}, and without ${dead} nothing is decided`)
  return (world.emitted.get('consensus.change-retracted') ?? 0) > 0
}

test('a cluster goes on when one that does not lead dies for ever in the middle of a change', () => {
  const seen = { retracted: 0, committed: 0, skipped: 0 }
  for (let seed = 1; seed <= 1_000; seed++) {
    try {
      const isRetracted = dieInChange(seed)
      if (isRetracted === undefined) seen.skipped++
      else if (isRetracted) seen.retracted++
      else seen.committed++
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
  expect(seen.retracted).toBeGreaterThan(10)
  expect(seen.committed).toBeGreaterThan(400)
}, 60_000)

/** A few members whose links are cut and healed at random while voters change without a pause. */
function changeUnderCuts(seed: number): number {
  const world = new RaftWorld(seed, { logLengthMax: 24, itemsPerPartMax: 3 })
  const { random } = world
  world.found(members, random.int(1, 4))
  Object.assign(world.faults, {
    lossRatio: random.pick([0, 0.05, 0.2]),
    duplicateRatio: random.pick([0, 0.1]),
    delayMaxMs: random.pick([1, 10, 60]),
    persistMaxMs: random.pick([0, 10]),
  })
  for (let i = 0; i < 60; i++) {
    for (const { machine, member, isPaused } of world.nodes.values()) {
      if (machine.role !== 'leader' || isPaused) continue
      world.propose(member)
      world.propose(member, undefined, step(world, machine.config))
    }
    world.run(random.between(1, 40))
    const [one, other] = random.shuffle(members) as [string, string]
    const fault = random.int(0, 6)
    if (fault === 0) world.isolate(one)
    else if (fault === 1) world.cutOneWay(one, other)
    else if (fault === 2)
      world.partition(
        [one, other],
        members.filter(each => each !== one && each !== other),
      )
    else if (fault === 3 && !world.node(one).isPaused) {
      world.crash(one)
      world.at(random.between(10, 600), () => world.restart(one))
    } else if (fault === 4) world.heal()
    // Long enough for a leader that is cut off to notice.
    world.run(random.pick([0, 0, 200, 400]) as number)
    world.checker.logMatching()
  }
  world.heal()
  Object.assign(world.faults, { lossRatio: 0, duplicateRatio: 0, delayMaxMs: 1, persistMaxMs: 0 })
  world.run(5_000)
  const id = world.propose(world.leader() as string)
  world.run(500)
  world.checker.logMatching()
  if (world.results.get(id) !== 'committed') world.checker.fail('nothing is decided once all are heard again')
  return world.emitted.get('consensus.change-retracted') ?? 0
}

test('changes gone back on lose nothing that is committed and make no second leader', () => {
  let retractedCount = 0
  for (let seed = 1; seed <= 100; seed++) {
    try {
      retractedCount += changeUnderCuts(seed)
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
  expect(retractedCount).toBeGreaterThan(50)
}, 60_000)

// c commits abc -> abcd, which only c knows, and goes on to bcd. Whoever is elected by three of abcd then must not go back
// to abc on its own: it would decide with one other, while c is elected by c and d.
test('a leader that has committed nothing yet goes back on nothing: the change may be committed', () => {
  let playedCount = 0
  for (let seed = 1; seed <= 20; seed++) {
    const world = new RaftWorld(seed)
    world.found(['c', 'a', 'b', 'd'], 3)
    Object.assign(world.faults, { delayMinMs: 5, delayMaxMs: 6 })
    const change = world.propose('c', undefined, { voters: ['c', 'a', 'b', 'd'], learners: [] })
    world.runUntil(() => world.results.get(change) === 'committed')
    world.isolate('c')
    world.propose('c', undefined, { voters: ['c', 'b', 'd'], learners: ['a'] })
    world.run(5)
    world.crash('c')
    world.runUntil(() => ['a', 'b', 'd'].includes(world.leader() ?? ''))
    const second = world.leader() as string
    if (second === 'd') continue
    playedCount++
    world.partition(['a', 'b'], ['d'])
    world.propose(second)
    world.run(600)
    world.heal()
    world.partition(['a', 'b'], ['c', 'd'])
    world.restart('c')
    world.run(2_000)
    world.heal()
    world.run(2_000)
    world.checker.logMatching()
  }
  expect(playedCount).toBeGreaterThan(5)
})
