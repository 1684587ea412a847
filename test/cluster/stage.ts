/** `skein start` and other verbs as child processes, for tests: started, awaited, signalled, and gone at the end. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ReadyLine } from '../../bin/start/banner.ts'

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'skein.ts')

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export class PeerProcess {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly #ended: Promise<Ended>
  readonly #firstLine: Promise<string | undefined>

  constructor(args: readonly string[], folder: string, env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [launcher, ...args], {
      cwd: folder,
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = this.child as { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream }
    stdout.on('data', (piece: Buffer) => (this.stdout += String(piece)))
    stderr.on('data', (piece: Buffer) => (this.stderr += String(piece)))
    const closed = once(this.child, 'close')
    this.#ended = closed.then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }))
    const line = once(createInterface({ input: stdout }), 'line')
    line.catch(() => undefined)
    this.#firstLine = Promise.race([line.then(([text]) => String(text)), closed.then(() => undefined)])
  }

  /** Rejects with what it said on stderr if it ends before it serves. Needs --json. */
  async ready(): Promise<ReadyLine> {
    const line = await this.#firstLine
    if (line === undefined) throw new Error(`ended before it served: ${this.stderr}`)
    return JSON.parse(line) as ReadyLine
  }

  async signal(name: NodeJS.Signals): Promise<Ended> {
    this.child.kill(name)
    return await this.#ended
  }

  async ended(): Promise<Ended> {
    return await this.#ended
  }
}

/** The processes of one test, in a folder of their own. */
export class Stage {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'skein-test-'))
  readonly #processes: PeerProcess[] = []

  run(...args: readonly string[]): PeerProcess {
    const started = new PeerProcess(args, this.folder)
    this.#processes.push(started)
    return started
  }

  /** A peer on free ports that serves. `joins` is one to join. */
  async start(
    name: string,
    joins: ReadyLine | undefined,
    ...args: readonly string[]
  ): Promise<[PeerProcess, ReadyLine]> {
    const joining = joins === undefined ? [] : ['--join', joins.addresses.join(',')]
    const peer = this.run('start', '--json', '--name', name, '--listen', '127.0.0.1:0', ...joining, ...args)
    return [peer, await peer.ready()]
  }

  async clear(): Promise<void> {
    await Promise.all(this.#processes.map(each => each.signal('SIGKILL')))
    rmSync(this.folder, { recursive: true, force: true })
  }
}
