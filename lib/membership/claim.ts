/**
 * What one member says about another, and which of two claims holds (SWIM, Das et al. 2002, section 4.2). Claims about
 * one member are totally ordered, so merging is the larger of two: in any order, any number of times, the outcome is
 * the same on all sides.
 *
 * Order: first finality (left over gone over the rest), then incarnation, then silent over suspect over alive. Only a
 * member itself raises its incarnation, so only it refutes a suspicion. Gone and left are final because a member id is
 * one process start and never reused.
 *
 * Decision: SWIM's Confirm is final and overrides every incarnation; here a suspicion that times out is `silent`, which
 * the member may still refute, because a frozen process that wakes should cost a log tail and not a whole rejoin.
 */
import type { MemberId } from '../base/ids.ts'
import { oneOf, optional, record, string, uint, type Shape } from '../base/shape.ts'
import { memberRecordShape, type MemberRecord } from './member-record.ts'

export type Status = 'alive' | 'suspect' | 'silent' | 'gone' | 'left'

export interface Claim {
  readonly member: MemberId
  readonly status: Status
  /** Set by the member alone; grows with each refutation. */
  readonly incarnation: number
  /** Who suspects; counted for independent confirmations (Lifeguard, section IV-B). Not part of the order. */
  readonly by?: MemberId | undefined
  /** Left out of final claims: nobody needs to reach it any more. */
  readonly record?: MemberRecord | undefined
}

export const claimShape: Shape<Claim> = record<Claim>({
  member: string,
  status: oneOf('alive', 'suspect', 'silent', 'gone', 'left'),
  incarnation: uint,
  by: optional(string),
  record: optional(memberRecordShape),
})

/** Claims above it are ignored: a member could not refute them. */
export const incarnationMax: number = 2 ** 52

const rank: Readonly<Record<Status, number>> = { alive: 0, suspect: 1, silent: 2, gone: 3, left: 4 }

/** Gone or left: no incarnation brings the member back. */
export function isFinal(status: Status): status is 'gone' | 'left' {
  return rank[status] >= rank.gone
}

/** Whether `claim` replaces `known`. A strict total order on (status, incarnation). */
export function overrides(
  claim: Pick<Claim, 'status' | 'incarnation'>,
  known: Pick<Claim, 'status' | 'incarnation'>,
): boolean {
  if (isFinal(claim.status) || isFinal(known.status)) return rank[claim.status] > rank[known.status]
  if (claim.incarnation !== known.incarnation) return claim.incarnation > known.incarnation
  return rank[claim.status] > rank[known.status]
}

/** The claim that holds of two about one member. */
export function merge(a: Claim, b: Claim): Claim {
  return overrides(b, a) ? b : a
}
