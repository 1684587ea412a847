import { describe, expect, test } from 'vitest'
import type { WorkloadFactory } from '../../../sim/workload.ts'
import { bankWorkload } from '../../../sim/workloads/bank.ts'
import { counterWorkload } from '../../../sim/workloads/counter.ts'
import { groupWorkload } from '../../../sim/workloads/group.ts'
import { lockWorkload } from '../../../sim/workloads/lock.ts'
import { mapWorkload } from '../../../sim/workloads/map.ts'
import { queueWorkload } from '../../../sim/workloads/queue.ts'
import { playToy, type ToyBug } from './toy-cluster.ts'

const workloads: Readonly<Record<string, WorkloadFactory>> = {
  map: mapWorkload,
  counter: counterWorkload,
  lock: lockWorkload,
  queue: queueWorkload,
  group: groupWorkload,
  bank: bankWorkload,
}

describe('on a cluster that keeps its promises', () => {
  test.for(Object.entries(workloads))('%s finds nothing wrong and does enough', ([, make]) => {
    for (let seed = 1; seed <= 5; seed++) {
      const { violations, count } = playToy(make, seed, 'none')
      expect(violations).toEqual([])
      expect(count).toBeGreaterThan(100)
    }
  })
})

const found: readonly (readonly [string, ToyBug])[] = [
  ['map', 'loses-writes'],
  ['map', 'stale-reads'],
  ['map', 'denies-writes'],
  ['counter', 'loses-writes'],
  ['counter', 'doubles-writes'],
  ['counter', 'stale-reads'],
  ['lock', 'ignores-tokens'],
  ['queue', 'loses-writes'],
  ['queue', 'doubles-writes'],
  ['queue', 'ignores-tokens'],
  ['group', 'loses-writes'],
  ['bank', 'tears-transactions'],
]

describe('on a cluster that breaks them', () => {
  test.for(found)('%s finds that it %s', ([name, bug]) => {
    const seeds = [1, 2, 3, 4, 5]
    const make = workloads[name] as WorkloadFactory
    expect(seeds.filter(seed => playToy(make, seed, bug).violations.length > 0).length).toBeGreaterThanOrEqual(3)
  })
})
