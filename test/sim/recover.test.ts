/** `skein recover` in whole simulated clusters: most voters die, or only sleep, and a person goes on with what is left. */
import { expect, test } from 'vitest'
import { Cluster } from '../../sim/cluster.ts'
import { doublyServed } from '../../sim/checkers/one-owner.ts'
import { cut } from '../../sim/rules.ts'
import { World } from '../../sim/world.ts'
import type { RecoveryPlan } from '../../lib/consensus/recovery.ts'
import type { Settled } from '../../lib/replication/caller.ts'
import type { StructureOperation, StructureQuery } from '../../lib/structures/operations.ts'
import { Structures } from '../../lib/structures/structures.ts'

const partitionCount = 16

class Farm {
  readonly world: World
  readonly cluster: Cluster

  constructor(seed: number, nodeCount: number, copies: number) {
    this.world = new World({ seed })
    this.cluster = new Cluster(this.world, {
      nodeCount,
      settings: { partitionCount, copies, minCopies: 1 },
      zoneCount: 1,
      isFoundedTogether: false,
      fabric: {},
      driftPpmMax: 50,
      createState: () => new Structures(),
      shape: undefined,
      isFrozen: false,
      hasGrid: false,
    })
    this.cluster.observer.isLossAllowed = true
  }

  async boot(): Promise<void> {
    this.cluster.boot()
    await this.until(() => this.cluster.isWhole())
  }

  async play(ms: number): Promise<void> {
    const endMs = this.world.nowMs + ms
    while (this.world.nowMs < endMs) {
      await this.world.play(this.world.nowMs + 20)
      for (const problem of doublyServed(this.cluster)) throw new Error(problem)
    }
  }

  async until(holds: () => boolean, maxMs = 60_000): Promise<void> {
    const endMs = this.world.nowMs + maxMs
    while (!holds()) {
      if (this.world.nowMs >= endMs) throw new Error(`not within ${maxMs} ms: ${String(holds)}`)
      await this.world.play(this.world.nowMs + 10)
    }
  }

  running(node: number) {
    const { running } = this.cluster.machines[node] ?? {}
    if (running === undefined) throw new Error(`machine ${node} does not run`)
    return running
  }

  /** What `skein recover` would do, after the survey. */
  async plan(node: number): Promise<RecoveryPlan | string> {
    const { process, peer } = this.running(node)
    process.enter(() => peer.survey())
    await this.world.play(this.world.nowMs + 500)
    return peer.recovery()
  }

  async recover(node: number): Promise<RecoveryPlan> {
    const plan = await this.plan(node)
    if (typeof plan === 'string') throw new Error(plan)
    const { process, peer } = this.running(node)
    const before = peer.state.cluster
    process.enter(() => peer.recover(plan))
    await this.until(() => peer.state.cluster !== before)
    return plan
  }

  async call(node: number, partition: number, key: string): Promise<string> {
    const operation: StructureOperation = { kind: 'map.put', map: 'm', key, value: new Uint8Array([partition]) }
    return await this.#settled(node, (settle, deadlineMs) =>
      this.running(node).peer.call({ partition, deadlineMs }, [operation], settle),
    )
  }

  async read(node: number, partition: number, key: string): Promise<string> {
    const query: StructureQuery = { kind: 'map.get', map: 'm', key }
    return await this.#settled(node, (settle, deadlineMs) =>
      this.running(node).peer.ask({ partition, deadlineMs }, query, settle),
    )
  }

  /** Writes one key into each partition; all are acknowledged. */
  async fill(node: number): Promise<void> {
    for (let partition = 0; partition < partitionCount; partition++)
      if (!(await this.call(node, partition, 'k')).includes('done')) throw new Error(`no answer from ${partition}`)
  }

  async #settled(node: number, ask: (settle: (outcome: Settled) => void, deadlineMs: number) => void): Promise<string> {
    let outcome: Settled | undefined
    const { process } = this.running(node)
    process.enter(() => ask(settled => (outcome = settled), process.now().monotonicMs + 3_000))
    await this.until(() => outcome !== undefined)
    return JSON.stringify(outcome)
  }
}

test('the survivor of three goes on with what it holds, names what is lost, and newcomers are let in', async () => {
  const farm = new Farm(1, 3, 2)
  await farm.boot()
  await farm.fill(0)
  expect(await farm.plan(0)).toContain('has a leader')
  const [, two, three] = farm.cluster.machines
  two?.crash()
  three?.crash()
  await farm.play(5_000)
  const { lost, dropped } = await farm.recover(0)
  expect(dropped.map(({ name }) => name).toSorted()).toEqual(['goose-2', 'goose-3'])
  expect(lost.length).toBeGreaterThan(0)
  expect(lost.length).toBeLessThan(partitionCount)
  await farm.play(5_000)
  expect([...farm.cluster.observer.lostPartitions].toSorted((a, b) => a - b)).toEqual(lost)
  for (let partition = 0; partition < partitionCount; partition++) {
    const answer = await farm.read(0, partition, 'k')
    expect(answer).toContain('done')
    const { bornEpoch = 0 } = farm.running(0).peer.state.partitions[partition] ?? {}
    expect(bornEpoch > 1).toBe(lost.includes(partition))
    expect(answer.includes(`{"0":${partition}}`)).toBe(!lost.includes(partition))
  }
  two?.start()
  three?.start()
  await farm.until(() => farm.cluster.isWhole())
  expect(farm.running(0).peer.voters).toHaveLength(3)
})

test('two survivors of five both go on, with the copies of both', async () => {
  const farm = new Farm(2, 5, 3)
  await farm.boot()
  await farm.until(() => farm.running(0).peer.voters.length === 5)
  await farm.fill(0)
  for (const machine of farm.cluster.machines.slice(2)) machine.crash()
  await farm.play(5_000)
  const before = farm.running(1).member
  const { kept, lost } = await farm.recover(0)
  expect(kept.map(({ name }) => name).toSorted()).toEqual(['goose-1', 'goose-2'])
  await farm.play(5_000)
  expect(farm.running(1).member).toBe(before)
  expect(farm.running(1).peer.state.cluster).toBe(farm.running(0).peer.state.cluster)
  expect([...farm.cluster.observer.lostPartitions].toSorted((a, b) => a - b)).toEqual(lost)
  for (let partition = 0; partition < partitionCount; partition++)
    expect((await farm.read(0, partition, 'k')).includes(`{"0":${partition}}`)).toBe(!lost.includes(partition))
})

test('a majority that was only stopped ends when it wakes, and comes back as strangers', async () => {
  const farm = new Farm(3, 3, 3)
  await farm.boot()
  await farm.fill(0)
  const others = [farm.running(1), farm.running(2)]
  for (const { process } of others) process.stop()
  await farm.play(8_000)
  const { lost } = await farm.recover(0)
  expect(lost).toEqual([])
  await farm.play(3_000)
  const { cluster } = farm.running(0).peer.state
  for (const { process } of others) process.continue()
  await farm.play(10_000)
  await farm.until(() => farm.cluster.isWhole())
  for (const node of [1, 2]) {
    expect(farm.running(node).member).not.toBe(others[node - 1]?.member)
    expect(farm.running(node).peer.state.cluster).toBe(cluster)
  }
  for (let partition = 0; partition < partitionCount; partition++)
    expect(await farm.read(0, partition, 'k')).toContain(`{"0":${partition}}`)
})

test('a majority that lived on behind a cut ends when it meets the recovered cluster, and nothing of it is mixed in', async () => {
  const farm = new Farm(4, 3, 3)
  await farm.boot()
  await farm.fill(1)
  const others = [farm.running(1), farm.running(2)]
  const mend = farm.cluster.fabric.impose(cut(['goose-1'], ['goose-2', 'goose-3']))
  await farm.play(40_000)
  expect(await farm.call(1, 0, 'behind the cut')).toContain('done')
  await farm.recover(0)
  expect(await farm.call(0, 0, 'recovered')).toContain('done')
  const { cluster } = farm.running(0).peer.state
  const { member } = farm.running(0)
  mend()
  await farm.until(() => farm.cluster.machines.every(({ running }) => running?.peer.state.cluster === cluster))
  await farm.until(() => farm.cluster.isWhole())
  expect(farm.running(0).member).toBe(member)
  for (const node of [1, 2]) expect(farm.running(node).member).not.toBe(others[node - 1]?.member)
  expect(await farm.read(0, 0, 'recovered')).toContain('{"0":0}')
  expect(await farm.read(0, 0, 'behind the cut')).not.toContain('{"0":0}')
})
