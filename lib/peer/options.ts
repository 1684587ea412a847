/**
 * The settings of one member, one schema for `join()`, flags, environment variables and the config file, so that each
 * has the same names, bounds and messages: `copies` is `--copies`, `SKEIN_COPIES` and `{ "copies": 2 }`. What comes from
 * outside as text is read by the same rules. `settingsSchema` is a Standard Schema.
 */
import * as v from 'valibot'
import { InvalidError } from '../base/errors.ts'
import { partitionCountDefault } from '../base/ids.ts'
import { isLoopback, parseAddress } from '../transport/addresses.ts'
import { memoryBytesDefault } from './memory.ts'
import { Secret, secretFile } from './secret.ts'

const nameRule = v.pipe(
  v.string('must be text'),
  v.regex(/^[\w.-]{1,64}$/, 'has letters, digits, dots, dashes and underscores only, at most 64: e.g. goose-1'),
)
const address = v.pipe(
  v.string('must be an address such as 10.0.0.7:7400'),
  v.transform(onLoopback),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    try {
      parseAddress(dataset.value)
    } catch (error) {
      addIssue({ message: error instanceof InvalidError ? error.message : 'is not an address' })
    }
  }),
)
/** A bare port is one of this machine alone; 0 picks a free one. */
function onLoopback(given: string): string {
  return /^\d{1,5}$/.test(given) ? `127.0.0.1:${given}` : given
}

function isTexts(given: unknown): boolean {
  return Array.isArray(given) && given.every(each => typeof each === 'string')
}
/** A list, or text with commas. */
const addresses = v.pipe(
  v.union(
    [v.string(), v.custom<readonly string[]>(isTexts)],
    'must be addresses such as 10.0.0.7:7400, with commas between',
  ),
  v.transform(given => (typeof given === 'string' ? given.split(',') : given).map(each => each.trim()).filter(Boolean)),
  v.array(address),
)
const flag = v.union(
  [
    v.boolean(),
    v.pipe(
      v.picklist(['true', 'false', '1', '0', '']),
      v.transform(text => text === 'true' || text === '1' || text === ''),
    ),
  ],
  'must be true or false',
)

function whole(min: number, max: number): v.GenericSchema<number | string, number> {
  const message = `must be a whole number from ${min} to ${max}`
  return v.pipe(
    v.union([v.number(), v.string()], message),
    v.transform(given => (typeof given === 'string' && given.trim() === '' ? NaN : Number(given))),
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  )
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }
const sizeText = 'must be a size such as 512MB or 2GB, at least 16MB'
const size = v.pipe(
  v.union([v.number(), v.string()], sizeText),
  v.transform(given => {
    const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(String(given).trim())
    return match === null ? NaN : Math.floor(Number(match[1]) * (sizeUnits[(match[2] ?? '').toLowerCase()] ?? NaN))
  }),
  v.number(sizeText),
  v.minValue(16 * 2 ** 20, sizeText),
)
const secretText = 'must be secret(...) or a text of at least 8 characters'
const secretRule = v.union([v.instance(Secret), v.pipe(v.string(), v.minLength(8, secretText))], secretText)
const door = v.union([v.literal('off'), address], issue => innerMessage(issue) ?? "must be an address or 'off'")
const text = v.pipe(v.string('must be text'), v.minLength(1, 'must not be empty'))

/** As given: to `join`, or read from flags, environment and file. Texts are read as numbers, sizes and lists where those are wanted. */
export interface SettingsInput {
  /** Of this peer; names the member and its log lines. Default: 'peer-' and five characters. */
  readonly name?: string | undefined
  /** Peers of clusters with different names never join. Default 'default'. */
  readonly cluster?: string | undefined
  /** Where peers reach it; port 0 takes a free one. Default '127.0.0.1:0'. */
  readonly listen?: string | readonly string[] | undefined
  /** What it tells others instead, e.g. behind NAT. */
  readonly announce?: string | readonly string[] | undefined
  /** Addresses to find others at: 'host:port', or 'dns:host:port' for all that a name resolves to. */
  readonly seeds?: string | readonly string[] | undefined
  /** Found a cluster once so many processes have found each other; more than half of the seeds. Without it, and with seeds, it only joins. */
  readonly expect?: number | string | undefined
  /** Proves that a peer may join. Without one only loopback addresses are used. */
  readonly secret?: string | Secret | undefined
  readonly secretFile?: string | undefined
  /** Listeners of the doors; 'off' closes one. */
  readonly http?: string | undefined
  readonly flowHttp?: string | undefined
  readonly resp?: string | undefined
  readonly accessTokenFile?: string | undefined
  /** Budget for data, logs and transfers, e.g. '512MB'. Default: half of the memory there is, at most 60 % of V8's heap limit. */
  readonly memory?: number | string | undefined
  /** Owner and backups together, 1..5. Used by the founder. Default 2. */
  readonly copies?: number | string | undefined
  /** Below so many live copies writes are refused. Default 1. */
  readonly minCopies?: number | string | undefined
  /** Used by the founder. Default 271. */
  readonly partitions?: number | string | undefined
  /** Told to stop, it says that it is not ready and goes on serving for so long, while others are there to turn to. Default 1,000. */
  readonly drainMs?: number | string | undefined
  /** Copies go to different zones where there are several. */
  readonly zone?: string | undefined
  /** A witness votes and holds no data. */
  readonly witness?: boolean | string | undefined
  /** Log lines as JSON. */
  readonly json?: boolean | string | undefined
}

interface Parsed {
  readonly name?: string | undefined
  readonly cluster?: string | undefined
  readonly listen?: readonly string[] | undefined
  readonly announce?: readonly string[] | undefined
  readonly seeds?: readonly string[] | undefined
  readonly expect?: number | undefined
  readonly secret?: string | Secret | undefined
  readonly secretFile?: string | undefined
  readonly http?: string | undefined
  readonly flowHttp?: string | undefined
  readonly resp?: string | undefined
  readonly accessTokenFile?: string | undefined
  readonly memory?: number | undefined
  readonly copies?: number | undefined
  readonly minCopies?: number | undefined
  readonly partitions?: number | undefined
  readonly drainMs?: number | undefined
  readonly zone?: string | undefined
  readonly witness?: boolean | undefined
  readonly json?: boolean | undefined
}

const entries: { readonly [K in keyof SettingsInput]-?: v.GenericSchema<SettingsInput[K], Parsed[K]> } = {
  name: v.optional(nameRule),
  cluster: v.optional(nameRule),
  listen: v.optional(addresses),
  announce: v.optional(addresses),
  seeds: v.optional(addresses),
  expect: v.optional(whole(1, 1_000)),
  secret: v.optional(secretRule),
  secretFile: v.optional(text),
  http: v.optional(door),
  flowHttp: v.optional(door),
  resp: v.optional(door),
  accessTokenFile: v.optional(text),
  memory: v.optional(size),
  copies: v.optional(whole(1, 5)),
  minCopies: v.optional(whole(1, 5)),
  partitions: v.optional(whole(1, 4_096)),
  drainMs: v.optional(whole(0, 600_000)),
  zone: v.optional(nameRule),
  witness: v.optional(flag),
  json: v.optional(flag),
}

/** Every key is one setting; unknown keys are errors, because a setting misspelt is a setting ignored. */
export const settingsSchema: v.GenericSchema<SettingsInput, Parsed> = v.strictObject(entries)

/** Checked, with defaults. */
export interface Settings {
  readonly name: string
  readonly cluster: string
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  readonly seeds: readonly string[]
  readonly expect: number | undefined
  /** Undefined: none, and loopback alone. Revealed here, so keep it out of logs. */
  readonly secret: string | undefined
  readonly http: string | undefined
  readonly flowHttp: string | undefined
  readonly resp: string | undefined
  readonly accessTokenFile: string | undefined
  readonly memoryBytes: number
  readonly copies: number
  readonly minCopies: number
  readonly partitions: number
  readonly drainMs: number
  readonly zone: string | undefined
  readonly holdsData: boolean
  readonly json: boolean
}

/** How a setting is called where it came from, for messages: `copies` -> '--copies'. */
export type NameOf = (key: string) => string

/** Throws InvalidError with one line per mistake: which setting, what was wrong, what to do. `draw` makes a default name. */
export function settingsOf(input: SettingsInput, draw: () => string, nameOf: NameOf = key => key): Settings {
  const parsed = v.safeParse(settingsSchema, input)
  if (!parsed.success) throw new InvalidError(parsed.issues.map(issue => issueLine(issue, input, nameOf)).join('\n'))
  const given = parsed.output
  const settings: Settings = {
    name: given.name ?? `peer-${draw()}`,
    cluster: given.cluster ?? 'default',
    listen: given.listen ?? ['127.0.0.1:0'],
    announce: given.announce ?? [],
    seeds: given.seeds ?? [],
    expect: given.expect,
    secret: secretOf(given, nameOf),
    http: opened(given.http),
    flowHttp: opened(given.flowHttp),
    resp: opened(given.resp),
    accessTokenFile: given.accessTokenFile,
    memoryBytes: given.memory ?? memoryBytesDefault(),
    copies: given.copies ?? 2,
    minCopies: given.minCopies ?? 1,
    partitions: given.partitions ?? partitionCountDefault,
    drainMs: given.drainMs ?? 1_000,
    zone: given.zone,
    holdsData: given.witness !== true,
    json: given.json ?? false,
  }
  agree(settings, nameOf)
  return settings
}

/** Flags over environment over file, each by the names of the schema. Undefined is not given. */
export function layered(...sources: readonly Readonly<Record<string, unknown>>[]): SettingsInput {
  const out: Record<string, unknown> = {}
  for (const source of [...sources].reverse())
    for (const [key, value] of Object.entries(source)) if (value !== undefined) out[key] = value
  return out as SettingsInput
}

/** `SKEIN_SECRET_FILE=x` -> `{ secretFile: 'x' }`; variables that are no settings are left alone. */
export function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, unknown>> {
  const out: Record<string, unknown> = {}
  for (const key of Object.keys(entries)) {
    const value = env[environmentName(key)]
    if (value !== undefined && value !== '') out[key] = value
  }
  return out
}

function innerMessage(issue: v.BaseIssue<unknown>): string | undefined {
  return issue.issues?.find(inner => inner.type === 'raw_check')?.message
}

/** 'secretFile' -> 'SKEIN_SECRET_FILE'. */
export function environmentName(key: string): string {
  return `SKEIN_${key.replaceAll(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}

/** 'secretFile' -> '--secret-file'. */
export function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
}

function secretOf(given: Parsed, nameOf: NameOf): string | undefined {
  if (given.secret !== undefined && given.secretFile !== undefined)
    throw new InvalidError(`${nameOf('secret')} and ${nameOf('secretFile')} are both given: leave one out`)
  if (given.secretFile !== undefined) return secretFile(given.secretFile).reveal()
  return given.secret instanceof Secret ? given.secret.reveal() : given.secret
}

function opened(given: string | undefined): string | undefined {
  return given === 'off' ? undefined : given
}

/** What is wrong only together. */
function agree(settings: Settings, nameOf: NameOf): void {
  const { copies, minCopies, secret, listen, announce, seeds, expect } = settings
  if (minCopies > copies)
    throw new InvalidError(
      `${nameOf('minCopies')} ${minCopies} is more than ${nameOf('copies')} ${copies}: nothing could be written`,
    )
  const open = [...listen, ...announce].find(each => !isLoopback(parseAddress(each)))
  if (secret === undefined && open !== undefined)
    throw new InvalidError(
      `${open} can be reached from other machines, and there is no cluster secret: give every peer the same ${nameOf('secretFile')}, or listen on 127.0.0.1`,
    )
  // A DNS name may stand for any number of peers.
  const listed = seeds.some(seed => seed.startsWith('dns:')) ? 0 : seeds.length
  if (expect !== undefined && listed > 1 && expect * 2 <= listed)
    throw new InvalidError(
      `${nameOf('expect')} ${expect} is not more than half of the ${listed} ${nameOf('seeds')}: two halves could each found a cluster; at least ${Math.floor(listed / 2) + 1}`,
    )
}

function issueLine(issue: v.BaseIssue<unknown>, input: SettingsInput, nameOf: NameOf): string {
  const key = v.getDotPath(issue)?.split('.')[0] ?? ''
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return `${nameOf(key)} is not a setting; there are ${Object.keys(entries).join(', ')}`
  const shown = key.startsWith('secret') ? '' : ` ${JSON.stringify(input[key as keyof SettingsInput])}`
  return `${nameOf(key)}${shown}: ${issue.message}`
}
