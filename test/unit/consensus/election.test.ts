import { expect, test } from 'vitest'
import { RaftWorld } from './world.ts'

test('a founder leads alone and others join as learners, then voters', () => {
  const world = new RaftWorld(1)
  world.found(['a', 'b', 'c'])
  expect(world.leader()).toBe('a')
  const id = world.propose('a')
  world.run(5)
  expect(world.results.get(id)).toBe('committed')
  for (const { machine } of world.nodes.values()) expect(machine.state.cluster).toBe('test')
})
