/**
 * The knobs of membership and which way each trades. Defaults suit 3 to 20 members on one network: a killed process is
 * gone within a round trip or two of its refused connection, a frozen one suspect after 1 to 2 s and silent 3 to 6 s
 * later. They scale to thousands because all but sync grows with the logarithm of the member count.
 */
export interface MembershipOptions {
  /** One member is probed in each. Shorter: faster detection; more messages. Lifeguard multiplies it by local health + 1. */
  readonly probeIntervalMs: number
  /** After it neighbours are asked; less than the interval. Shorter: faster; more needless indirect probes. */
  readonly probeTimeoutMs: number
  /** Neighbours asked for an indirect probe. More: fewer false suspicions on lossy links. */
  readonly indirectProbeCount: number
  /** How often news are pushed while there are any. */
  readonly gossipIntervalMs: number
  /** Members told in each gossip round. */
  readonly gossipFanout: number
  /** Each claim is sent this times ceil(log10(n + 1)) times. More: surer dissemination; more bytes. */
  readonly retransmitMultiplier: number
  /** A suspicion lasts at least this times max(1, log10(n)) probe intervals. Longer: fewer false alarms; slower. */
  readonly suspicionMultiplier: number
  /** And at most this many times its least, while nobody confirms it. */
  readonly suspicionMaxMultiplier: number
  /** Independent confirmations that bring it to its least. */
  readonly suspicionConfirmations: number
  /** Push-pull with one member, for up to 32 members; each doubling beyond adds as much again. */
  readonly syncIntervalMs: number
  /** How often members thought silent or dropped are called, three at a time, so that healed sides meet again. */
  readonly reunionIntervalMs: number
  /** A silent member's record is kept this long. */
  readonly silentKeepMs: number
  /** How long the dead are remembered, so that late news do not bring them back; more than `silentKeepMs`. */
  readonly tombstoneKeepMs: number
  /** How long a refused connection counts as evidence. */
  readonly refusalKeepMs: number
  /** A tick later than this means that this process slept: all timeouts are put off by the lag. */
  readonly stallMs: number
  /** Lifeguard's S: how far local health slows probes down. */
  readonly healthMax: number
  /** Further members are ignored, with an event. */
  readonly membersMax: number
  /** The oldest is dropped. */
  readonly tombstonesMax: number
  /** Claims piggybacked on one message. */
  readonly claimsPerMessageMax: number
  /** Claims in one message of a push-pull; more go in further messages. */
  readonly syncClaimsMax: number
  /** Probes made for others at a time; further requests are answered 'unreachable'. */
  readonly relaysMax: number
}

export const membershipDefaults: MembershipOptions = {
  probeIntervalMs: 600,
  probeTimeoutMs: 300,
  indirectProbeCount: 3,
  gossipIntervalMs: 100,
  gossipFanout: 3,
  retransmitMultiplier: 4,
  suspicionMultiplier: 4,
  suspicionMaxMultiplier: 3,
  suspicionConfirmations: 3,
  syncIntervalMs: 10_000,
  reunionIntervalMs: 1_000,
  silentKeepMs: 30_000,
  tombstoneKeepMs: 600_000,
  refusalKeepMs: 10_000,
  stallMs: 250,
  healthMax: 8,
  membersMax: 10_000,
  tombstonesMax: 10_000,
  claimsPerMessageMax: 8,
  syncClaimsMax: 500,
  relaysMax: 256,
}
