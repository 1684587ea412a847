/** What a member says of itself when it arrives: how to reach it, what it can hold, which versions it speaks. */
import type { MemberId } from '../base/ids.ts'
import { boolean, list, optional, record, string, uint, type Shape } from '../base/shape.ts'

/** Constant for the life of a member, so that it never takes part in deciding which of two claims is newer. */
export interface MemberRecord {
  readonly member: MemberId
  /** Transport identity (libp2p PeerId). */
  readonly peer: string
  readonly name: string
  /** Where it listens, e.g. ['tcp/10.0.0.7:7400']. */
  readonly addresses: readonly string[]
  readonly zone?: string | undefined
  /** False for a witness. */
  readonly holdsData: boolean
  readonly memoryBytes: number
  readonly versionMin: number
  readonly versionMax: number
}

export const memberRecordShape: Shape<MemberRecord> = record<MemberRecord>({
  member: string,
  peer: string,
  name: string,
  addresses: list(string, 64),
  zone: optional(string),
  holdsData: boolean,
  memoryBytes: uint,
  versionMin: uint,
  versionMax: uint,
})
