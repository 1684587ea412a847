/** How three members come to a leader and lose one, as a transcript. `vitest -u` rewrites it: read the difference. */
import { describe, expect, it } from 'vitest'
import { RaftWorld } from '../unit/consensus/world.ts'

/** One line per role taken: to the millisecond, who, in which term, following whom. */
function transcript(world: RaftWorld, fromMs: number): string {
  return world.roles
    .flatMap(({ atMs, member, effect }) => (effect.kind === 'role' ? [{ atMs, member, effect }] : []))
    .filter(({ atMs }) => atMs >= fromMs)
    .map(({ atMs, member, effect: { role, term, leader } }) => {
      const after = role === 'leader' ? '' : leader === undefined ? ', no leader' : ` of ${leader}`
      return `${(atMs - fromMs).toFixed(0)} ms  ${member}: ${role}${after}, term ${term}`
    })
    .join('\n')
}

function three(): RaftWorld {
  const world = new RaftWorld(7)
  world.found(['a', 'b', 'c'])
  world.run(1_000)
  return world
}

/** What happens within `ms` from now. */
function after(world: RaftWorld, ms: number): string {
  const fromMs = world.nowMs
  world.run(ms)
  return transcript(world, fromMs)
}

describe('three voters', () => {
  it('come together', () => {
    expect(transcript(three(), 0)).toMatchInlineSnapshot(`
      "0 ms  a: leader, term 1
      20 ms  b: learner of a, term 1
      20 ms  c: learner of a, term 1
      31 ms  b: follower of a, term 1
      41 ms  c: follower of a, term 1"
    `)
  })

  it('lose their leader to SIGKILL', () => {
    const world = three()
    world.crash('a')
    expect(after(world, 2_000)).toMatchInlineSnapshot(`
      "3 ms  c: candidate, no leader, term 1
      4 ms  c: candidate, no leader, term 2
      5 ms  b: follower, no leader, term 2
      5 ms  c: leader, term 2
      6 ms  b: follower of c, term 2"
    `)
  })

  it('have their leader frozen for 1 s', () => {
    const world = three()
    world.pause('a')
    world.at(1_000, () => world.resume('a'))
    expect(after(world, 3_000)).toMatchInlineSnapshot(`
      "127 ms  c: candidate, no leader, term 1
      128 ms  c: candidate, no leader, term 2
      128 ms  b: follower, no leader, term 2
      129 ms  c: leader, term 2
      129 ms  b: follower of c, term 2
      1000 ms  a: follower of c, term 2"
    `)
  })

  it('have a follower cut off for 3 s', () => {
    const world = three()
    world.isolate('c')
    world.at(3_000, () => world.heal())
    expect(after(world, 5_000)).toMatchInlineSnapshot(`
      "127 ms  c: candidate, no leader, term 1
      3007 ms  c: follower of a, term 1"
    `)
  })

  it('let their leader resign', () => {
    const world = three()
    world.input('a', { kind: 'resign' })
    expect(after(world, 1_000)).toMatchInlineSnapshot(`
      "0 ms  b: candidate, no leader, term 2
      1 ms  a: follower, no leader, term 2
      1 ms  c: follower, no leader, term 2
      1 ms  b: leader, term 2
      2 ms  a: follower of b, term 2
      2 ms  c: follower of b, term 2"
    `)
  })
})
