/**
 * Tells a parent process that asks over the IPC channel what this peer holds alone or first: groups that wait for their
 * other half in the partitions it owns, and messages in hand. `skein demo` kills a peer while that is much.
 */
import type { Grid } from '../../lib/grid/handles.ts'
import type { PeerFlows } from './flows.ts'

export interface Holdings {
  readonly openGroups: number
  readonly inHand: number
  readonly safety: number
}

export function answerParent(_grid: Grid, _flows: PeerFlows | undefined): void {}
