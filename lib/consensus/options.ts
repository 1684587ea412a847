/** Times and limits of consensus, each with which way it trades. */

export interface ConsensusOptions {
  /** How often a leader is heard of. Shorter: faster detection; more small messages. */
  readonly heartbeatMs: number
  /** A follower that hears nothing for a random time between these stands for election; shorter: a shorter gap, more false alarms. */
  readonly electionMinMs: number
  readonly electionMaxMs: number
  /** After the leader's link closed: stands for election within this, at random, so that seldom two do. */
  readonly linkDownJitterMs: number
  /** Applied entries held; at one more the older half is compacted. Larger: a longer absence is made up by entries alone. */
  readonly logLengthMax: number
  /** Entries proposed and not committed; one more is dropped. */
  readonly uncommittedMax: number
  readonly entriesPerAppendMax: number
  /** Entries sent to one member ahead of its acknowledgement. */
  readonly windowEntriesMax: number
  /** Members, partitions, definitions and sessions in one part of a snapshot. */
  readonly itemsPerPartMax: number
}

export const consensusDefaults: ConsensusOptions = {
  heartbeatMs: 50,
  electionMinMs: 150,
  electionMaxMs: 300,
  linkDownJitterMs: 20,
  logLengthMax: 1_000,
  uncommittedMax: 1_000,
  entriesPerAppendMax: 64,
  windowEntriesMax: 512,
  itemsPerPartMax: 500,
}
