import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  applyClusterCommand,
  emptyClusterState,
  type ClusterState,
  type MemberEntry,
  type PartitionChange,
} from '../../../lib/consensus/cluster-state.ts'
import { copiesOf } from '../../../lib/placement/copies.ts'
import { changeOf, planBalance, planFailover, type BalanceRules } from '../../../lib/placement/plan.ts'

const free: BalanceRules = {
  mayReceive: () => true,
  room: () => Infinity,
  mayOwn: () => true,
  mayTrim: () => true,
  mayCopy: true,
  mayMove: true,
}

function member(name: string, zone?: string): MemberEntry {
  return {
    member: name,
    peer: name,
    name,
    addresses: [],
    zone,
    state: 'live',
    holdsData: true,
    session: 1,
    memoryBytes: 0,
  }
}

function founded(copies = 2, partitionCount = 30, minCopies = 1): ClusterState {
  return applyClusterCommand(emptyClusterState, {
    kind: 'found',
    cluster: 'c',
    settings: { partitionCount, copies, minCopies },
    version: 1,
    member: member('a'),
  })
}

function change(
  state: ClusterState,
  part: Partial<{ upsert: MemberEntry[]; remove: string[]; partitions: readonly PartitionChange[] }>,
): ClusterState {
  return applyClusterCommand(state, {
    kind: 'change',
    upsert: [],
    remove: [],
    endSessions: [],
    partitions: [],
    ...part,
  })
}

/** Owners promote every learner of a live member at once. */
function promoted(state: ClusterState): ClusterState {
  const partitions: PartitionChange[] = []
  state.partitions.forEach((entry, partition) => {
    const learner = entry.learners.find(one => state.members.get(one)?.state === 'live')
    if (learner !== undefined)
      partitions.push(
        changeOf(partition, entry, {
          backups: [...entry.backups, learner],
          learners: entry.learners.filter(one => one !== learner),
        }),
      )
  })
  return change(state, { partitions })
}

/** Owners let go of every backup that is silent or parting. */
function parted(state: ClusterState): ClusterState {
  const partitions: PartitionChange[] = []
  state.partitions.forEach((entry, partition) => {
    const isGoing = (one: string): boolean =>
      entry.parting?.includes(one) === true || state.members.get(one)?.state === 'silent'
    const backups = entry.backups.filter(one => !isGoing(one))
    if (backups.length < entry.backups.length) partitions.push(changeOf(partition, entry, { backups }))
  })
  return change(state, { partitions })
}

/** Plans and promotes until nothing is left to do. */
function settled(state: ClusterState): { readonly state: ClusterState; readonly rounds: number } {
  let current = state
  for (let rounds = 0; rounds < 500; rounds++) {
    const next = parted(promoted(change(current, { partitions: planBalance(current, free) })))
    if (JSON.stringify(next.partitions) === JSON.stringify(current.partitions)) return { state: current, rounds }
    current = next
  }
  throw new Error('the plan never ends')
}

function spread(state: ClusterState, count: (member: string) => number): number {
  const counts = [...state.members.keys()].map(count)
  return Math.max(...counts) - Math.min(...counts)
}

const ownedBy = (state: ClusterState) => (name: string) => state.partitions.filter(entry => entry.owner === name).length
const backedBy = (state: ClusterState) => (name: string) =>
  state.partitions.filter(entry => entry.backups.includes(name)).length

describe('balance', () => {
  it('gives each partition its copies and each member its share, and ends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 60 }),
        (memberCount, copies, partitionCount) => {
          let state = founded(copies, partitionCount)
          for (let i = 1; i < memberCount; i++) state = settled(change(state, { upsert: [member(`m${i}`)] })).state
          for (const entry of state.partitions)
            expect(new Set(copiesOf(entry)).size).toBe(Math.min(copies, memberCount))
          expect(spread(state, ownedBy(state))).toBeLessThanOrEqual(1)
          expect(spread(state, backedBy(state))).toBeLessThanOrEqual(2)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('keeps copies in different zones where there are enough', () => {
    const state = settled(change(founded(2), { upsert: [member('b', 'z1'), member('c', 'z1')] })).state
    const zoned = state.partitions.filter(
      entry => new Set(copiesOf(entry).map(one => state.members.get(one)?.zone)).size === 2,
    )
    expect(zoned.length).toBeGreaterThan(state.partitions.length / 2)
  })

  it('keeps the former owner as backup in a swap, so that it hears of the new one before that serves', () => {
    let state = promoted(
      change(change(founded(2), { upsert: [member('b')] }), {
        partitions: planBalance(change(founded(2), { upsert: [member('b')] }), free),
      }),
    )
    const changes = planBalance(state, free)
    expect(changes.length).toBeGreaterThan(0)
    const swaps = changes.filter(({ partition, owner }) => owner !== state.partitions[partition]?.owner)
    expect(swaps.length).toBeGreaterThan(0)
    for (const { partition, backups } of swaps) expect(backups).toContain(state.partitions[partition]?.owner)
    state = change(state, { partitions: changes })
    expect(spread(state, ownedBy(state))).toBeLessThanOrEqual(1)
  })

  it('empties a leaving member without ever having fewer copies than before', () => {
    let state = settled(change(founded(2), { upsert: [member('b'), member('c')] })).state
    state = change(state, { upsert: [{ ...(state.members.get('a') as MemberEntry), state: 'leaving' }] })
    for (let round = 0; round < 50; round++) {
      state = parted(promoted(change(state, { partitions: planBalance(state, free) })))
      for (const entry of state.partitions) expect(copiesOf(entry).length).toBeGreaterThanOrEqual(2)
    }
    expect(state.partitions.some(entry => copiesOf(entry).includes('a'))).toBe(false)
  })

  it('gives nothing to a member that flaps', () => {
    const state = change(founded(2), { upsert: [member('b')] })
    expect(planBalance(state, { ...free, mayReceive: () => false })).toEqual([])
  })

  it('gives copies even to a member that flaps where writes would be refused without', () => {
    const state = change(founded(2, 30, 2), { upsert: [member('b')] })
    expect(planBalance(state, { ...free, mayReceive: () => false })).toHaveLength(30)
  })

  it('copies where there is memory for it, and as much as there is', () => {
    const rooms: Record<string, number> = { a: 4, b: 7, c: 0 }
    const room = (name: string): number => rooms[name] ?? 0
    const state = change(founded(2), { upsert: [member('b'), member('c')] })
    const changes = planBalance(state, { ...free, room })
    const learning = (name: string): number => changes.filter(({ learners }) => learners.includes(name)).length
    expect(['a', 'b', 'c'].map(learning)).toEqual([0, 7, 0])
    expect(planBalance(state, { ...free, room: () => 0 })).toEqual([])
  })

  it('copies even to a full member where nothing would be acknowledged without', () => {
    const state = change(founded(2, 30, 2), { upsert: [member('b')] })
    expect(planBalance(state, { ...free, room: () => 0 })).toHaveLength(30)
  })

  it('takes no copy away by itself: what is to go is marked, and stays a copy until its owner asks', () => {
    const pair = settled(change(founded(2), { upsert: [member('b')] })).state
    const triple = change(change(pair, { upsert: [member('c')] }), {
      partitions: pair.partitions.map((entry, partition) =>
        changeOf(partition, entry, { backups: [...entry.backups, 'c'] }),
      ),
    })
    const after = change(triple, { partitions: planBalance(triple, { ...free, mayMove: false, mayOwn: () => false }) })
    after.partitions.forEach((entry, partition) => {
      expect(entry.backups).toEqual(triple.partitions[partition]?.backups)
      expect(entry.parting).toHaveLength(1)
    })
    const gone = failover(
      after,
      () => false,
      one => one === 'a' || one === 'b',
    )
    for (const { lost, owner } of gone) expect([lost, owner]).toEqual([false, 'c'])
  })
})

const failover = (state: ClusterState, isSilent: (one: string) => boolean, isGone: (one: string) => boolean) =>
  planFailover(state, { isSilent, isGone })

describe('failover', () => {
  const three = settled(change(founded(2), { upsert: [member('b'), member('c')] })).state

  it('promotes a live backup of each partition of a silent member and keeps that one as backup until its heir lets it go', () => {
    const after = change(three, {
      partitions: failover(
        three,
        one => one === 'a',
        () => false,
      ),
    })
    for (const entry of after.partitions) {
      expect(entry.owner).not.toBe('a')
      expect(entry.owner).toBeDefined()
    }
    const wasCopy = three.partitions.filter(entry => copiesOf(entry).includes('a')).length
    expect(after.partitions.filter(entry => entry.backups.includes('a')).length).toBe(wasCopy)
  })

  it('keeps nothing of a member that is gone', () => {
    const after = change(three, {
      partitions: failover(
        three,
        () => false,
        one => one === 'a',
      ),
    })
    for (const entry of after.partitions) expect([...copiesOf(entry), ...entry.learners]).not.toContain('a')
  })

  it('promotes no learner', () => {
    const learning = change(founded(2), { upsert: [member('b')], partitions: [] })
    const withLearner = change(learning, {
      partitions: learning.partitions.map((entry, partition) => changeOf(partition, entry, { learners: ['b'] })),
    })
    expect(
      failover(
        withLearner,
        one => one === 'a',
        () => false,
      ),
    ).toEqual([])
  })

  it('lets a partition wait for its only copy while that is silent, and begins it anew, as lost, once that is gone', () => {
    const alone = change(founded(1), { upsert: [member('b')] })
    expect(
      failover(
        alone,
        one => one === 'a',
        () => false,
      ),
    ).toEqual([])
    const changes = failover(
      alone,
      () => false,
      one => one === 'a',
    )
    expect(changes).toHaveLength(30)
    for (const entry of changes) expect(entry).toMatchObject({ owner: 'b', lost: true })
    const after = change(alone, { partitions: changes })
    expect(after.partitions[0]).toMatchObject({ bornEpoch: 2, epoch: 2 })
  })

  it('prefers a sleeping backup, which holds everything, to losing the data of an owner that is gone', () => {
    const pair = settled(change(founded(2), { upsert: [member('b')] })).state
    for (const { owner, lost } of failover(
      pair,
      one => one === 'b',
      one => one === 'a',
    )) {
      expect(owner).toBe('b')
      expect(lost).toBe(false)
    }
  })

  it('keeps a silent backup of an owner that may be dead too, as the copy that sleeps is then the last one', () => {
    const pair = settled(change(founded(2), { upsert: [member('b')] })).state
    const silenced = failover(
      pair,
      one => one === 'b',
      () => false,
    )
    expect(silenced).toHaveLength(pair.partitions.filter(entry => entry.owner === 'b').length)
    const after = change(pair, { partitions: silenced })
    const saved = failover(
      after,
      one => one === 'b',
      one => one === 'a',
    )
    for (const { owner, lost } of saved.filter(one => pair.partitions[one.partition]?.owner === 'a')) {
      expect(owner).toBe('b')
      expect(lost).toBe(false)
    }
  })

  it('does nothing twice', () => {
    const after = change(three, {
      partitions: failover(
        three,
        one => one === 'a',
        () => false,
      ),
    })
    expect(
      failover(
        after,
        one => one === 'a',
        () => false,
      ),
    ).toEqual([])
  })
})

describe('a partition change', () => {
  it('does nothing once its epoch has passed', () => {
    const state = founded(1)
    const entry = state.partitions[0]
    if (entry === undefined) throw new Error('no partition')
    const once = change(state, { partitions: [changeOf(0, entry, { learners: ['b'] })] })
    expect(change(once, { partitions: [changeOf(0, entry, { owner: 'z' })] }).partitions[0]).toEqual(once.partitions[0])
  })
})
