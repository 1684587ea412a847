import { describe, expect, it } from 'vitest'
import { copiesOf } from '../../../lib/placement/copies.ts'
import { leaseDefaults } from '../../../lib/placement/lease.ts'
import { Cell } from './cell.ts'

const { nodeLeaseMs, clockDriftRatio, wallLeapMs } = leaseDefaults
const leaderLeaseMs = nodeLeaseMs * (1 + clockDriftRatio) + wallLeapMs

function settled(names: readonly string[] = ['a', 'b', 'c'], minCopies = 1): Cell {
  const cell = new Cell(names, 12, minCopies)
  cell.run(2_500)
  return cell
}

describe('a settled cluster', () => {
  it('spreads owners and copies, and everyone holds a lease', () => {
    const cell = settled()
    for (const name of ['a', 'b', 'c']) {
      expect(cell.owned(name)).toBe(4)
      expect(cell.leaseUntilMs(name)).toBeGreaterThan(cell.nowMs)
    }
    for (const { backups, learners } of cell.state.partitions) {
      expect(backups).toHaveLength(1)
      expect(learners).toHaveLength(0)
    }
  })

  it('says how many more may be lost, once', () => {
    const cell = settled()
    const levels = cell.effects.flatMap(({ member, effect }) =>
      member === 'a' && effect.kind === 'safety' ? [effect.safety.level] : [],
    )
    expect(levels.at(-1)).toBe(0)
    expect(cell.members.get('a')?.safety?.reason).toContain('voters')
  })
})

describe('a member that falls silent', () => {
  it('keeps its partitions until its lease has run out at the leader, and has lost all of them soon after', () => {
    const cell = settled()
    cell.cut.add('c')
    const atMs = cell.nowMs
    while (cell.owned('c') > 0 && cell.nowMs < atMs + 2_000) cell.run(1)
    expect(cell.leaseUntilMs('c')).toBeLessThan(cell.nowMs)
    expect(cell.nowMs - atMs).toBeLessThan(leaderLeaseMs + 50)
    expect(cell.state.members.get('c')?.state).toBe('silent')
  })

  it('is kept as learner, and gets no lease before it is live again in the agreed state', () => {
    const cell = settled()
    cell.cut.add('c')
    cell.run(1_000)
    expect(cell.state.partitions.some(({ learners }) => learners.includes('c'))).toBe(true)
    const staleUntilMs = cell.leaseUntilMs('c')
    cell.cut.delete('c')
    cell.run(1)
    expect(cell.leaseUntilMs('c')).toBe(staleUntilMs)
    cell.run(1_000)
    expect(cell.state.members.get('c')?.state).toBe('live')
    expect(cell.leaseUntilMs('c')).toBeGreaterThan(cell.nowMs)
  })

  it('loses its session after the session lease, and is a member no more after half a minute', () => {
    const cell = settled()
    cell.cut.add('c')
    cell.run(leaseDefaults.sessionLeaseMs - 500)
    expect(cell.state.endedSessions).toEqual([])
    cell.run(1_500)
    expect(cell.state.endedSessions).toEqual(['c#1'])
    expect(cell.state.members.get('c')?.session).toBe(2)
    cell.run(30_000)
    expect(cell.state.members.has('c')).toBe(false)
  })

  it('is told that it is a member no more when it wakes after that', () => {
    const cell = settled()
    cell.cut.add('c')
    cell.run(32_000)
    cell.cut.delete('c')
    cell.run(500)
    expect(cell.effects.some(({ member, effect }) => member === 'c' && effect.kind === 'expelled')).toBe(true)
    expect(cell.leaseUntilMs('c')).toBeLessThan(cell.nowMs)
  })
})

describe('a member that is gone', () => {
  it('is replaced as soon as its lease has run out, with new copies of what it held', () => {
    const cell = settled(['a', 'b', 'c', 'd'])
    cell.cut.add('d')
    cell.input('a', { kind: 'member', member: 'd', status: 'gone' })
    cell.run(leaderLeaseMs + 200)
    expect(cell.state.members.has('d')).toBe(false)
    expect(cell.state.endedSessions).toEqual(['d#1'])
    cell.run(2_000)
    for (const { owner, backups } of cell.state.partitions) expect(new Set([owner, ...backups]).size).toBe(2)
  })
})

describe('members without memory to spare', () => {
  it('take no copies of a dead one, and take them once they have room again', () => {
    const cell = settled(['a', 'b', 'c', 'd'])
    // Each holds 6 of 24 copies of 1,000 bytes.
    cell.fill(() => 1_000)
    cell.limit = 6_000
    cell.run(200)
    cell.cut.add('d')
    cell.input('a', { kind: 'member', member: 'd', status: 'gone' })
    cell.run(leaderLeaseMs + 5_000)
    expect(cell.state.members.has('d')).toBe(false)
    expect(cell.copyCount).toBe(18)
    expect(cell.state.partitions.every(({ owner }) => owner !== 'd')).toBe(true)
    cell.limit = 7_000
    cell.run(2_000)
    expect(cell.copyCount).toBe(21)
    cell.limit = 9_000
    cell.run(2_000)
    expect(cell.copyCount).toBe(24)
  })

  it('take what is far smaller than the mean, one after the other', () => {
    const cell = settled()
    cell.fill(partition => (partition === 0 ? 8_000 : 10))
    cell.limit = 8_600
    cell.run(200)
    cell.cut.add('c')
    cell.input('a', { kind: 'member', member: 'c', status: 'gone' })
    cell.run(leaderLeaseMs + 5_000)
    const single = cell.state.partitions.filter(entry => copiesOf(entry).length === 1)
    expect(single.length).toBeLessThanOrEqual(1)
  })

  it('let one of them leave with one copy fewer of what it held', () => {
    const cell = settled(['a', 'b', 'c', 'd'])
    cell.fill(() => 1_000)
    cell.limit = 6_000
    cell.run(200)
    cell.input('d', { kind: 'leave' })
    for (let i = 0; i < 5_000 && cell.state.members.has('d'); i++) cell.run(1)
    expect(cell.state.members.has('d')).toBe(false)
    expect(cell.copyCount).toBe(18)
  })

  it('let none leave whose copies writes need', () => {
    const cell = settled(['a', 'b', 'c', 'd'], 2)
    cell.fill(() => 1_000)
    cell.limit = 6_000
    cell.run(200)
    cell.input('d', { kind: 'leave' })
    cell.run(5_000)
    for (const entry of cell.state.partitions) expect(copiesOf(entry).length).toBeGreaterThanOrEqual(2)
  })
})

describe('a leader', () => {
  it('grants nothing while no majority confirms that it leads', () => {
    const cell = settled()
    cell.isConfirming = false
    cell.run(nodeLeaseMs + 50)
    for (const name of ['a', 'b', 'c']) expect(cell.leaseUntilMs(name)).toBeLessThan(cell.nowMs)
  })

  it('takes nobody for silent because it did not listen itself', () => {
    const cell = settled()
    // The whole machine stood still.
    cell.nowMs += nodeLeaseMs + 200
    cell.run(300)
    for (const name of ['a', 'b', 'c']) expect(cell.state.members.get(name)?.state).toBe('live')
    expect(cell.effects.filter(({ effect }) => effect.kind === 'emit').map(({ effect }) => effect)).toEqual([])
  })

  it('that is new gives away nothing before the leases of the former one have run out', () => {
    const cell = settled()
    cell.cut.add('a')
    const deposedUntilMs = cell.leaseUntilMs('a')
    cell.lead('b', 0)
    const before = cell.owned('a')
    while (cell.owned('a') === before && cell.nowMs < deposedUntilMs + 2_000) cell.run(1)
    expect(cell.nowMs).toBeGreaterThan(deposedUntilMs)
    expect(cell.nowMs).toBeLessThan(deposedUntilMs + 150)
  })
})

describe('a member that leaves', () => {
  it('has handed over every role, with no copy missing meanwhile, before it is dropped', () => {
    const cell = settled()
    cell.input('c', { kind: 'leave' })
    for (let i = 0; i < 3_000 && cell.state.members.has('c'); i++) {
      cell.run(1)
      for (const { owner, backups } of cell.state.partitions)
        expect(new Set([owner, ...backups]).size).toBeGreaterThanOrEqual(2)
    }
    expect(cell.state.members.has('c')).toBe(false)
    for (const { owner, backups } of cell.state.partitions) expect([owner, ...backups]).not.toContain('c')
  })
})

describe('a member that was let go', () => {
  it('is told so at once, though it knows no leader any more', () => {
    const cell = settled()
    cell.input('c', { kind: 'leave' })
    while (cell.state.partitions.some(entry => copiesOf(entry).includes('c'))) cell.run(1)
    cell.input('c', { kind: 'role', isLeader: false, leader: undefined, term: 1, oldLeaseAgeMs: undefined })
    for (let i = 0; i < 3_000 && cell.state.members.has('c'); i++) cell.run(1)
    cell.run(2)
    const told = cell.effects.filter(({ member, effect }) => member === 'c' && effect.kind === 'expelled')
    expect(told).toHaveLength(1)
    // Its lease was taken back as it was told, or ran out before.
    const endMs = cell.members.get('c')?.leaseEndMs ?? -Infinity
    expect(endMs).toBeGreaterThan(cell.nowMs - 2 * nodeLeaseMs)
    expect(endMs).toBeLessThanOrEqual(cell.nowMs)
  })
})

describe("an owner's request", () => {
  it('removes a backup, or a learner that it waits for, and does nothing once the epoch has passed', () => {
    const cell = settled()
    const [entry] = cell.state.partitions
    const owner = entry?.owner ?? ''
    const backup = entry?.backups[0] ?? ''
    const epoch = entry?.epoch ?? 0
    cell.input(owner, { kind: 'ask', request: { kind: 'remove', partition: 0, epoch, backup } })
    cell.run(30)
    expect(cell.state.partitions[0]?.backups).not.toContain(backup)
    const later = cell.state.partitions[0]?.epoch
    cell.input(owner, { kind: 'ask', request: { kind: 'promote', partition: 0, epoch, learner: backup } })
    cell.run(5)
    expect(later).toBeGreaterThan(epoch)
    expect(cell.state.partitions[0]?.backups).not.toContain(backup)
  })
})
