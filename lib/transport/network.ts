/**
 * The Network port: how messages reach other members. The real adapter is libp2p.ts, memory-hub.ts joins several peers
 * of one process, sim/network.ts runs on virtual time; test/conformance/network.ts is what all of them keep.
 *
 * A *link* leads to one member and is up only when both ends heard each other. It carries three *lanes*. Messages of a
 * lane arrive in the order of sending, whole, at most once, as long as its *session* lives. When a session ends (the
 * link goes down, or the lane ran over its limit) what was under way may be lost, both ends are told, and nothing of
 * the old session arrives after anything of the new one. There is no order between lanes and no retransmission: every
 * protocol above resumes from its own acknowledgements.
 *
 * What it does not do: requests, deadlines, retries, routing through a neighbour (a relayed link will be one more
 * link with lane sessions of its own), and deciding who lives (membership does, from `linkUp`, `linkDown`, `message`).
 */
import type { Lane } from '../base/machine.ts'
import type { ClusterId, MemberId } from '../base/ids.ts'

/** What one end tells the other when a link comes up. A superset of membership's record of a member. */
export interface LinkHello {
  /** '' while the member belongs to no cluster. Two ends with different non-empty ids refuse each other. */
  readonly cluster: ClusterId
  readonly member: MemberId
  /** The libp2p PeerId as text, e.g. '12D3KooW...'. Checked against the key that the connection proved. */
  readonly peer: string
  /** e.g. 'goose-1' */
  readonly name: string
  /** Where others may dial it, e.g. ['10.0.0.7:7400']. Empty if it only dials out. */
  readonly addresses: readonly string[]
  readonly zone?: string
  readonly holdsData: boolean
  readonly memoryBytes: number
  /** Versions of the messages it understands; the link speaks the smaller of both maxima. */
  readonly versionMin: number
  readonly versionMax: number
}

/** Whom to stay connected to. */
export interface ConnectTarget {
  /** In the forms of addresses.ts, e.g. ['10.0.0.7:7400', 'dns:shop-peers:7400']. */
  readonly addresses: readonly string[]
  /** Absent for a seed: whoever answers there. */
  readonly member?: MemberId
}

export interface LinkDown {
  /**
   * True when the far end is provably not there: its address refused a dial, or another member answered at it. False
   * when the link merely closed or fell silent. After a link closed, its address is dialed at once, and a refusal
   * brings a second `linkDown` with `refused: true`.
   */
  readonly refused: boolean
  /** For people, e.g. 'closed', 'silent for 3000 ms', 'connection refused'. */
  readonly reason: string
}

/** A link that was not admitted, or was closed for what came over it. Told each time; the network logs it, once for each cause and address a minute. */
export interface Refusal {
  /** recovered: that member was left behind by a recovery. superseded: this one was, says a member that went on. */
  readonly code: 'cluster' | 'recovered' | 'superseded' | 'version' | 'secret' | 'hello' | 'malformed'
  /** For people: says which, whose, and what to do. */
  readonly reason: string
  /** The address dialed or dialed from, as far as known. */
  readonly address?: string
  readonly member?: MemberId
}

/** What a network tells its driver. Never called from inside a call to the network; calls come in the order of events. */
export interface NetworkListener<Body> {
  message(from: MemberId, lane: Lane, body: Body): void
  /** Both ends heard each other. Told again, with no `linkDown` between, when the far end's hello changed (it joined a cluster). */
  linkUp(hello: LinkHello, version: number): void
  linkDown(member: MemberId, down: LinkDown): void
  /** The lane's session ended while its link lives; messages sent before in either direction may be lost. */
  laneReset(member: MemberId, lane: Lane): void
  refused(refusal: Refusal): void
  /** Any byte came from this member: a sign of life, told at most once a turn, before the messages of that turn. */
  heard(member: MemberId): void
}

/** With what is not said to others. */
export interface OwnHello extends LinkHello {
  /** Whether a member of the cluster as it was before a recovery belongs to it still. Absent: none does. */
  readonly isKept?: (member: MemberId) => boolean
}

/** What this member says of itself, asked anew for each link: the cluster changes with founding or joining. */
export type HelloSource = () => Omit<OwnHello, 'peer' | 'addresses'>

/** `Body` is `Uint8Array` where bytes move (see coded-network.ts), and the message object itself in the simulator. */
export interface Network<Body> {
  /** Valid once started. */
  readonly self: { readonly member: MemberId; readonly peer: string; readonly addresses: readonly string[] }
  /** Opens listeners. Rejects with InvalidError on settings that cannot work, e.g. other than loopback without a secret. */
  start(listener: NetworkListener<Body>): Promise<void>
  /** Closes every link (the other ends learn it at once) and the listeners. Nothing is told to the listener afterwards. */
  stop(): Promise<void>
  /** Stays connected: dials, and after each loss dials again for ever, with jittered back-off. Replaces an earlier target of the same member. Own addresses are recognised and left. */
  connect(target: ConnectTarget): void
  /** Stops dialing that target. A link that is up stays. */
  forget(target: ConnectTarget): void
  /** Fire-and-forget. Dropped if no link is up. Never calls back synchronously; `body` is never touched afterwards by either side. */
  send(member: MemberId, lane: Lane, body: Body): void
  /** Closes the link (malformed or unwanted traffic). A target is dialed again after its back-off. */
  drop(member: MemberId, reason: string): void
  /** The own hello changed: tell it on every link, close those that it parts. */
  announce(): void
  /** Members whose links are up, in the order in which they came up. */
  readonly links: readonly MemberId[]
}

/** Limits of an adapter; each has a stated behaviour when reached. */
export interface NetworkLimits {
  /** A longer frame closes the connection; a longer body given to `send` is dropped with an event 'transport.message-too-long'. Larger allows larger values and holds more memory per link. Default 16 MiB. */
  readonly frameBytesMax: number
  /** Unsent bytes at which a lane is reset. Larger rides out longer stalls and holds more memory per link. Default 16 MiB: requests, replies and appends have a window of 2 MiB each, or one value of 4 MiB beyond it (lib/replication); a lone larger message still fits. */
  readonly laneUnsentBytesMax: number
  /** Bulk bytes handed to the connection and not yet written. Larger is faster in bulk and delays control and data. Default 256 KiB. */
  readonly bulkUnsentBytesMax: number
  /** Bulk bytes handed over at once. Default 64 KiB. */
  readonly bulkPieceBytes: number
  /** Bytes accepted of a peer that is not admitted yet. Default 4 KiB. */
  readonly helloBytesMax: number
  /** Time a peer has to be admitted. Default 5,000 ms. */
  readonly helloTimeoutMs: number
  /** An idle link sends a ping this often. Shorter notices cuts sooner and costs a packet. Default 1,000 ms. */
  readonly pingIntervalMs: number
  /** A link is down after this long without a byte. Default 3,000 ms. */
  readonly silenceMs: number
  /** First pause between dials of a target, doubling up to the maximum, each times a random 0.5..1. Defaults 100 and 2,000 ms. */
  readonly redialMinMs: number
  readonly redialMaxMs: number
  /** A dial, its handshakes included, is given up after this. Default 5,000 ms. */
  readonly dialTimeoutMs: number
  /** Wires from outside that are not admitted yet; more are closed at once. Default 256. */
  readonly pendingWiresMax: number
}

export const networkLimitsDefault: NetworkLimits = {
  frameBytesMax: 16 * 1024 * 1024,
  laneUnsentBytesMax: 16 * 1024 * 1024,
  bulkUnsentBytesMax: 256 * 1024,
  bulkPieceBytes: 64 * 1024,
  helloBytesMax: 4 * 1024,
  helloTimeoutMs: 5_000,
  pingIntervalMs: 1_000,
  silenceMs: 3_000,
  redialMinMs: 100,
  redialMaxMs: 2_000,
  dialTimeoutMs: 5_000,
  pendingWiresMax: 256,
}
