/** All that members say to one another, by layer. Codes are stable for ever; the hello agrees on a version of the whole. */
import { record, variants, type Shape } from '../base/shape.ts'
import { consensusMessageShape, type ConsensusMessage } from '../consensus/messages.ts'
import { foundingMessageShape, type FoundingMessage } from '../membership/founding.ts'
import { membershipMessageShape, type MembershipMessage } from '../membership/messages.ts'
import { placementMessageShape, type PlacementMessage } from '../placement/messages.ts'
import type { Operation, Query } from '../replication/command.ts'
import { replicationMessageShape, type ReplicationMessage } from '../replication/messages.ts'
import { operationShape, queryShape } from '../structures/operations.ts'
import { hintShape, type Hint } from './hint.ts'

export type WireMessage =
  | { readonly kind: 'membership'; readonly message: MembershipMessage }
  | { readonly kind: 'founding'; readonly message: FoundingMessage }
  | { readonly kind: 'consensus'; readonly message: ConsensusMessage }
  | { readonly kind: 'placement'; readonly message: PlacementMessage }
  | { readonly kind: 'replication'; readonly message: ReplicationMessage }
  | { readonly kind: 'hint'; readonly hint: Hint }

/** Replication treats operations as opaque: the structures' own union, seen from below. */
export const operations: Shape<Operation> = operationShape as unknown as Shape<Operation>
const queries: Shape<Query> = queryShape as unknown as Shape<Query>

/** The versions of the messages above that this build understands. */
export const wireVersions = { min: 1, max: 1 } as const

export const wireMessageShape: Shape<WireMessage> = variants<WireMessage>({
  membership: [1, record({ message: membershipMessageShape })],
  founding: [2, record({ message: foundingMessageShape })],
  consensus: [3, record({ message: consensusMessageShape })],
  placement: [4, record({ message: placementMessageShape })],
  replication: [5, record({ message: replicationMessageShape(operations, queries) })],
  hint: [6, record({ hint: hintShape })],
})
