/**
 * One seed is one run in whatever process it runs: two of them, with heaps of different sizes, so that garbage is
 * collected at other moments, give the same hashes. A few short seeds by default; all that is asked of a release with
 *
 *   SKEIN_SEEDS=1..100 npx vitest run test/sim/two-processes.test.ts
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const skein = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url))
const asked = process.env.SKEIN_SEEDS
const seeds = asked ?? '1..2'
const lengths = asked === undefined ? ['--faults-ms', '5000'] : []
const timeoutMs = asked === undefined ? 120_000 : 3_600_000
const outputBytesMax = 64 * 1024 * 1024

const heaps = [
  ['--max-old-space-size=64', '--max-semi-space-size=1'],
  ['--max-old-space-size=2048', '--max-semi-space-size=128'],
]

interface Told {
  readonly seed: number
  readonly hash: string
}

async function hashes(heap: readonly string[], scenario: string): Promise<readonly string[]> {
  const args = [...heap, skein, 'sim', '--seeds', seeds, '--scenario', scenario, '--json', '--workers', '1', ...lengths]
  // A failed seed has a hash too; what it found is for others to judge.
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: outputBytesMax }).catch(
    (error: { readonly stdout: string; readonly code?: unknown }) => {
      if (error.code === 1) return error
      throw error
    },
  )
  const lines = stdout
    .trim()
    .split('\n')
    .filter(line => line.startsWith('{'))
  return lines.map(line => {
    const { seed, hash } = JSON.parse(line) as Told
    return `${seed} ${hash}`
  })
}

test.for(['random', 'grid'])(
  '%s: the same hashes with small heaps and with large ones',
  { timeout: timeoutMs },
  async scenario => {
    const [small, large] = await Promise.all(heaps.map(heap => hashes(heap, scenario)))
    const [from, to] = seeds.split('..').map(Number)
    expect(small).toHaveLength(Number(to) - Number(from) + 1)
    expect(large).toEqual(small)
  },
)
