/**
 * A moment as a machine sees it. `monotonicMs` orders and measures (leases, timeouts); `wallMs` is what people and
 * message deadlines speak of and may jump. Never compare one member's `monotonicMs` with another's.
 */
export interface Instant {
  /** Milliseconds since an arbitrary origin of this process; never goes back. */
  readonly monotonicMs: number
  /** Milliseconds since the Unix epoch; may jump either way. */
  readonly wallMs: number
}
