/**
 * The RESP door: Redis' protocol over the keyspace, so that redis-cli, redis-benchmark and the clients of any language
 * work. One database; strings and lists; no scripts, no MULTI, no publish/subscribe, no KEYS (SCAN does).
 *
 * Errors that a cluster adds: `-CLUSTERDOWN` nothing happened, try again; `-INDETERMINATE` it may have; `-OOM` the memory
 * budget is used up. A key is read and written linearizably whichever member a client talks to. Commands on several keys
 * write all or none; they read each key for itself.
 */
import { createServer, type Socket } from 'node:net'
import { RefusalLog } from '../../base/refusal-log.ts'
import { addressOf, tooManyConnections } from '../../connectors/http/client-error.ts'
import type { Grid } from '../../grid/handles.ts'
import {
  AccessToken,
  addressText,
  graceMsDefault,
  guardedAddress,
  listen,
  valueBytesMax,
  type Door,
  type DoorOptions,
} from '../door.ts'
import { BlockedPops } from './blocked-pops.ts'
import type { Client, Command, Realm } from './command.ts'
import { Connection, type ConnectionPort, type RespRefusalCode } from './connection.ts'
import { connectionCommands } from './connection-commands.ts'
import { keyCommands } from './key-commands.ts'
import { listCommands } from './list-commands.ts'
import type { ParserLimits } from './request-parser.ts'
import { Scanner } from './scanner.ts'
import { serverCommands } from './server-commands.ts'
import { stringCommands } from './string-commands.ts'

export interface RespDoorOptions extends DoorOptions {
  /** Connections above it are told so and closed. Default 10,000. */
  readonly connectionsMax?: number | undefined
}

/** One command has to fit one message between members. */
const limits: ParserLimits = {
  valueBytesMax,
  commandBytesMax: valueBytesMax + valueBytesMax / 2,
  argumentsMax: 1024 * 1024,
}
const connectionsMaxDefault = 10_000
/** Time to authenticate where that is asked. */
const strangerMsMax = 30_000
const keepAliveMs = 60_000

const commands: ReadonlyMap<string, Command> = new Map(
  [...connectionCommands, ...serverCommands(() => commands), ...stringCommands, ...keyCommands, ...listCommands].map(
    command => [command.name, command],
  ),
)

const remedies: Readonly<Record<RespRefusalCode, string>> = {
  malformed: 'send the Redis protocol; if the sender is none of yours, keep it off by a firewall',
  http: 'the API is at the port of --http; if the sender is none of yours, keep it off by a firewall',
  'too-large': `a value has at most ${valueBytesMax} bytes: send it in parts`,
  'too-many-arguments': `a command has at most ${limits.argumentsMax} arguments: send several`,
  unauthorized: 'send the token of --access-token-file by AUTH; if it is none of yours, keep it off by a firewall',
}

/** Resolves once it listens. Throws InvalidError if it may not or cannot. */
export async function startRespDoor(grid: Grid, options: RespDoorOptions): Promise<Door> {
  const door = new RespDoor(grid, options)
  await door.start()
  return door
}

class RespDoor implements Door, ConnectionPort {
  readonly realm: Realm
  readonly commands = commands
  readonly limits = limits
  address = ''
  host = ''
  port = 0
  readonly #grid: Grid
  readonly #options: RespDoorOptions
  readonly #server = createServer({ allowHalfOpen: true }, socket => this.#accept(socket))
  readonly #connections = new Map<number, Connection>()
  readonly #counts = { connections: 0, commands: 0, rejected: 0 }
  readonly #blockedPops: BlockedPops
  readonly #refusals: RefusalLog

  constructor(grid: Grid, options: RespDoorOptions) {
    this.#grid = grid
    this.#options = options
    this.#blockedPops = new BlockedPops(grid)
    this.#refusals = new RefusalLog(grid.env, { event: 'resp.refused', door: 'RESP door' })
    const door = this as RespDoor
    this.realm = {
      grid,
      accessToken: options.accessToken === undefined ? undefined : new AccessToken(options.accessToken),
      isServing: options.isServing ?? (() => true),
      clients: this.#connections,
      blockedPops: this.#blockedPops,
      scanner: new Scanner(grid),
      settings: settingsOf(this.#connectionsMax),
      counts: this.#counts,
      startedMs: grid.now().monotonicMs,
      get port() {
        return door.port
      },
    }
  }

  async start(): Promise<void> {
    const bound = await listen(this.#server, guardedAddress(this.#options, 'the RESP door'))
    this.address = addressText(bound)
    this.host = bound.address
    this.port = bound.port
  }

  warn(event: string, reason: string, { address }: Client): void {
    this.#grid.env.emit({ kind: 'emit', level: 'warn', event, fields: { reason, from: address } })
  }

  refused(code: RespRefusalCode, reason: string, { address }: Client): void {
    this.#refusals.tell({ from: address, code, reason, remedy: remedies[code] })
  }

  ran(): void {
    this.#counts.commands++
  }

  /** The protocol has no word for it. */
  part(): void {}

  async close({ graceMs = graceMsDefault }: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    const closed = new Promise<void>(resolve => void this.#server.close(() => resolve()))
    this.#blockedPops.close()
    for (const connection of this.#connections.values()) connection.quit()
    const { env } = this.#grid
    const cancel = env.at(env.now().monotonicMs + graceMs, () => {
      for (const connection of this.#connections.values()) connection.destroy()
    })
    await closed
    cancel()
    this.#refusals.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #connectionsMax(): number {
    return this.#options.connectionsMax ?? connectionsMaxDefault
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#connectionsMax) {
      this.#counts.rejected++
      this.#refusals.tell({ from: addressOf(socket), ...tooManyConnections })
      socket.on('error', () => socket.destroy())
      socket.end('-ERR max number of clients reached\r\n', () => socket.destroy())
      return
    }
    socket.setKeepAlive(true, keepAliveMs)
    const id = ++this.#counts.connections
    const connection = new Connection(id, socket, this)
    this.#connections.set(id, connection)
    const { env } = this.#grid
    const cancel = connection.isAuthenticated
      ? undefined
      : env.at(env.now().monotonicMs + strangerMsMax, () => {
          if (!connection.isAuthenticated) socket.destroy()
        })
    socket.on('close', () => {
      cancel?.()
      this.#connections.delete(id)
    })
  }
}

/** What CONFIG GET knows. */
function settingsOf(connectionsMax: number): ReadonlyMap<string, string> {
  return new Map([
    ['save', ''],
    ['appendonly', 'no'],
    ['databases', '1'],
    ['maxclients', String(connectionsMax)],
    ['maxmemory-policy', 'noeviction'],
    ['proto-max-bulk-len', String(valueBytesMax)],
    ['timeout', '0'],
  ])
}
