/** Redis with one replica, each set acknowledged by `WAIT 1`, through ioredis: the same promise as one backup. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../free-port.ts'
import { closedLoop, type Measured } from './load.ts'

const keyCount = 10_000
const body = 'x'.repeat(100)
/** A connection waits as a whole for WAIT: more of them let more waits overlap. */
export const connectionsMaxDefault = 128

export function isRedisHere(): boolean {
  return spawnSync('redis-server', ['--version']).status === 0
}

export class RedisPair {
  readonly #servers: ChildProcess[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'skein-bench-redis-'))
  readonly #clients: Redis[] = []
  #port = 0
  readonly #connectionsMax: number

  constructor(connectionsMax: number = connectionsMaxDefault) {
    this.#connectionsMax = connectionsMax
  }

  async start(): Promise<void> {
    this.#port = await freePort()
    this.#serve(this.#port)
    this.#serve(await freePort(), '--replicaof', `127.0.0.1 ${this.#port}`)
    const first = this.#client()
    for (let tries = 0; tries < 100; tries++) {
      if (Number(await first.wait(0, 1)) >= 1) return
      await sleep(100)
    }
    throw new Error('the replica did not come up')
  }

  async set(inFlight: number, forMs: number): Promise<Measured> {
    const clients = await this.#pool(inFlight)
    return await closedLoop(inFlight, forMs, async at => {
      const client = clients[at % clients.length] as Redis
      void client.set(`key-${at % keyCount}`, body)
      const count = await client.wait(1, 0)
      return Number(count) >= 1 ? 1 : 0
    })
  }

  async get(inFlight: number, forMs: number): Promise<Measured> {
    const [client] = (await this.#pool(1)) as [Redis]
    for (let at = 0; at < keyCount; at++) void client.set(`key-${at}`, body)
    await client.ping()
    return await closedLoop(inFlight, forMs, at => client.get(`key-${at % keyCount}`).then(() => 1))
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    for (const server of this.#servers) {
      const exited = new Promise(resolve => server.once('exit', resolve))
      server.kill()
      await exited
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #pool(inFlight: number): Promise<readonly Redis[]> {
    const count = Math.min(inFlight, this.#connectionsMax)
    while (this.#clients.length < count) this.#client()
    const clients = this.#clients.slice(0, count)
    await Promise.all(clients.map(client => client.ping()))
    return clients
  }

  #client(): Redis {
    const client = new Redis({ port: this.#port, host: '127.0.0.1' })
    client.on('error', () => undefined)
    this.#clients.push(client)
    return client
  }

  #serve(port: number, ...more: string[]): void {
    const args = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      this.#folder,
    ]
    const server = spawn('redis-server', [...args, ...more], { stdio: 'ignore' })
    // Also when the benchmark breaks off.
    process.once('exit', () => server.kill())
    this.#servers.push(server)
  }
}
