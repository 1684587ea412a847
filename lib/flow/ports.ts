/**
 * The edges of a flow, as ports: what a connector offers (Source, Target) and what the runner lends it (SourceHost,
 * TargetHost). A connector does I/O and holds no promise about messages; those are the runner's, except where a target
 * says that it can do better (Journal).
 */
import type { Env } from '../base/env.ts'
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Grid } from '../grid/handles.ts'
import type { StructureOperation } from '../structures/operations.ts'
import type { AnyMessage } from './message.ts'
import type { Schema } from './schema.ts'

/** Where messages come from: `http.post('/deliveries/:id', { body })`, `timer('5s')`, `file('inbox/*.csv')`. */
export interface Source<Body = unknown, Params extends object = object> {
  readonly edge: 'source'
  /** e.g. 'http' */
  readonly kind: string
  /** What it was made with: part of the plan's version, shown by the command line. */
  readonly settings: Plain
  readonly schema?: Schema<Body> | undefined
  open(host: SourceHost): Promise<OpenSource>
  /** Types only; never there. */
  readonly types?: { readonly body: Body; readonly params: Params } | undefined
}

export interface OpenSource {
  /** Where it can be reached, e.g. 'POST /deliveries/:id/head'; shown to people. */
  readonly address?: string | undefined
  /** Takes nothing more in; resolves when what is being taken in has been answered. */
  close(): Promise<void>
}

/** One message on its way in. */
export interface Arrival {
  readonly params: Readonly<Record<string, string>>
  /** Validated. */
  readonly body: unknown
  readonly contentType?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Default: derived from `idempotencyKey`, else drawn at random. */
  readonly id?: string | undefined
  readonly correlation?: string | undefined
  readonly group?: string | undefined
  readonly expiresAt?: number | undefined
  /** Equal keys of one source and address are one message. `scope` is the address. */
  readonly idempotency?: { readonly key: string; readonly scope: string; readonly rememberMs: number } | undefined
}

export interface Accepted {
  readonly id: string
  /** It had come in before: this is the first one's id. */
  readonly isRepeat: boolean
}

/** What goes along with messages in the one commit that takes them in, e.g. how far a file was read. */
export interface Advance {
  readonly partition: PartitionId
  readonly operations: readonly StructureOperation[]
}

export interface SourceHost extends ConnectorHost {
  readonly source: string
  /**
   * Takes one message in: resolves when every copy holds it. Rejects with a typed error: `FullError`, `GridFullError`
   * where there is no room, `UnavailableError` where there is no quorum, `IndeterminateError` where it may be in.
   */
  accept(arrival: Arrival): Promise<Accepted>
  /** All of them and the advance at once, or nothing. */
  acceptAll(arrivals: readonly Arrival[], advance: Advance): Promise<readonly Accepted[]>
  /** No room for more: memory at 80 %, or a stage behind is full. */
  readonly isPaused: boolean
  /** Whether the source has a schema. */
  readonly isTyped: boolean
  /** Validates by the source's schema; throws InvalidMessageError. */
  validated(body: unknown): Promise<unknown>
}

export interface ConnectorHost {
  readonly env: Env
  readonly grid: Grid
  readonly flow: string
  /** Aborts when the flow stops. */
  readonly signal: AbortSignal
  log(
    level: 'info' | 'warn' | 'error',
    event: string,
    fields: Readonly<Record<string, string | number | boolean>>,
  ): void
  /** Something that connectors of one peer share, e.g. its HTTP listener: made once, closed with the runner. */
  shared<T extends { close(): Promise<void> }>(name: string, make: () => T): T
  /** What the runner was started with for that kind of connector. */
  option(name: string): unknown
}

export interface TargetHost extends ConnectorHost {
  /** Name of the step: with the message's id its idempotency key. */
  readonly step: string
}

/** A message on its way out. */
export interface Departure {
  readonly message: AnyMessage
  /** `id/step`: stable over retries, failovers and replays. */
  readonly idempotencyKey: string
  readonly signal: AbortSignal
  /** Wall clock, ms: the message expires. */
  readonly expiresAt: number | undefined
}

/** Where messages go: `http('https://...')`, `file('out.ndjson')`, `queue('orders')`, `log()`. */
export type Target<Body = never> = {
  readonly edge: 'target'
  readonly kind: string
  readonly settings: Plain
  /** Types only; never there. */
  readonly accepts?: ((body: Body) => void) | undefined
} & (
  | { readonly style: 'call'; open(host: TargetHost): OpenCall | Promise<OpenCall> }
  | { readonly style: 'grid'; open(host: TargetHost): OpenGrid }
  | { readonly style: 'journal'; open(host: TargetHost): OpenJournal | Promise<OpenJournal> }
)

/** At least once: sent before the unit of work commits. */
export interface OpenCall {
  /** Rejects with TerminalError if trying again is of no use. */
  send(departure: Departure): Promise<void>
  close(): Promise<void>
}

/** Exactly once: an operation of the grid that is part of the commit. */
export interface OpenGrid {
  /** `key` undefined: wherever the rest of the commit lies. */
  operations(departure: Departure): readonly { readonly key?: string; readonly operation: StructureOperation }[]
}

/**
 * Exactly once where the outside can be told afterwards what counts: bytes are written first, and that they count is an
 * operation of the commit. One page of a journal belongs to one partition; pages are used by one batch at a time.
 */
export interface OpenJournal {
  write(partition: PartitionId, departures: readonly Departure[]): Promise<Written>
  /** Partitions may have come to this member: takes over what others left unfinished. */
  sweep(): Promise<void>
  close(): Promise<void>
}

export interface Written {
  readonly operation: StructureOperation
  committed(result: Plain): void
  /** It did not happen. */
  refused(): Promise<void>
  /** It may have happened. */
  unknown(): Promise<void>
}
