/**
 * What the demo delivers: real webhooks. In a clone all payloads of the npm package @octokit/webhooks-examples; in the
 * packed package the sample that it carries (webhooks.ndjson, with its licence); or the lines of a file. Pings are left
 * out, because the flow filters them: what is accepted and what is written can then be counted against one another.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { InvalidError } from '../../lib/base/errors.ts'

export interface Webhook {
  /** e.g. 'pull_request' */
  readonly event: string
  readonly payload: Readonly<Record<string, unknown>>
}

/** A webhook that is sent many times, under fresh ids: both halves as bytes. */
export interface Delivery {
  readonly head: Buffer
  readonly payload: Buffer
}

/** Distinct deliveries, to be repeated. Throws InvalidError. */
export function deliveries(file: string | undefined): readonly Delivery[] {
  const webhooks = (file === undefined ? ownInput() : linesOf(file)).filter(({ event }) => event !== 'ping')
  if (webhooks.length === 0) throw new InvalidError(`${file ?? 'the sample'} holds no deliveries`)
  return webhooks.map(({ event, payload }) => ({
    head: Buffer.from(JSON.stringify({ event, sentAt: '2026-01-01T00:00:00Z' })),
    payload: Buffer.from(JSON.stringify(payload)),
  }))
}

/** All of @octokit/webhooks-examples; [] where it is not installed. */
export function examples(): readonly Webhook[] {
  const root = exampleFolder()
  if (root === undefined) return []
  return readdirSync(root, { withFileTypes: true })
    .filter(entry => entry.isDirectory() && entry.name !== 'node_modules')
    .flatMap(({ name }) => {
      const text = readFileSync(join(root, name, 'index.json'), 'utf8')
      const events = JSON.parse(text) as readonly { readonly name: string; readonly examples: Webhook['payload'][] }[]
      return events.flatMap(each => each.examples.map(payload => ({ event: each.name, payload })))
    })
}

function exampleFolder(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve('@octokit/webhooks-examples/package.json'))
  } catch {
    return undefined
  }
}

function ownInput(): readonly Webhook[] {
  const all = examples()
  return all.length > 0 ? all : linesOf(join(import.meta.dirname, 'webhooks.ndjson'))
}

/** A line is `{ event, payload }`, or a payload alone. */
function linesOf(file: string): readonly Webhook[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new InvalidError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  return text.split('\n').flatMap((line, at) => (line.trim() === '' ? [] : [webhookIn(line, `${file}:${at + 1}`)]))
}

function webhookIn(line: string, place: string): Webhook {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new InvalidError(`${place} is not JSON`)
  }
  if (!isRecord(value)) throw new InvalidError(`${place} is not a JSON object`)
  const { event, payload } = value
  if (typeof event === 'string' && isRecord(payload)) return { event, payload }
  return { event: typeof event === 'string' ? event : 'webhook', payload: value }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
