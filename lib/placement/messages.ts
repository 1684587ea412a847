/** What members and the consensus leader say about leases, joining and leaving. All on the control lane. */
import type { MemberId } from '../base/ids.ts'
import { boolean, record, string, uint, variants, type Shape } from '../base/shape.ts'
import {
  clusterCommandShape,
  memberEntryShape,
  type ClusterCommand,
  type MemberEntry,
} from '../consensus/cluster-state.ts'
import { placementRequestShape, type PlacementRequest } from './requests.ts'
import type { MemoryUse } from './room.ts'

export type PlacementMessage =
  /** Member -> leader, every `renewIntervalMs`: grant me node and session lease, counted from when I sent this. */
  | ({ readonly kind: 'renew'; readonly sequence: number } & MemoryUse)
  /** Leader -> member. Good only once the member has applied consensus up to `stateIndex`. */
  | { readonly kind: 'granted'; readonly sequence: number; readonly stateIndex: number; readonly session: number }
  /** Leader -> member: no such member any more; start over under a fresh id. */
  | { readonly kind: 'expelled'; readonly sequence: number }
  /** Newcomer -> any member, passed on to the leader once. */
  | { readonly kind: 'join'; readonly entry: MemberEntry; readonly isForwarded: boolean }
  /** Owner -> leader. */
  | { readonly kind: 'asking'; readonly request: PlacementRequest }
  /** Any member -> leader: agree on a definition or on settings; repeated by its sender until the applied state shows it. */
  | { readonly kind: 'define'; readonly command: ClusterCommand }
  /** Member -> leader: take everything from me, I go. */
  | { readonly kind: 'leaving'; readonly member: MemberId }

export const placementMessageShape: Shape<PlacementMessage> = variants<PlacementMessage>({
  renew: [1, record({ sequence: uint, usedBytes: uint, roomBytes: uint })],
  granted: [2, record({ sequence: uint, stateIndex: uint, session: uint })],
  expelled: [3, record({ sequence: uint })],
  join: [4, record({ entry: memberEntryShape, isForwarded: boolean })],
  asking: [5, record({ request: placementRequestShape })],
  leaving: [6, record({ member: string })],
  define: [7, record({ command: clusterCommandShape })],
})
