/** A machine that stands still for a moment stops all processes on it, and none of them learns of it but by the clock. */
import { describe, expect, it } from 'vitest'
import { RaftWorld } from './world.ts'

const members = ['a', 'b', 'c']

function founded(seed: number): RaftWorld {
  const world = new RaftWorld(seed)
  world.found(members)
  world.run(500)
  return world
}

function stall(world: RaftWorld, stalled: readonly string[], ms: number): void {
  for (const member of stalled) world.pause(member)
  world.run(ms)
  for (const member of stalled) world.resume(member)
}

describe('a stall', () => {
  it('of all members at once changes no leader', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = founded(seed)
      const { term } = world.node('a').machine
      for (let i = 0; i < 5; i++) {
        stall(world, members, world.random.between(200, 1_500))
        world.run(world.random.between(100, 400))
      }
      expect([world.leader(), world.node('a').machine.term]).toEqual(['a', term])
    }
  })

  it('of a follower does not make up for a leader that is gone: the election waits two heartbeats more at the most', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = founded(seed)
      world.isolate('a')
      stall(world, ['b', 'c'], 1_000)
      expect(world.runUntil(() => ['b', 'c'].includes(world.leader() ?? ''))).toBeLessThan(260)
    }
  })

  it('of a leader that nobody hears any more keeps it a leader for a moment only', () => {
    const world = founded(1)
    world.isolate('a')
    stall(world, ['a'], 250)
    const { machine } = world.node('a')
    for (let i = 0; i < 10; i++) stall(world, ['a'], 120)
    expect(machine.role).not.toBe('leader')
  })

  it('again and again does not keep the followers from electing another leader', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = founded(seed)
      world.isolate('a')
      for (let i = 0; i < 30; i++) {
        stall(world, ['b', 'c'], 130)
        world.run(2)
      }
      expect(['b', 'c']).toContain(world.leader())
    }
  })

  it('costs nothing where there is none: a leader that dies is followed as fast as ever', () => {
    let totalMs = 0
    for (let seed = 1; seed <= 40; seed++) {
      const world = founded(seed)
      world.isolate('a')
      totalMs += world.runUntil(() => ['b', 'c'].includes(world.leader() ?? ''))
    }
    expect(totalMs / 40).toBeLessThan(220)
  })
})
