/** Laws of `planFailover`, over random tables and fates. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  applyClusterCommand,
  emptyClusterState,
  type ClusterState,
  type PartitionEntry,
} from '../../../lib/consensus/cluster-state.ts'
import { absenceOf, isAway } from '../../../lib/placement/absence.ts'
import { copiesOf } from '../../../lib/placement/copies.ts'
import { planFailover } from '../../../lib/placement/plan.ts'
import { memberEntry } from '../consensus/world.ts'

const names = ['a', 'b', 'c', 'd', 'e']
const live = memberEntry('a').state

/** Copies are a prefix of a shuffle, learners what follows; some backups are parting. */
const entries = fc
  .record({
    mixed: fc.shuffledSubarray(names, { minLength: 5, maxLength: 5 }),
    copyCount: fc.integer({ min: 1, max: 4 }),
    learnerCount: fc.integer({ min: 0, max: 1 }),
    going: fc.subarray(names),
  })
  .map(({ mixed, copyCount, learnerCount, going }): PartitionEntry => {
    const [owner, ...backups] = mixed.slice(0, copyCount)
    const learners = mixed.slice(copyCount, copyCount + learnerCount)
    return { epoch: 7, bornEpoch: 1, owner, backups, learners, parting: backups.filter(one => going.includes(one)) }
  })

const fates = fc.array(fc.constantFrom('live', 'silent', 'gone'), { minLength: 5, maxLength: 5 })

function stateOf(partitions: readonly PartitionEntry[], fate: readonly string[]): ClusterState {
  const members = new Map(
    names.flatMap((name, at) =>
      fate[at] === 'gone'
        ? []
        : [[name, memberEntry(name, { state: fate[at] === 'silent' ? 'silent' : live })] as const],
    ),
  )
  const settings = { partitionCount: partitions.length, copies: 2, minCopies: 1 }
  return { ...emptyClusterState, settings, members, partitions }
}

function failedOver(before: ClusterState): ClusterState {
  const partitions = planFailover(before, absenceOf(before))
  return applyClusterCommand(before, { kind: 'change', upsert: [], remove: [], endSessions: [], partitions })
}

it('moves each partition to a copy that lives, loses one only with all its copies, and drops no copy that may live', () => {
  fc.assert(
    fc.property(fc.array(entries, { minLength: 1, maxLength: 8 }), fates, (partitions, fate) => {
      fc.pre(fate.includes('live'))
      const before = stateOf(partitions, fate)
      const absence = absenceOf(before)
      const after = failedOver(before)
      after.partitions.forEach((entry, at) => {
        const was = partitions[at] as PartitionEntry
        const kept = copiesOf(was).filter(one => !absence.isGone(one))
        const isLost = entry.bornEpoch > was.bornEpoch
        expect(isLost).toBe(kept.length === 0)
        expect([...copiesOf(entry)].sort()).toEqual(isLost ? [entry.owner] : [...kept].sort())
        const isHeld = kept.some(one => !isAway(absence, one))
        expect(isAway(absence, entry.owner ?? '?')).toBe(!isHeld && !isLost)
        expect(entry.learners).not.toContain(entry.owner)
      })
    }),
    { numRuns: 500 },
  )
})

it('gives no partition to a copy that is to go while another one lives, and marks no owner as to go', () => {
  fc.assert(
    fc.property(entries, fates, (was, fate) => {
      fc.pre(fate.includes('live'))
      const before = stateOf([was], fate)
      const absence = absenceOf(before)
      const [entry] = failedOver(before).partitions as [PartitionEntry]
      const parting = was.parting ?? []
      const isStaying = copiesOf(was).some(one => !parting.includes(one) && !isAway(absence, one))
      expect(isStaying && parting.includes(entry.owner ?? '?')).toBe(false)
      expect(entry.parting ?? []).not.toContain(entry.owner)
      for (const one of entry.parting ?? []) expect(entry.backups).toContain(one)
    }),
    { numRuns: 500 },
  )
})

it('has nothing more to do once it is done', () => {
  fc.assert(
    fc.property(fc.array(entries, { minLength: 1, maxLength: 8 }), fates, (partitions, fate) => {
      fc.pre(fate.includes('live'))
      const after = failedOver(stateOf(partitions, fate))
      expect(planFailover(after, absenceOf(after))).toEqual([])
    }),
    { numRuns: 500 },
  )
})
