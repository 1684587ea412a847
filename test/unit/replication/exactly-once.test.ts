import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Sessions } from '../../../lib/replication/sessions.ts'
import { Transactions } from '../../../lib/replication/transactions.ts'
import { Bazaar, complaints, type BazaarOptions } from './bazaar.ts'

const calls: BazaarOptions = {
  seed: 1,
  callerCount: 3,
  partitionCount: 3,
  callCount: 60,
  transactionRatio: 0,
  lossRatio: 0.1,
  duplicateRatio: 0,
  turnDownRatio: 0.2,
  deathRatio: 0.005,
  moveRatio: 0.01,
}
const duplicates: BazaarOptions = { ...calls, duplicateRatio: 0.2 }
const transactions: BazaarOptions = { ...calls, transactionRatio: 0.5, deathRatio: 0.02 }

function run(options: BazaarOptions): Bazaar {
  const bazaar = new Bazaar(options)
  bazaar.run()
  return bazaar
}

function keepsPromises(options: BazaarOptions): void {
  const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const isExact = options.duplicateRatio === 0
  const property = fc.property(seeds, seed => {
    expect(complaints(run({ ...options, seed }), isExact)).toEqual([])
  })
  fc.assert(property, { numRuns: 60, seed: 20_261_122 })
}

function isBroken(options: BazaarOptions): boolean {
  return complaints(run(options), options.duplicateRatio === 0).length > 0
}

/** Seeds out of 40 in which something is wrong. */
function complainingCount(options: BazaarOptions): number {
  let count = 0
  for (let seed = 0; seed < 40; seed++) if (isBroken({ ...options, seed })) count++
  return count
}

describe('calls under loss, reordering, failover and lost sessions', () => {
  test('are applied at most once, and what they hear is true', () => keepsPromises(calls))

  test('are applied at most once when messages arrive twice', () => keepsPromises(duplicates))
})

describe('transactions under dying coordinators', () => {
  test('happen everywhere or nowhere, and none stays undecided', () => keepsPromises(transactions))

  test('happen everywhere or nowhere when messages arrive twice', () =>
    keepsPromises({ ...transactions, duplicateRatio: 0.2 }))

  test('are recovered, moved, and hear every kind of outcome in these runs', () => {
    const heard = new Set<string>()
    let recoveredCount = 0
    let movedCount = 0
    for (let seed = 0; seed < 10; seed++) {
      const bazaar = run({ ...transactions, seed })
      recoveredCount += bazaar.recoveredCount
      movedCount += bazaar.movedCount
      for (const { outcome } of bazaar.wanted) heard.add(outcome?.kind ?? 'nothing')
    }
    expect([...heard].toSorted()).toEqual(['done', 'indeterminate', 'nothing', 'refused', 'unavailable'])
    expect(recoveredCount).toBeGreaterThan(0)
    expect(movedCount).toBeGreaterThan(0)
  })
})

describe('the checks above notice', () => {
  afterEach(() => vi.restoreAllMocks())
  const { admit, record, images, fate } = Sessions.prototype
  const { preparedImages } = Transactions.prototype

  test('a recorded result that is dropped early', () => {
    vi.spyOn(Sessions.prototype, 'record').mockImplementation(function (this: Sessions, id, sequence, outcome) {
      if (sequence % 3 > 0) record.call(this, id, sequence, outcome)
    })
    expect(complainingCount(calls)).toBeGreaterThan(10)
  })

  test('a mark that is ignored', () => {
    vi.spyOn(Sessions.prototype, 'admit').mockImplementation(function (this: Sessions, call) {
      const known = admit.call(this, call)
      return known?.kind === 'indeterminate' && known.message.includes('mark') ? undefined : known
    })
    expect(complainingCount(duplicates)).toBeGreaterThan(10)
  })

  test('results that are left behind when a partition moves', () => {
    vi.spyOn(Sessions.prototype, 'images').mockImplementation(function (this: Sessions) {
      return images.call(this).map(image => ({ ...image, results: [] }))
    })
    expect(() => run({ ...calls, moveRatio: 0.05 })).toThrow('bytes restored')
  })

  test('a commit after an abort', () => {
    vi.spyOn(Sessions.prototype, 'admit').mockImplementation(function (this: Sessions, call) {
      const known = admit.call(this, call)
      return known?.kind === 'done' && known.results[0] === false ? undefined : known
    })
    expect(complainingCount({ ...transactions, moveRatio: 0 })).toBeGreaterThan(0)
  })

  test('an abort that is presumed while the decision may still come', () => {
    vi.spyOn(Sessions.prototype, 'fate').mockImplementation(function (this: Sessions, id, sequence) {
      return fate.call(this, id, sequence) ?? 'never'
    })
    expect(complainingCount(transactions)).toBeGreaterThan(0)
  })

  test('prepared transactions that are left behind when a partition moves', () => {
    vi.spyOn(Transactions.prototype, 'preparedImages').mockImplementation(function (this: Transactions) {
      return preparedImages.call(this).slice(1)
    })
    expect(() => complainingCount({ ...transactions, moveRatio: 0.05 })).toThrow('bytes restored')
  })
})
