/** The knobs of replication, with what each trades. Times in monotonic milliseconds, sizes in bytes by `sizeOfEntry`. */
export interface ReplicationOptions {
  /** A backup that acknowledges nothing for this long while something is outstanding is to be removed. One node lease; less flaps, more lengthens the gap. Default 300. */
  readonly silentAfterMs: number
  /** First retransmission to a copy; doubles up to `retransmitMaxMs`. Default 100. */
  readonly retransmitMs: number
  /** Default 1,000. */
  readonly retransmitMaxMs: number
  /** How often timers of copies are looked at: their resolution. Default 50. */
  readonly sweepMs: number
  /** A commit point with nothing to ride on waits this long for company. Less: copies apply sooner; more: fewer messages, a quarter of all under load at 20. Default 50. */
  readonly announceMs: number
  /** How long requests wait for a partition to open before they are sent back. Default 300. */
  readonly waitMs: number
  /** Requests that wait for one partition to open; more are sent back at once. Default 1,000. */
  readonly waitingMax: number
  /** Uncommitted commands, and reads that wait for a commit, per partition; more are answered 'busy'. Default 4,096. */
  readonly openMax: number
  /** Bytes of uncommitted commands per partition; more are answered 'busy'. Default 8 MiB. */
  readonly openBytesMax: number
  /** Bytes sent to one copy and not acknowledged, per partition; over all partitions `in-flight.ts` bounds them. Default 1 MiB. */
  readonly inFlightBytesMax: number
  /** Bytes of one append; a larger entry travels alone. Default 256 KiB. */
  readonly appendBytesMax: number
  /** Bytes of entries that go with the question how far a copy is; they are in vain if it lags. Default 16 KiB. */
  readonly probeBytesMax: number
  /** Applied entries are kept up to this many bytes, so that a sleeper returns by the tail. More memory and, since what is kept outlives V8's young generation, more garbage collection; fewer snapshots. Default 64 KiB. */
  readonly logBytesMax: number
  /** The same as a count. Default 1,024. */
  readonly logLengthMax: number
  /** Up to this times `logBytesMax` is kept for a copy that catches up; then it needs a snapshot. Default 64. */
  readonly logCatchUpFactor: number
  /** A learner this many entries behind is waited for, and then promoted. Default 64. */
  readonly promoteWindow: number
  /** Snapshots this member sends at once; others queue. Default 4. */
  readonly transfersMax: number
  /** Chunks of a snapshot not acknowledged. Default 4. */
  readonly chunkWindow: number
  /** Default 64 KiB. */
  readonly chunkBytes: number
  /** A request to placement is repeated while the table has not moved for this long. Default 1,000. */
  readonly askAgainMs: number
  /** Copies compare the hash of their state every so many commands. Default 1,000. */
  readonly hashInterval: number
  /** Entries applied in one go per partition, so that a long tail does not hold the event loop. Default 500. */
  readonly applyMax: number
}

export const replicationDefaults: ReplicationOptions = {
  silentAfterMs: 300,
  retransmitMs: 100,
  retransmitMaxMs: 1_000,
  sweepMs: 50,
  announceMs: 50,
  waitMs: 300,
  waitingMax: 1_000,
  openMax: 4_096,
  openBytesMax: 8 * 1024 * 1024,
  inFlightBytesMax: 1024 * 1024,
  appendBytesMax: 256 * 1024,
  probeBytesMax: 16 * 1024,
  logBytesMax: 64 * 1024,
  logLengthMax: 1_024,
  logCatchUpFactor: 64,
  promoteWindow: 64,
  transfersMax: 4,
  chunkWindow: 4,
  chunkBytes: 64 * 1024,
  askAgainMs: 1_000,
  hashInterval: 1_000,
  applyMax: 500,
}
