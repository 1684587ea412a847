/** Three peers of one cluster, each a process in a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pause } from './http.ts'
import { ChaosPeer, type ClusterView } from './peer.ts'

const lookMs = 50

export interface FlockOptions {
  /** Of each peer, e.g. '256MB'. */
  readonly memory?: string
  readonly flows?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly count?: number
}

export class Flock {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'skein-chaos-'))
  readonly peers: readonly ChaosPeer[]
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv

  constructor({ memory = '256MB', flows = [], args = [], env = {}, count = 3 }: FlockOptions = {}) {
    this.peers = Array.from({ length: count }, (_, at) => new ChaosPeer(`g${at + 1}`, this.folder))
    this.#args = ['--memory', memory, '--cluster', 'chaos', ...args, ...flows]
    this.#env = env
  }

  peer(at: number): ChaosPeer {
    return this.peers[at % this.peers.length] as ChaosPeer
  }

  others(peer: ChaosPeer): readonly ChaosPeer[] {
    return this.peers.filter(each => each !== peer)
  }

  /** Starts all, the first as founder; resolves once any one may be lost. */
  async start(): Promise<void> {
    await this.startOne(this.peer(0))
    await Promise.all(this.peers.slice(1).map(peer => this.startOne(peer)))
    await this.safe()
  }

  /** Joins whoever lives; where nobody does, founds. Resolves with the seconds until it served. */
  async startOne(peer: ChaosPeer): Promise<number> {
    const seeds = this.others(peer).flatMap(each => (each.isDown ? [] : (each.ready?.addresses ?? [])))
    return await peer.start(seeds, this.#args, this.#env)
  }

  /** Resolves with the seconds until every live peer sees as many members as live, all holding their share, and safety 1. */
  async safe(secondsMax = 60): Promise<number> {
    const live = (): number => this.peers.filter(({ isDown }) => !isDown).length
    return await this.until('safe', secondsMax, view => {
      const members = view.members.filter(({ state }) => state === 'live')
      const isWhole = view.members.length === live() && members.length === live()
      return isWhole && view.safety.level >= 1 && members.every(({ backups }) => backups > 0)
    })
  }

  /** Two copies of everything among those that live. */
  async copied(secondsMax = 60): Promise<number> {
    return await this.until('copied', secondsMax, view => view.partitions.copies >= 2 && view.partitions.waiting === 0)
  }

  async until(what: string, secondsMax: number, isIt: (view: ClusterView) => boolean): Promise<number> {
    const startedMs = performance.now()
    for (;;) {
      const views = await Promise.all(this.peers.filter(({ isDown }) => !isDown).map(peer => peer.view()))
      const seconds = (performance.now() - startedMs) / 1_000
      if (views.length > 0 && views.every(view => view !== undefined && isIt(view))) return seconds
      if (seconds > secondsMax) throw new Error(`not ${what} after ${secondsMax} s: ${JSON.stringify(views)}`)
      await pause(lookMs)
    }
  }

  /** The peer that leads, as any of them says. */
  async leader(): Promise<ChaosPeer | undefined> {
    for (const peer of this.peers) {
      const view = await peer.view()
      if (view?.leader === undefined || view.leader === null) continue
      return this.peers.find(({ ready }) => ready?.member === view.leader)
    }
    return undefined
  }

  /** What went wrong that no client saw: ends by themselves, errors in logs, stacks past the logger. */
  complaints(): readonly string[] {
    const crashes = this.peers.flatMap(({ crash }) => (crash === undefined ? [] : [crash]))
    const lines = this.peers.flatMap(peer =>
      peer.log().flatMap(line => {
        const { level, msg = '', event = '', reason = '' } = line
        const isBad = level === 'raw' || level === 'error' || level === 'fatal' || Number(level) >= 50
        return isBad ? [`${peer.name}: ${event} ${msg} ${reason}`.slice(0, 300)] : []
      }),
    )
    return [...crashes, ...lines]
  }

  /** SIGKILL to all. The folder goes unless it is asked for. */
  async end(isKept: boolean): Promise<void> {
    for (const peer of this.peers) peer.resume()
    await Promise.all(this.peers.map(peer => peer.end('SIGKILL')))
    if (!isKept) rmSync(this.folder, { recursive: true, force: true })
  }
}
