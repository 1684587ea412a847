import { describe, expect, it } from 'vitest'
import { Prng } from '../../../lib/base/prng.ts'
import { file } from '../../../lib/connectors/file/file.ts'
import { flow, type Flow } from '../../../lib/flow/builder.ts'
import type { AnyMessage } from '../../../lib/flow/message.ts'
import { runFlows, type FlowRunner } from '../../../lib/flow/runner.ts'
import type { Settled } from '../../../lib/replication/caller.ts'
import type { LonePeer } from '../grid/lone-peer.ts'
import { FlowCluster, HandSource } from '../flow/cluster.ts'
import { MemoryFiles } from './memory-files.ts'

class Press {
  readonly cluster: FlowCluster
  readonly files: MemoryFiles = new MemoryFiles()
  readonly hand: HandSource<{ readonly n: number }> = new HandSource()
  readonly lines: Flow<AnyMessage>
  readonly runners: FlowRunner[] = []

  constructor(...names: readonly string[]) {
    this.cluster = new FlowCluster(...names)
    this.lines = flow('lines')
      .from(this.hand.source)
      .stage('write', { concurrency: 8 })
      .retry({ attempts: 8, backoff: ['100ms', '1s'] })
      .to(file('out/lines.ndjson', { files: this.files }))
  }

  async start(): Promise<void> {
    for (const grid of this.cluster.grids) this.runners.push(await this.cluster.env.until(runFlows(grid, [this.lines])))
  }

  /** What a reader of lines*.ndjson sees. */
  get published(): readonly number[] {
    const output = this.files.paths.filter(path => path.startsWith('out/lines') && path.endsWith('.ndjson'))
    return output
      .flatMap(path => (this.files.text(path) as string).split('\n').filter(Boolean))
      .map(line => (JSON.parse(line) as { readonly n: number }).n)
  }

  peer(name: string): LonePeer {
    return this.cluster.cluster.peers.get(name) as LonePeer
  }
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, n) => n)
const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)
/** Commits of written lines: an acknowledgement beside a page's record. */
const isWriting = (operations: readonly { readonly kind: string }[]): boolean =>
  operations.some(({ kind }) => kind === 'queue.ack') && operations.some(({ kind }) => kind === 'map.put')

describe('the file target', () => {
  it('publishes each line once, and leaves no parts behind when it closes', async () => {
    const press = new Press('a', 'b')
    await press.start()
    const { env } = press.cluster
    await env.until(Promise.all(counted(60).map(n => press.hand.put({ id: `${n}` }, { n }, {}, n % 2))))
    await env.advance(3_000)
    expect(sorted(press.published)).toEqual(counted(60))
    for (const runner of press.runners) await env.until(runner.drain().then(() => runner.stop()))
    expect(press.files.paths.filter(path => path.endsWith('.part'))).toEqual([])
    expect(sorted(press.published)).toEqual(counted(60))
  })

  it('publishes what a dead peer had committed, and not what it had only written', async () => {
    const press = new Press('a', 'b')
    await press.start()
    const { env, cluster } = press.cluster
    const peer = press.peer('a')
    const call = peer.call.bind(peer)
    let writes = 0
    // Of its commits one is never sent and the next is done without its hearing of it.
    peer.call = (options, operations, settle) => {
      if (!isWriting(operations)) return call(options, operations, settle)
      return writes++ % 2 === 0 ? 0 : call(options, operations, () => undefined)
    }
    await env.until(Promise.all(counted(40).map(n => press.hand.put({ id: `${n}` }, { n }, {}, n % 2))))
    await env.advance(300)
    expect(writes).toBeGreaterThan(3)
    expect(cluster.peers.has('a')).toBe(true)
    press.cluster.kill('a')
    await env.advance(10_000)
    expect(sorted(press.published)).toEqual(counted(40))
  })

  it('refuses a writer that was taken over while it slept, and its bytes are not output', async () => {
    const press = new Press('a', 'b')
    await press.start()
    const { env } = press.cluster
    const peer = press.peer('a')
    const call = peer.call.bind(peer)
    const asleep: (() => void)[] = []
    let isAsleep = false
    peer.call = (options, operations, settle) => {
      if (!isAsleep) return call(options, operations, settle)
      asleep.push(() => void call(options, operations, settle))
      return 0
    }
    await env.until(Promise.all(counted(20).map(n => press.hand.put({ id: `${n}` }, { n }, {}, n % 2))))
    isAsleep = true
    await env.advance(50)
    // Others think it gone: everything it held is taken over. Its calls come through much later.
    press.cluster.kill('a')
    peer.call = call
    await env.advance(10_000)
    expect(sorted(press.published)).toEqual(counted(20))
    for (const wake of asleep) wake()
    await env.advance(5_000)
    expect(sorted(press.published)).toEqual(counted(20))
  })

  it('settles a commit of which it heard nothing before it writes again', async () => {
    const press = new Press('a')
    await press.start()
    const { env, cluster } = press.cluster
    const peer = press.peer('a')
    const call = peer.call.bind(peer)
    const lost: Settled = { kind: 'indeterminate', message: 'the answer was lost' }
    let count = 0
    peer.call = (options, operations, settle) => {
      if (!isWriting(operations)) return call(options, operations, settle)
      count++
      if (count % 3 === 1) return call(options, operations, () => settle(lost))
      if (count % 3 === 2) return (env.turn(() => settle(lost)), 0)
      return call(options, operations, settle)
    }
    await env.until(Promise.all(counted(30).map(n => press.hand.put({ id: `${n}` }, { n }))))
    await env.advance(60_000)
    expect(count).toBeGreaterThan(10)
    expect(sorted(press.published)).toEqual(counted(30))
    expect(cluster.states.length).toBeGreaterThan(1)
  })

  it('holds under deaths at any moment', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = new Prng(seed)
      const press = new Press('a', 'b', 'c')
      await press.start()
      const { env } = press.cluster
      const accepted = new Set<number>()
      const put = (n: number, peer: number): void =>
        void press.hand.put({ id: `${n}` }, { n }, {}, peer).then(
          () => accepted.add(n),
          () => undefined,
        )
      for (const n of counted(60)) {
        put(n, 1 + random.int(0, 1))
        if (random.chance(0.3)) await env.advance(random.int(0, 30))
        if (n === 30) {
          let left = random.int(0, 40)
          const dying = press.peer('a')
          const call = dying.call.bind(dying)
          // Its last calls: some are done unheard, the rest is never sent.
          dying.call = (options, operations) => (left-- > 0 ? call(options, operations, () => undefined) : 0)
          await env.advance(random.int(0, 20))
          press.cluster.kill('a')
        }
      }
      await env.advance(20_000)
      expect(accepted.size, `seed ${seed}`).toBe(60)
      expect(sorted(press.published), `seed ${seed}`).toEqual(counted(60))
    }
  }, 60_000)
})
