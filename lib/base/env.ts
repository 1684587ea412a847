/**
 * The doors to the outside as ports: what a driver, a grid handle or a flow runner may ask of the world. The real ones
 * are in lib/peer and lib/transport, the simulated ones in sim/. Only (x) folders hold an Env; machines never do.
 */
import type { Instant } from './instant.ts'
import type { Emit } from './machine.ts'
import type { Prng } from './prng.ts'

export interface Env {
  now(): Instant
  /** Calls back once at or after the given monotonic ms. Returns how to cancel. Never calls back synchronously. */
  at(monotonicMs: number, callback: () => void): () => void
  /** Calls back at the end of the current turn of the event loop, once all input at hand has been folded. */
  turn(callback: () => void): void
  /** Seeded in the simulator, from the system's entropy otherwise. */
  readonly random: Prng
  /** Log line, event and counter in one. */
  emit(event: Emit): void
}
