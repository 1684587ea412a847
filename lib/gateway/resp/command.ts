/** What a command is: its arity and keys as COMMAND tells them, and what it does. */
import type { Grid } from '../../grid/handles.ts'
import type { AccessToken } from '../door.ts'
import type { BlockedPops } from './blocked-pops.ts'
import type { Protocol, Reply } from './reply.ts'
import type { Scanner } from './scanner.ts'

/** One connection, as commands see it. */
export interface Client {
  readonly id: number
  /** e.g. '127.0.0.1:51234' */
  readonly address: string
  readonly localAddress: string
  readonly connectedMs: number
  /** Nothing reaches it any more. */
  readonly isGone: boolean
  /** Aborted when it is gone, or has said that it will say no more. */
  readonly signal: AbortSignal
  name: string
  libraryName: string
  libraryVersion: string
  protocol: Protocol
  isAuthenticated: boolean
  lastCommand: string
  lastCommandMs: number
  /** Closes once everything before is answered. */
  quit(): void
}

/** What all connections of a door share. */
export interface Realm {
  readonly grid: Grid
  readonly accessToken: AccessToken | undefined
  readonly isServing: () => boolean
  readonly clients: ReadonlyMap<number, Client>
  readonly blockedPops: BlockedPops
  readonly scanner: Scanner
  readonly settings: ReadonlyMap<string, string>
  readonly counts: { readonly connections: number; readonly commands: number; readonly rejected: number }
  readonly startedMs: number
  readonly port: number
}

export interface Call {
  readonly realm: Realm
  readonly client: Client
  /** The name included. */
  readonly args: readonly Buffer[]
}

export interface Command {
  readonly name: string
  /** Arguments, the name included; negative: at least so many. */
  readonly arity: number
  readonly summary: string
  /** 'string', 'list', 'generic', 'connection' or 'server'. */
  readonly group: string
  /** Positions of keys as Redis gives them: `last` -1 is the last argument, -2 the one before. */
  readonly keys?: readonly [first: number, last: number, step: number]
  readonly isWrite?: boolean
  /** Looks at or waits for more than its keys: begins when everything before it is answered, and nothing after it begins sooner. */
  readonly isAlone?: boolean
  /** Before AUTH. */
  readonly isOpen?: boolean
  /** For commands on one key: several that follow each other as one operation, see batch.ts. One reply a call. */
  readonly together?: {
    readonly accepts: (args: readonly Buffer[]) => boolean
    readonly run: (calls: readonly Call[]) => Promise<readonly Reply[]>
  }
  /** May throw RespError or the grid's errors. */
  readonly run: (call: Call) => Reply | Promise<Reply>
}

export function keysOf({ keys }: Command, args: readonly Buffer[]): readonly Buffer[] {
  if (keys === undefined) return []
  const [first, last, step] = keys
  const end = last < 0 ? args.length + last : last
  const out: Buffer[] = []
  for (let at = first; at <= end; at += step) out.push(args[at] as Buffer)
  return out
}
