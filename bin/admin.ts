/**
 * Talks to the HTTP door of a running peer: where it is, the token, one call, and its refusals as one line for people.
 * Every verb but `start`, `demo` and `sim` goes through here.
 */
import { readFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { InvalidError } from '../lib/base/errors.ts'

export interface AdminOptions {
  /** e.g. 'http://127.0.0.1:7480' */
  readonly http: string
  readonly accessTokenFile?: string
  readonly json?: boolean
}

/** Where a peer listens if nothing else was said; the default of `skein start --http`. */
export const httpDefault = 'http://127.0.0.1:7480'
/** A peer that has not answered by then is taken for dead. */
const answerTimeoutMs = 30_000

/** Thrown for what a person can mend: printed as one line, exit 1. */
export class VerbError extends Error {}

/** Adds the options that all admin verbs share. */
export function adminCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('--http <url>', 'HTTP door of a peer').env('SKEIN_HTTP').default(httpDefault))
    .addOption(new Option('--access-token-file <file>', 'token of the door').env('SKEIN_ACCESS_TOKEN_FILE'))
    .option('--json', 'print one JSON object')
}

/** One call. Returns the decoded body; a refusal becomes a VerbError that says what, why and whether to try again. */
export async function call(options: AdminOptions, method: string, path: string, body?: unknown): Promise<unknown> {
  const url = urlOf(options.http, path)
  const token = options.accessTokenFile === undefined ? undefined : await tokenIn(options.accessTokenFile)
  const response = await fetch(url, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(answerTimeoutMs),
  }).catch((error: unknown) => {
    throw new VerbError(`no peer answers at ${url.origin} (${reasonOf(error)}); name one with --http`)
  })
  const text = await response.text()
  const answer: unknown = text === '' ? undefined : parse(text)
  if (response.ok) return answer
  const refusal = (answer ?? {}) as { code?: string; message?: string; retryable?: boolean }
  const again = refusal.retryable === true ? '; try again' : ''
  throw new VerbError(`${refusal.code ?? response.status}: ${refusal.message ?? response.statusText}${again}`)
}

/** Prints the answer as JSON, or as `render` puts it for people. */
export function print(options: AdminOptions, answer: unknown, render: () => string): void {
  process.stdout.write(`${options.json === true ? JSON.stringify(answer) : render()}\n`)
}

/** Columns under their headings, as wide as the widest cell. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, at) => Math.max(heading.length, ...rows.map(row => (row[at] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(headings), ...rows.map(line)].join('\n')
}

function urlOf(door: string, path: string): URL {
  const base = /^https?:\/\//.test(door) ? door : `http://${door}`
  if (!URL.canParse(base)) throw new InvalidError(`--http ${door} is no address: write it as ${httpDefault}`)
  return new URL(path, base)
}

async function tokenIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    throw new InvalidError(`--access-token-file ${file} cannot be read: ${reasonOf(error)}`)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return { message: text.slice(0, 200) }
  }
}

function reasonOf(error: unknown): string {
  const cause =
    error instanceof Error ? ((error.cause as { code?: string } | undefined)?.code ?? error.message) : String(error)
  return cause.toLowerCase()
}
