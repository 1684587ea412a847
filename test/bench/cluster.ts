/** Peers as processes of their own, each with its backup on another, ready to be told what to do. */
import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GridStatus } from '../../lib/index.ts'
import type { Measured } from './load.ts'
import type { Answer, Ask } from './member.ts'
import type { Load } from './workloads.ts'

const settleMsMax = 60_000

type Question = Ask extends infer Each ? (Each extends Ask ? Omit<Each, 'id'> : never) : never

export interface ClusterOptions {
  /** Peers print their warnings. */
  readonly events?: boolean | undefined
}

export class PeerProcess {
  readonly name: string
  readonly #child: ChildProcess
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #joined = Promise.withResolvers<unknown>()
  #nextId = 1

  constructor(name: string, seeds: readonly string[], { events = false }: ClusterOptions) {
    this.name = name
    this.#child = fork(new URL('member.ts', import.meta.url), [name, ...seeds], {
      serialization: 'advanced',
      env: { ...process.env, ...(events && { SKEIN_BENCH_EVENTS: '1' }) },
    })
    this.#asked.set(0, this.#joined)
    this.#child.on('message', (answer: Answer) => this.#answered(answer))
    this.#child.on('exit', code => {
      for (const asked of this.#asked.values()) asked.reject(new Error(`${name} ended with ${code}`))
    })
  }

  /** Its addresses, once it has joined. */
  async joined(): Promise<readonly string[]> {
    return (await this.#joined.promise) as readonly string[]
  }

  async run(load: Load): Promise<Measured> {
    return (await this.#ask({ kind: 'load', load })) as Measured
  }

  async status(): Promise<GridStatus> {
    return (await this.#ask({ kind: 'status' })) as GridStatus
  }

  async cpuMicros(): Promise<number> {
    const { user, system } = (await this.#ask({ kind: 'cpu' })) as NodeJS.CpuUsage
    return user + system
  }

  /** Samples what it does, until `profiled`. */
  async profile(): Promise<void> {
    await this.#ask({ kind: 'profile' })
  }

  /** Writes what was sampled as `NAME.cpuprofile`. */
  async profiled(folder: string, row: string): Promise<void> {
    await this.#ask({
      kind: 'profiled',
      path: join(folder, `${row} ${this.name}.cpuprofile`.replaceAll(/[ ,]+/g, '-')),
    })
  }

  async close(): Promise<void> {
    await this.#ask({ kind: 'close' })
    const exited = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.disconnect()
    await exited
  }

  #ask(question: Question): Promise<unknown> {
    const id = this.#nextId++
    const asked = Promise.withResolvers<unknown>()
    this.#asked.set(id, asked)
    this.#child.send({ id, ...question })
    return asked.promise
  }

  #answered(answer: Answer): void {
    const asked = this.#asked.get(answer.id)
    this.#asked.delete(answer.id)
    if ('error' in answer) asked?.reject(new Error(answer.error))
    else asked?.resolve(answer.result)
  }
}

export async function startCluster(count: number, options: ClusterOptions = {}): Promise<readonly PeerProcess[]> {
  const first = new PeerProcess('bench-1', [], options)
  const seeds = await first.joined()
  const rest = Array.from({ length: count - 1 }, (_, at) => new PeerProcess(`bench-${at + 2}`, seeds, options))
  await Promise.all(rest.map(peer => peer.joined()))
  const peers = [first, ...rest]
  await settled(peers)
  return peers
}

/** Resolves when every partition has a backup and the partitions are spread, also after peers lost sight of one another on a busy machine. */
export async function settled(peers: readonly PeerProcess[]): Promise<void> {
  for (let waitedMs = 0; waitedMs < settleMsMax; waitedMs += 200) {
    const all = await Promise.all(peers.map(peer => peer.status()))
    if (all.every(status => isSettled(status, peers.length))) return
    await sleep(200)
  }
  throw new Error('the cluster did not settle')
}

function isSettled({ safety, members, partitions }: GridStatus, count: number): boolean {
  const share = partitions.count / count
  return (
    safety.level >= 1 &&
    partitions.waiting === 0 &&
    members.length === count &&
    members.every(member => member.owned >= Math.floor(share) && member.owned <= Math.ceil(share))
  )
}
