/**
 * The settings of `skein start`: flags over SKEIN_* variables over a config file, all checked by the one schema of
 * `join()` (lib/peer/options.ts). `--join` is the schema's `seeds`; the config file may list `flows`, too.
 */
import type { Command } from 'commander'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { InvalidError } from '../../lib/base/errors.ts'
import {
  environmentName,
  flagName,
  fromEnvironment,
  layered,
  settingsOf,
  type Settings,
  type SettingsInput,
} from '../../lib/peer/options.ts'

/** Placeholder ('' for a switch) and meaning of each flag. A secret itself is no flag: arguments are seen by everybody. */
const flags: Readonly<Record<Exclude<keyof SettingsInput, 'secret'>, readonly [value: string, meaning: string]>> = {
  name: ['name', 'of this peer; default goose- and four characters'],
  cluster: ['name', "peers of clusters with different names never join; default 'default'"],
  listen: ['addresses', 'where peers reach it; default 127.0.0.1:7400, or any free port if that is taken'],
  announce: ['addresses', 'what to tell others instead, e.g. behind NAT'],
  seeds: ['addresses', 'peers to join: host:port, or dns:host:port for all that a name stands for'],
  expect: ['n', 'found a cluster once n processes have found each other'],
  secretFile: ['file', 'proves that a peer may join; without one only loopback is used'],
  http: ['address', 'open the admin door; port 0 takes a free one'],
  flowHttp: [
    'address',
    'where HTTP sources of flows listen; default 127.0.0.1:8080, or any free port if that is taken',
  ],
  resp: ['address', 'open the Redis door'],
  accessTokenFile: ['file', 'the doors ask for this token; without one they are loopback only'],
  memory: ['size', 'budget for queued messages, copies and transfers, e.g. 512MB; default half of what there is'],
  copies: ['n', 'owner and backups together, 1 to 5; default 2'],
  minCopies: ['n', 'refuse writes below so many live copies; default 1'],
  partitions: ['n', 'of the grid, used by the founder; default 271'],
  drainMs: ['ms', 'told to stop, it says that it is not ready and still serves for so long; default 1000'],
  zone: ['name', 'copies go to different zones where there are several'],
  witness: ['', 'vote, but hold no messages'],
  json: ['', 'one JSON line on stdout when it serves, JSON log lines on stderr'],
}

export interface StartSettings {
  readonly settings: Settings
  readonly flowFiles: readonly string[]
  readonly isForced: boolean
  /** Whether the default was asked for, so that a taken port is no error. */
  readonly isListenDefault: boolean
  readonly isFlowHttpDefault: boolean
}

export const listenDefault = '127.0.0.1:7400'
export const flowHttpDefault = '127.0.0.1:8080'

export function addFlags(command: Command): Command {
  command.option('--config <file>', 'JSON with the same names, e.g. { "copies": 3, "join": ["10.0.0.7:7400"] }')
  command.option('--force', 'deploy even if messages that entered another version of a flow are left behind')
  for (const [key, [value, meaning]] of Object.entries(flags))
    command.option(value === '' ? named(key) : `${named(key)} <${value}>`, meaning)
  return command
}

/** Throws InvalidError with one line per mistake. `given`: as commander parsed the flags above. */
export function readSettings(
  given: Readonly<Record<string, unknown>>,
  files: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): StartSettings {
  const { config = env['SKEIN_CONFIG'], force, ...flagged } = given
  const { flows, ...inFile } = config === undefined || config === '' ? {} : fileOf(String(config))
  const variables: Readonly<Record<string, unknown>> = {
    ...fromEnvironment(env),
    ...defined({ seeds: env['SKEIN_JOIN'] || undefined }),
  }
  const switches = renamed(flagged)
  const configured = renamed(inFile)
  const input = layered(switches, variables, configured)
  /** By the name that it was given by. */
  const origin = (key: string): string => {
    if (isGiven(switches, key)) return named(key)
    if (isGiven(variables, key)) return key === 'seeds' ? 'SKEIN_JOIN' : environmentName(key)
    return !isGiven(configured, key) ? named(key) : `${key === 'seeds' ? 'join' : key} in ${String(config)}`
  }
  const addressed: SettingsInput = {
    ...input,
    ...defined({ http: withoutScheme(input.http), flowHttp: withoutScheme(input.flowHttp) }),
    name: input.name ?? `goose-${randomBytes(2).toString('hex')}`,
    listen: input.listen ?? listenDefault,
  }
  return {
    settings: settingsOf(addressed, () => '', origin),
    flowFiles: files.length > 0 ? files : flowsOf(flows),
    isForced: force === true,
    isListenDefault: input.listen === undefined,
    isFlowHttpDefault: input.flowHttp === undefined,
  }
}

function isGiven(fields: Readonly<Record<string, unknown>>, key: string): boolean {
  return Object.hasOwn(fields, key) && fields[key] !== undefined
}

/** How people say it: 'minCopies' -> '--min-copies'. */
function named(key: string): string {
  return key === 'seeds' ? '--join' : flagName(key)
}

function renamed({ join, ...rest }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...rest, ...defined({ seeds: join ?? rest['seeds'] }) }
}

function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** The admin verbs read SKEIN_HTTP as a URL; here the same text is where to listen. What is no text is refused later. */
function withoutScheme(address: string | undefined): string | undefined {
  return typeof address !== 'string' ? address : address.replace(/^http:\/\//, '').replace(/\/$/, '')
}

function fileOf(path: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new InvalidError(`--config ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new InvalidError(`--config ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new InvalidError(`--config ${path} must hold one JSON object, e.g. { "copies": 3 }`)
}

function flowsOf(flows: unknown): readonly string[] {
  if (flows === undefined) return []
  if (Array.isArray(flows) && flows.every(each => typeof each === 'string')) return flows
  throw new InvalidError('flows in the config file must be a list of files')
}
