import { describe, expect, test } from 'vitest'
import { runBatch } from '../../sim/batch.ts'
import { failureLines, replayCommand, Tally } from '../../sim/report.ts'
import { runSeed, type RunResult } from '../../sim/run.ts'
import { plantNames, scenarioNames } from '../../sim/scenarios.ts'
import seeds from '../../sim/seeds.json' with { type: 'json' }

const timeoutMs = 120_000
const seedsTriedMax = 8

describe('seeds that found something once', () => {
  test.for(seeds)('seed $seed: $found', { timeout: timeoutMs }, async ({ seed, scenario }) => {
    const result = await runSeed({ seed, scenario: scenarioNames.find(name => name === scenario) })
    expect(result.violations).toEqual([])
    expect(result.virtualMs).toBeGreaterThanOrEqual(60_000)
    expect(result.operationCount).toBeGreaterThanOrEqual(500)
    expect(result.faultCount).toBeGreaterThanOrEqual(5)
  })
})

test(
  'one seed is one run, bit for bit, also in another thread',
  async () => {
    const here = await runSeed({ seed: 7, faultsMs: 10_000 })
    const results: RunResult[] = []
    await runBatch({ fromSeed: 7, toSeed: 8, workerCount: 2, faultsMs: 10_000 }, result => results.push(result))
    expect(results.map(result => result.seed)).toEqual([7, 8])
    expect(results[0]).toEqual(here)
    expect(results[1]?.hash).not.toBe(here.hash)
  },
  timeoutMs,
)

test.for(['grid', 'flow'] as const)('the %s workload gets its work done', { timeout: timeoutMs }, async scenario => {
  const { violations, doneCount } = await runSeed({ seed: 2, scenario, faultsMs: 20_000 })
  expect(violations).toEqual([])
  expect(doneCount).toBeGreaterThan(100)
})

/** Where each bug is found, fast; a seed draws another run when what is drawn changes, so the next few are tried too. */
const findings = [
  { plant: 'no-epoch-check', seed: 1, scenario: 'random' },
  { plant: 'early-acknowledgement', seed: 1, scenario: 'random' },
  { plant: 'no-lease-check', seed: 2, scenario: 'random' },
  { plant: 'deposed-leader-grants', seed: 1, scenario: 'random' },
  { plant: 'early-promotion', seed: 1, scenario: 'random' },
  { plant: 'double-vote', seed: 6, scenario: 'cuts' },
  { plant: 'lost-results', seed: 1, scenario: 'random' },
  { plant: 'unreplicated-decisions', seed: 1, scenario: 'random' },
  { plant: 'unreplicated-prepares', seed: 1, scenario: 'random' },
  { plant: 'unlogged-queue-leases', seed: 1, scenario: 'random' },
  { plant: 'backup-clock', seed: 1, scenario: 'random' },
  { plant: 'processor-at-backup', seed: 1, scenario: 'random' },
] as const

describe('a planted bug is found', () => {
  test('each one that there is, by a seed of its own', () => {
    expect(findings.map(({ plant }) => plant)).toEqual(plantNames)
  })

  test.for(findings)('$plant by seed $seed or one soon after', { timeout: timeoutMs }, async finding => {
    let foundCount = 0
    for (let next = 0; next < seedsTriedMax && foundCount === 0; next++) {
      const seed = finding.seed + next
      foundCount = (await runSeed({ faultsMs: 20_000, ...finding, seed })).violations.length
    }
    expect(foundCount).toBeGreaterThan(0)
  })
})

describe('the report of a batch', () => {
  const result: RunResult = {
    seed: 7,
    hash: '00ff',
    violations: [{ checker: 'bank', message: 'sum' }],
    isInBudget: true,
    virtualMs: 70_000,
    eventCount: 1,
    operationCount: 600,
    doneCount: 500,
    faultCount: 9,
    occasions: { 'leader-changed': 2 },
    events: {},
    lines: ['the last event'],
  }

  test('of a failure says what, how to see it again, and what came last', () => {
    const lines = failureLines(result, { nodes: 5, scenario: 'cuts' })
    expect(lines.join('\n')).toContain('bank: sum')
    expect(lines.join('\n')).toContain('npx skein sim --seed 7 --nodes 5 --scenario cuts')
    expect(lines.at(-1)).toContain('the last event')
    expect(replayCommand(7, {})).toBe('npx skein sim --seed 7')
  })

  test('names the shares of what was seen and what never was', () => {
    const tally = new Tally()
    tally.add(result)
    tally.add({ ...result, seed: 8, violations: [], occasions: {} })
    expect(tally.failedSeeds).toEqual([7])
    expect(tally.unseen).toContain('transaction-recovered')
    expect(tally.unseen).not.toContain('leader-changed')
    expect(tally.lines(1_000).join('\n')).toContain('50 % of seeds: leader-changed')
  })
})
