/** What an owner asks of the consensus leader about its partition's configuration; repeated until the epoch has passed. */
import type { MemberId, PartitionId } from '../base/ids.ts'
import { record, string, uint, variants, type Shape } from '../base/shape.ts'

export type PlacementRequest =
  /** The learner holds everything and the owner already waits for it. */
  | { readonly kind: 'promote'; readonly partition: PartitionId; readonly epoch: number; readonly learner: MemberId }
  /** The backup does not acknowledge. It stays required until the removal is committed. */
  | { readonly kind: 'remove'; readonly partition: PartitionId; readonly epoch: number; readonly backup: MemberId }

export const placementRequestShape: Shape<PlacementRequest> = variants<PlacementRequest>({
  promote: [1, record({ partition: uint, epoch: uint, learner: string })],
  remove: [2, record({ partition: uint, epoch: uint, backup: string })],
})
