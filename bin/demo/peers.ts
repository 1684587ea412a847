/** The three peers of the demo: `skein start` as child processes, started, asked, killed and started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ReadyLine } from '../start/banner.ts'
import type { Answer, Answers } from '../start/holdings.ts'

export interface PeersOptions {
  /** Working folder of the peers: their output and logs. */
  readonly folder: string
  readonly cluster: string
  /** The launcher and the flow, as paths. */
  readonly program: string
  readonly flow: string
}

interface Running {
  readonly child: ChildProcess
  readonly ready: ReadyLine
}

const readyMsMax = 20_000
const leaveMsMax = 20_000
const answerMsMax = 2_000
/** So that three peers fit a small machine. */
const memory = '512MB'

export class Peers {
  readonly #options: PeersOptions
  readonly #running = new Map<string, Running>()
  readonly #children = new Set<ChildProcess>()
  #urls: readonly string[] = []

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /** Where the nth request goes: the peers in turn, those known to be dead left out. */
  url(at: number): string {
    return this.#urls[at % this.#urls.length] as string
  }

  get names(): readonly string[] {
    return [...this.#running.keys()].toSorted()
  }

  /** Resolves once the peer serves. Rejects with the end of its log. */
  async start(name: string): Promise<void> {
    const { folder, cluster, program, flow } = this.#options
    const seeds = [...this.#running.values()].flatMap(({ ready }) => ready.addresses)
    const args = ['start', flow, '--json', '--name', name, '--cluster', cluster, '--memory', memory]
    const doors = ['--listen', '127.0.0.1:0', '--flow-http', '127.0.0.1:0']
    const joining = seeds.length === 0 ? [] : ['--join', seeds.join(',')]
    const child = spawn(process.execPath, [program, ...args, ...doors, ...joining], {
      cwd: folder,
      env: { ...withoutSettings(process.env), SKEIN_DEMO: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#children.add(child)
    child.stderr?.pipe(createWriteStream(join(folder, `${name}.log`), { flags: 'a' }))
    const ready = await this.#readyLine(child, name)
    this.#running.set(name, { child, ready })
    child.once('exit', () => this.#gone(name, child))
    this.#list()
  }

  /** Undefined if it does not answer. */
  async ask<Q extends keyof Answers>(name: string, asked: Q): Promise<Answers[Q] | undefined> {
    const child = this.#running.get(name)?.child
    if (child === undefined) return undefined
    const signal = AbortSignal.timeout(answerMsMax)
    child.send(asked, () => undefined)
    try {
      for (;;) {
        const [answer] = (await once(child, 'message', { signal })) as [Answer<keyof Answers>]
        if (answer.asked === asked) return answer as unknown as Answers[Q]
      }
    } catch {
      return undefined
    }
  }

  /** SIGKILL: it has no say in it. */
  async kill(name: string): Promise<void> {
    const child = this.#running.get(name)?.child
    if (child === undefined) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  /** SIGTERM to all; each that has not gone in time is killed. */
  async stop(): Promise<void> {
    const gone = [...this.#children].filter(isAlive).map(async child => {
      const timer = setTimeout(() => child.kill('SIGKILL'), leaveMsMax)
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
      clearTimeout(timer)
    })
    await Promise.all(gone)
  }

  /** For the end of this process, however it comes. */
  killAll(): void {
    for (const child of this.#children) if (isAlive(child)) child.kill('SIGKILL')
  }

  async #readyLine(child: ChildProcess, name: string): Promise<ReadyLine> {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    const timer = setTimeout(() => child.kill('SIGKILL'), readyMsMax)
    const line = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => undefined)])
    clearTimeout(timer)
    if (line === undefined)
      throw new Error(`${name} did not start; its log is ${join(this.#options.folder, `${name}.log`)}`)
    return JSON.parse(String(line[0])) as ReadyLine
  }

  #gone(name: string, child: ChildProcess): void {
    if (this.#running.get(name)?.child === child) this.#running.delete(name)
    this.#list()
  }

  #list(): void {
    const urls = this.names.flatMap(name => this.#running.get(name)?.ready.flows ?? [])
    // The last ones known: a producer that tries them hears that nobody is there.
    if (urls.length > 0) this.#urls = urls
  }
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** The peers are set by the demo alone. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([key]) => !key.startsWith('SKEIN_')))
}
