import type { Instant } from './instant.ts'

/**
 * The one shape of every protocol: a value that folds inputs into effects. It holds no clock, timer, socket, promise or
 * randomness of its own, so the driver of a real peer and the simulator run the very same objects.
 */
export interface Machine<Input, Effect> {
  /**
   * Folds one input. Depends on (state, now, input) alone; randomness is a seeded generator in the state. Perform the
   * returned effects in order. Never throws on remote input.
   */
  step(now: Instant, input: Input): readonly Effect[]
  /** When to step with `{ kind: 'tick' }` next, in monotonic ms; a value not after now means at the end of this turn; undefined while idle. */
  deadline(): number | undefined
}

/** The input that a due `deadline()` brings. */
export interface Tick {
  readonly kind: 'tick'
}

/** Lanes of one link: small urgent words; requests, appends and replies; snapshots. Ordered within a lane only. */
export type Lane = 'control' | 'data' | 'bulk'

/** Fire-and-forget: the message may be lost, and after a lane reset later ones arrive while earlier ones never do. Messages are immutable once sent. */
export interface Send<Message> {
  readonly kind: 'send'
  readonly to: string
  readonly lane: Lane
  readonly message: Message
}

/** Make `record` durable, then step the machine with `{ kind: 'persisted', token }`. What depends on it is emitted only then. */
export interface Persist<Record> {
  readonly kind: 'persist'
  readonly token: number
  readonly record: Record
}

/** Something an operator may want to know; goes to log, metrics and `grid.on(...)`. `fields` are flat and small. */
export interface Emit {
  readonly kind: 'emit'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** Stable dotted name, e.g. 'replication.owner-promoted'. Also a counter: one metric per name. */
  readonly event: string
  readonly fields: Readonly<Record<string, string | number | boolean>>
}
