/** One peer as a process, `skein start` from the source: started, signalled, asked for its status, its log kept and judged. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ReadyLine } from '../../bin/start/banner.ts'
import { ask } from './http.ts'

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'skein.ts')
const readyMsMax = 60_000
const children = new Set<ChildProcess>()

/** None outlives this process, however that ends. */
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** What `/v1/cluster` says, as far as trials look at it. */
export interface ClusterView {
  readonly self: string
  readonly leader: string | null
  readonly safety: { readonly level: number; readonly reason: string }
  readonly members: readonly {
    readonly name: string
    readonly member: string
    readonly state: string
    readonly owned: number
    readonly backups: number
  }[]
  readonly partitions: { readonly count: number; readonly copies: number; readonly waiting: number }
  readonly memory: Readonly<Record<string, number>>
}

export interface LogLine {
  readonly level: string | number
  readonly msg?: string
  readonly event?: string
  readonly reason?: string
  readonly code?: string
  /** Of refusals: which port, who, what to do, and how many more. */
  readonly door?: string
  readonly from?: string
  readonly remedy?: string
  readonly more?: number
}

export class ChaosPeer {
  readonly name: string
  /** Where it works: its log, and what flows write. All of a flock share one, as in a first try of people's own. */
  readonly folder: string
  readonly logPath: string
  ready: ReadyLine | undefined
  /** Set from a planned SIGTERM, SIGKILL or SIGSTOP on. */
  isDown = true
  /** An exit that no trial asked for. */
  crash: string | undefined
  #child: ChildProcess | undefined

  constructor(name: string, folder: string) {
    this.name = name
    this.folder = folder
    this.logPath = join(folder, `${name}.log`)
    closeSync(openSync(this.logPath, 'a'))
  }

  get pid(): number {
    return this.#child?.pid as number
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** `http://host:port` of the admin door; kept over restarts. */
  get http(): string {
    return this.ready?.http as string
  }

  /** Resolves with the seconds until it served. The doors of an earlier start are opened again at the same ports. */
  async start(seeds: readonly string[], args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
    const startedMs = performance.now()
    const { ready } = this
    const port = (url: string | undefined): string => url?.replace(/^http:\/\//, '') ?? '127.0.0.1:0'
    const doors = ['--http', port(ready?.http), '--resp', port(ready?.resp), '--flow-http', port(ready?.flows)]
    const joining = seeds.length === 0 ? [] : ['--join', seeds.join(',')]
    const listen = ready?.addresses.join(',') ?? '127.0.0.1:0'
    const own = ['start', '--json', '--name', this.name, '--listen', listen, ...doors, ...joining]
    const log = openSync(this.logPath, 'a')
    const child = spawn(process.execPath, [launcher, ...own, ...args], {
      cwd: this.folder,
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', log],
    })
    closeSync(log)
    children.add(child)
    this.#child = child
    child.once('exit', (code, signal) => {
      children.delete(child)
      if (!this.isDown && this.#child === child) this.crash = `${this.name} ended by itself: ${signal ?? code}`
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), readyMsMax)
    const line = await Promise.race([
      once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line'),
      once(child, 'exit').then(() => undefined),
    ])
    clearTimeout(timer)
    if (line === undefined) throw new Error(`${this.name} did not start: see ${this.logPath}`)
    this.ready = JSON.parse(String(line[0])) as ReadyLine
    this.isDown = false
    return (performance.now() - startedMs) / 1_000
  }

  /** SIGKILL or SIGTERM; resolves with the exit code when it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return null
    this.isDown = true
    const exit = once(child, 'exit')
    child.kill(signal)
    return ((await exit) as [number | null])[0]
  }

  pause(): void {
    this.isDown = true
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
    this.isDown = false
  }

  /** Undefined where it does not answer. */
  async view(): Promise<ClusterView | undefined> {
    if (this.ready === undefined || this.isDown) return undefined
    const answer = await ask(this.http, 'GET', '/v1/cluster', undefined, {}, 2_000).catch(() => undefined)
    return answer?.status === 200 ? (JSON.parse(answer.body) as ClusterView) : undefined
  }

  /** Resident set, in MB. */
  residentMb(): number {
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))
    return Math.round(Number(line?.[1] ?? 0) / 1_024)
  }

  /** How long its main thread was ready to run and waited for a core, in s, since its start; 0 where nobody says. */
  waitedSeconds(): number {
    try {
      return Number(readFileSync(`/proc/${this.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e9
    } catch {
      return 0
    }
  }

  /** Lines of its log, all starts. What is not JSON is there as `msg`: a stack that went past the logger. */
  log(): readonly LogLine[] {
    return readFileSync(this.logPath, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => {
        try {
          return JSON.parse(line) as LogLine
        } catch {
          return { level: 'raw', msg: line }
        }
      })
  }
}
