import { describe, expect, it } from 'vitest'
import { Prng } from '../../../lib/base/prng.ts'
import type { Claim } from '../../../lib/membership/claim.ts'
import { GossipQueue, transmitMaxOf } from '../../../lib/membership/gossip-queue.ts'
import { LocalHealth } from '../../../lib/membership/local-health.ts'
import { membershipDefaults } from '../../../lib/membership/options.ts'
import { Roster } from '../../../lib/membership/roster.ts'
import { recordOf } from './flock.ts'

const claimOf = (index: number, incarnation = 0): Claim => ({
  member: recordOf(index).member,
  status: 'alive',
  incarnation,
})

describe('the gossip queue', () => {
  it('sends each claim as often as it may and then drops it', () => {
    const queue = new GossipQueue()
    queue.add(claimOf(1))
    const sent = Array.from({ length: 6 }, () => queue.take(5, 4).length)
    expect(sent).toEqual([1, 1, 1, 1, 0, 0])
    expect(queue.length).toBe(0)
  })

  it('prefers what was sent less often', () => {
    const queue = new GossipQueue()
    queue.add(claimOf(1))
    queue.take(1, 4)
    queue.add(claimOf(2))
    expect(queue.take(1, 4)).toEqual([claimOf(2)])
  })

  it('replaces an older claim about the same member and starts anew', () => {
    const queue = new GossipQueue()
    queue.add(claimOf(1))
    queue.take(1, 2)
    queue.add(claimOf(1, 1))
    expect([queue.take(9, 2), queue.take(9, 2), queue.take(9, 2)]).toEqual([[claimOf(1, 1)], [claimOf(1, 1)], []])
  })

  it.each([
    [1, 4],
    [9, 4],
    [10, 8],
    [99, 8],
    [10_000, 20],
  ])('sends among %i members each claim %i times', (count, times) => {
    expect(transmitMaxOf(4, count)).toBe(times)
  })
})

describe('the roster', () => {
  const options = { ...membershipDefaults, tombstonesMax: 3, tombstoneKeepMs: 1_000 }

  function full(count: number): { readonly roster: Roster; readonly random: Prng } {
    const roster = new Roster(options)
    const random = new Prng(1)
    for (let index = 0; index < count; index++) roster.add(recordOf(index), 'alive', 0, random)
    return { roster, random }
  }

  it('keeps each member in the round exactly once as others come and go', () => {
    const { roster, random } = full(20)
    for (let index = 0; index < 20; index += 2) {
      roster.nextProbed(random)
      roster.bury(claimOf(index), 0)
      roster.add(recordOf(100 + index), 'alive', 0, random)
    }
    for (let at = 0; at < 40; at++) roster.nextProbed(random)
    const names = Array.from({ length: 60 }, () => roster.nextProbed(random)?.record.name)
    for (const { record } of roster.members()) {
      expect(names.filter(name => name === record.name).length).toBeGreaterThanOrEqual(2)
    }
  })

  it('has nobody to probe when all are silent', () => {
    const { roster, random } = full(3)
    for (const member of roster.members()) member.status = 'silent'
    expect(roster.nextProbed(random)).toBeUndefined()
  })

  it('keeps a bounded number of tombstones, the newest, and drops them in time', () => {
    const { roster } = full(5)
    for (let index = 0; index < 5; index++) roster.bury(claimOf(index), index)
    expect([...roster.tombstones()].map(({ claim }) => claim.member)).toEqual([2, 3, 4].map(at => recordOf(at).member))
    roster.purge(1_003)
    expect([...roster.tombstones()].length).toBe(1)
  })

  it('samples distinct members that fit, and fewer if few fit', () => {
    const { roster, random } = full(50)
    expect(new Set(roster.sample(10, random, () => true)).size).toBe(10)
    expect(roster.sample(3, random, ({ record }) => record.name === 'goose-7').length).toBe(1)
  })
})

describe('local health', () => {
  it('stays within 0 and its maximum', () => {
    const health = new LocalHealth(8)
    health.improve()
    expect(health.factor).toBe(1)
    health.worsen(20)
    expect(health.factor).toBe(9)
  })
})
