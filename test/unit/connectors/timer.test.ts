import { describe, expect, it } from 'vitest'
import { queue } from '../../../lib/connectors/queue-target.ts'
import { timer, type Tick, type TimerOptions } from '../../../lib/connectors/timer.ts'
import { flow } from '../../../lib/flow/builder.ts'
import { runFlows } from '../../../lib/flow/runner.ts'
import { FlowCluster } from '../flow/cluster.ts'

async function ticking(options: TimerOptions, ...names: readonly string[]): Promise<FlowCluster> {
  const cluster = new FlowCluster(...names)
  const ticks = flow('ticks').from(timer('5s', options)).to(queue('out'))
  for (const grid of cluster.grids) await cluster.env.until(runFlows(grid, [ticks]))
  return cluster
}

/** Seconds since the first one, and what was missed before each. */
async function fired(cluster: FlowCluster, peer = 0): Promise<readonly (readonly [number, number])[]> {
  const ticks: Tick[] = []
  const out = cluster.grids[peer]?.queue<Tick>('out')
  for (;;) {
    const messages = (await cluster.env.until(out?.receive({ max: 1_000 }) ?? Promise.resolve([]))) ?? []
    if (messages.length === 0) break
    ticks.push(...messages.map(message => message.body))
  }
  ticks.sort((a, b) => a.dueAt - b.dueAt)
  const first = ticks[0]?.dueAt ?? 0
  return ticks.map(({ dueAt, missed }) => [(dueAt - first) / 1_000, missed])
}

describe('a timer', () => {
  it('fires at times that the interval divides, from one member', async () => {
    const cluster = await ticking({}, 'a', 'b')
    await cluster.env.advance(21_000)
    expect(await fired(cluster)).toEqual([0, 5, 10, 15].map(second => [second, 0]))
  })

  it('neither skips nor doubles a fire time when its member dies', async () => {
    const cluster = await ticking({ missed: 'each' }, 'a', 'b')
    await cluster.env.advance(12_000)
    cluster.kill('a')
    await cluster.env.advance(30_000)
    const times = (await fired(cluster, 1)).map(([second]) => second)
    expect(times).toEqual(times.map((_, at) => at * 5))
    expect(times.length).toBeGreaterThanOrEqual(8)
  })

  it('says how many times passed while nobody could fire', async () => {
    const cluster = await ticking({}, 'a')
    await cluster.env.advance(6_000)
    // As when the process is stopped.
    cluster.env.monotonicMs += 20_000
    await cluster.env.advance(1_000)
    expect(await fired(cluster)).toEqual([
      [0, 0],
      [20, 3],
    ])
  })
})
