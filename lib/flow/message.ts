/**
 * A message as steps see it, typed by where it came from. Its fields are those of the envelope (envelope.ts); steps never
 * change one, they return what comes next.
 */
import type { Plain } from '../base/shape.ts'

export interface Message<
  Body = unknown,
  Source extends string = string,
  Params extends object = Readonly<Record<string, string>>,
> {
  /** Stable over retries, failovers and replays. */
  readonly id: string
  /** Name of the source it came in by; after an aggregator the aggregator's. */
  readonly source: Source
  /** What the source's address held, e.g. { id: 'd42' } of '/deliveries/:id/head'. */
  readonly params: Params
  readonly body: Body
  readonly contentType: string
  /** Lower-case names. `traceparent` is passed on at every hop. */
  readonly headers: Readonly<Record<string, string>>
  /** What belongs together: the key of the aggregator, or what the sender said. */
  readonly correlation: string | undefined
  /** Messages of one group are worked on one after the other. */
  readonly group: string | undefined
  /** Wall clock, ms. */
  readonly acceptedAt: number
  readonly expiresAt: number | undefined
  /** 1 the first time. */
  readonly attempt: number
  readonly lastError: string | undefined
  readonly flow: string
  /** Of the plan it entered with. */
  readonly version: string
  /** Name of the step at work. */
  readonly step: string
  /** Ids of the messages it was made from. */
  readonly parents: readonly string[]
}

/** What steps get besides the message. The same message gets the same randomness each time. */
export interface StepContext {
  /** Wall clock, ms. */
  readonly now: number
  /** 0 <= x < 1, seeded by message id and step. */
  readonly random: () => number
  /** Aborts when the message's lease is lost or the flow stops at once: what is done from then on does not count. */
  readonly signal: AbortSignal
  readonly log: (text: string, fields?: Readonly<Record<string, string | number | boolean>>) => void
}

export type AnyMessage = Message<unknown, string, object>

/** The body of those messages that came in by a source. */
export type BodyFrom<M extends AnyMessage, S extends string> = Extract<M, { readonly source: S }>['body']

/** A body that can be stored: what msgpack carries, see grid/values.ts. */
export type Storable = Plain | object
