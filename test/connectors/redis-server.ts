/** A redis-server of this machine for tests, on a free port of loopback, without persistence. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { freePort } from '../free-port.ts'

const program = 'redis-server'

export interface RedisServer extends AsyncDisposable {
  readonly port: number
  /** e.g. '7.0.15' */
  readonly version: string
}

/** Undefined if there is none on the PATH. */
export async function startRedis(): Promise<RedisServer | undefined> {
  const version = await versionOf()
  if (version === undefined) return undefined
  const port = await freePort()
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  for await (const chunk of child.stdout) if (String(chunk).includes('Ready to accept connections')) break
  child.stdout.resume()
  return {
    port,
    version,
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

async function versionOf(): Promise<string | undefined> {
  const child = spawn(program, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const [[text]] = (await Promise.all([once(child.stdout, 'data'), once(child, 'spawn')])) as unknown as [
      [Buffer],
      unknown,
    ]
    return /v=(\d+\.\d+\.\d+)/.exec(text.toString())?.[1]
  } catch {
    return undefined
  }
}
