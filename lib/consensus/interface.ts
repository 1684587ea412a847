/** What goes into consensus and what comes out. */
import type { ClusterId, MemberId } from '../base/ids.ts'
import type { Emit, Persist, Send, Tick } from '../base/machine.ts'
import type { ClusterCommand, ClusterState } from './cluster-state.ts'
import type { ConsensusMessage, ConsensusRecord, RaftConfig } from './messages.ts'
import type { ConsensusOptions } from './options.ts'

export interface ConsensusSetup {
  readonly member: MemberId
  readonly seed: number
  readonly options?: Partial<ConsensusOptions>
  /** What this very member made durable before, in order. */
  readonly records?: readonly ConsensusRecord[]
}

export type Role = 'leader' | 'follower' | 'candidate' | 'learner'

export type ConsensusInput =
  | Tick
  /** Begin a cluster as its only voter. Ignored by a member that has ever heard of one. */
  | { readonly kind: 'found'; readonly command: ClusterCommand }
  | { readonly kind: 'received'; readonly from: MemberId; readonly message: ConsensusMessage }
  | { readonly kind: 'persisted'; readonly token: number }
  /** Ids of proposals and of confirms are the caller's; both are answered once. */
  | { readonly kind: 'propose'; readonly id: number; readonly command?: ClusterCommand; readonly config?: RaftConfig }
  /** Does this member still lead, as of now? */
  | { readonly kind: 'confirm'; readonly id: number }
  | { readonly kind: 'linkDown'; readonly member: MemberId }
  | { readonly kind: 'linkUp'; readonly member: MemberId }
  /** Ask these how far their logs reach: before `recover`. */
  | { readonly kind: 'survey'; readonly members: readonly MemberId[] }
  /** Begin again as the only voter, with what this member has: see recovery.ts. Ignored while a leader is known. */
  | { readonly kind: 'recover'; readonly cluster: ClusterId; readonly kept: readonly MemberId[] }
  /** Hand leadership to another voter; nothing happens if there is none. */
  | { readonly kind: 'resign' }

export type ConsensusEffect =
  | Send<ConsensusMessage>
  | Persist<ConsensusRecord>
  | Applied
  | {
      readonly kind: 'role'
      readonly role: Role
      readonly term: number
      readonly leader: MemberId | undefined
      /** New leaders only, see `Ballot`; undefined: nobody who voted ever acknowledged a leader. */
      readonly oldLeaseAgeMs: number | undefined
    }
  /** dropped: it certainly never takes effect. unknown: it may. */
  | {
      readonly kind: 'proposed'
      readonly id: number
      readonly result: 'committed' | 'dropped' | 'unknown'
      readonly leader: MemberId | undefined
    }
  | { readonly kind: 'confirmed'; readonly id: number; readonly ok: boolean }
  | Emit

/** Everything up to `index` is committed and folded into `state`; `commands` are those since the last time, none after a snapshot. */
export interface Applied {
  readonly kind: 'applied'
  readonly state: ClusterState
  readonly index: number
  readonly commands: readonly ClusterCommand[]
}
