/** What one member is started with, and what it tells those who embed it. */
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import type { ClusterState, Settings } from '../consensus/cluster-state.ts'
import type { PlacementOptions } from '../placement/placement.ts'
import type { Safety } from '../placement/safety.ts'
import type { StateMachine } from '../replication/state-machine.ts'
import type { Budget } from './budget.ts'
import type { Hint } from './hint.ts'

export interface PeerOptions {
  readonly member: MemberId
  /** e.g. 'goose-1' */
  readonly name: string
  readonly zone?: string
  readonly holdsData: boolean
  readonly memoryBytes: number
  /** Addresses to find others at; empty: found alone at once. */
  readonly seeds: readonly string[]
  /** Found only with the promise of this many processes; undefined with seeds: never found, only join. */
  readonly expect?: number
  /** Used by the founder alone. */
  readonly settings: Settings
  readonly placement?: PlacementOptions
  readonly createState: (partition: PartitionId) => StateMachine
  readonly budget: Pick<Budget, 'isFull' | 'use'>
}

/** What an embedding layer may want to hear of. All are called at most once per turn and never from inside a call. */
export interface PeerListener {
  /** The agreed state changed. */
  applied?(state: ClusterState): void
  safety?(safety: Safety): void
  /** The session changed or ended: undefined means that everything it held may be gone, so work under its leases must stop. */
  session?(session: SessionId | undefined, untilMonotonicMs: number): void
  /** This member is no longer one: start over under a fresh id, unless it was leaving. */
  expelled?(): void
  /** This member owns and serves the partition from now on. */
  opened?(partition: PartitionId, epoch: number): void
  /** Another member tells what its consumers or shards are up to. */
  hinted?(from: MemberId, hint: Hint): void
  /** End of a turn in which something happened. */
  turned?(): void
}

export interface CallOptions {
  readonly partition: PartitionId
  /** On `env.now().monotonicMs`. */
  readonly deadlineMs: number
}
