/**
 * What a link stands on: reliable ordered bytes between two proven peers. libp2p.ts has them from libp2p,
 * memory-hub.ts within one process. Identity, encryption and dialing are the wire's; admission, frames, lanes,
 * heartbeats and one link per pair are above it, the same for all.
 */
import type { Address } from './addresses.ts'

export interface WireListener {
  /** Bytes in the order of sending, cut anywhere. The receiver may keep views of them. */
  bytes(chunk: Uint8Array): void
  /** `unsentBytes` went down after it had been above zero. */
  drain(): void
  /** Told once, also after an own `close` or `abort`. */
  closed(reason: string): void
}

/** A wire calls nothing before `open`, and never from inside a call to it. */
export interface Wire {
  /** Proven by its key, never by its word. */
  readonly remotePeer: string
  /** For people; where it was dialed, or dials from. */
  readonly remoteAddress: string
  /** True at the end that dialed. */
  readonly isDialer: boolean
  open(listener: WireListener): void
  /** The bytes are the wire's from then on: never rewritten. Ignored once closed. */
  write(bytes: Uint8Array): void
  /** Written and not yet taken by the operating system, as far as known. */
  readonly unsentBytes: number
  /** Sends what was written, then closes both ways; gives that up after a second. */
  close(): void
  /** Closes at once; what is unsent is lost. */
  abort(reason: string): void
}

/** Somebody from outside who did not become a wire, or broke it by what came over it. */
export interface WireRefusal {
  /** 'host:port' */
  readonly from: string
  readonly code: 'not-a-peer' | 'unfinished' | 'silent' | 'broken' | 'too-many'
  /** For people. */
  readonly reason: string
}

export interface Wires {
  /** The own PeerId. Valid once started. */
  readonly peer: string
  /** Where it will listen, as asked for. */
  readonly listen: readonly Address[]
  /** Opens the listeners; tells each wire dialed from outside, and whoever became none. Resolves to the addresses in fact listened on (ports filled in). */
  start(accept: (wire: Wire) => void, refused?: (refusal: WireRefusal) => void): Promise<readonly Address[]>
  /** The addresses that a name stands for, itself if it is no name. Rejects when it cannot be resolved. */
  resolve(address: Address): Promise<readonly Address[]>
  /** Rejects with DialError. */
  dial(address: Address, signal: AbortSignal): Promise<Wire>
  /** Closes listeners and wires. */
  stop(): Promise<void>
}

export class DialError extends Error {
  /** 'refused': nobody listens there. 'self': it is the own address. 'failed': anything else, also no answer. */
  readonly kind: 'refused' | 'self' | 'failed'

  constructor(kind: DialError['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}
