/**
 * A message as it is stored and sent: one versioned record, so that peers of different ages understand each other.
 * Fields that this version does not know are carried on to the next hop untouched.
 *
 * Decision: the encoding is that of every value in the grid (format byte, msgpack map), because the command line and the
 * doors then show a queued message without knowing what a flow is. Names cost bytes that a positional record would
 * save; bodies outweigh them.
 */
import { MalformedError } from '../base/errors.ts'
import { values, type ValueCodec } from '../grid/values.ts'
import type { AnyMessage, Message } from './message.ts'

export const envelopeVersion = 1

export interface Envelope {
  readonly v: number
  readonly id: string
  readonly source: string
  readonly params: Readonly<Record<string, string>>
  readonly body: unknown
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly correlation?: string
  readonly group?: string
  readonly acceptedAt: number
  readonly expiresAt?: number
  readonly flow: string
  /** Of the plan. */
  readonly version: string
  /** Step that it waits for. */
  readonly step: string
  readonly parents: readonly string[]
  /** Why it came back, where that was not its queue's to say. */
  readonly lastError?: string
  /** How often an aggregator gave it up: pieces that are replayed meet under a key of their own. */
  readonly redo?: number
}

const codec: ValueCodec<Envelope> = values<Envelope>()

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return codec.encode(envelope)
}

/** Throws MalformedError. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  return checked(codec.decode(bytes))
}

export const envelopes: ValueCodec<Envelope> = { encode: encodeEnvelope, decode: decodeEnvelope }

function checked(envelope: Envelope): Envelope {
  if (typeof envelope !== 'object' || envelope === null || typeof envelope.v !== 'number')
    throw new MalformedError('a queued message has no envelope')
  if (envelope.v > envelopeVersion)
    throw new MalformedError(`a queued message has envelope version ${envelope.v}, this peer knows ${envelopeVersion}`)
  return envelope
}

/** As a step sees it. */
export function messageOf(envelope: Envelope, step: string, delivery: Delivered): AnyMessage {
  const message: Message<unknown, string, object> = {
    id: envelope.id,
    source: envelope.source,
    params: envelope.params,
    body: envelope.body,
    contentType: envelope.contentType,
    headers: envelope.headers,
    correlation: envelope.correlation,
    group: envelope.group,
    acceptedAt: envelope.acceptedAt,
    expiresAt: envelope.expiresAt,
    attempt: delivery.attempt,
    lastError: delivery.lastError ?? envelope.lastError,
    flow: envelope.flow,
    version: envelope.version,
    step,
    parents: envelope.parents,
  }
  return message
}

/** What the queue says of a delivery. */
export interface Delivered {
  readonly attempt: number
  readonly lastError?: string | undefined
}

/** The next hop: another body, the rest goes along. */
export function withBody(envelope: Envelope, body: unknown): Envelope {
  return { ...envelope, body: body === undefined ? null : body }
}

/** One of several made of it: its id names its parent and its place, the same at each try. */
export function childOf(envelope: Envelope, at: number, body: unknown): Envelope {
  return { ...withBody(envelope, body), id: `${envelope.id}/${at}`, parents: [...envelope.parents, envelope.id] }
}
