/** What membership says between members, all on the control lane. `claims` is piggybacked news (SWIM, section 4.1). */
import type { MemberId } from '../base/ids.ts'
import { boolean, list, oneOf, record, string, uint, variants, type Shape } from '../base/shape.ts'
import { claimShape, type Claim } from './claim.ts'

export type { MemberRecord } from './member-record.ts'

/** What an indirect probe found. 'refused': the address refuses connections; 'unreachable': no answer yet (Lifeguard's nack). */
export type Verdict = 'alive' | 'refused' | 'unreachable'

export type MembershipMessage =
  | { readonly kind: 'ping'; readonly sequence: number; readonly claims: readonly Claim[] }
  | { readonly kind: 'ack'; readonly sequence: number; readonly claims: readonly Claim[] }
  /** Probe `target` for me. `isRefused`: its address refuses me. */
  | {
      readonly kind: 'pingRequest'
      readonly sequence: number
      readonly target: MemberId
      readonly isRefused: boolean
      readonly claims: readonly Claim[]
    }
  /** Answers a pingRequest; 'unreachable' may be followed by a better verdict. */
  | {
      readonly kind: 'answered'
      readonly sequence: number
      readonly verdict: Verdict
      readonly claims: readonly Claim[]
    }
  | { readonly kind: 'gossip'; readonly claims: readonly Claim[] }
  /** A part of all that the sender knows; the last part of a push asks for the pull. */
  | { readonly kind: 'sync'; readonly claims: readonly Claim[]; readonly wantsReply: boolean }

const claims = list(claimShape, 1_000)

export const membershipMessageShape: Shape<MembershipMessage> = variants<MembershipMessage>({
  ping: [1, record({ sequence: uint, claims })],
  ack: [2, record({ sequence: uint, claims })],
  pingRequest: [3, record({ sequence: uint, target: string, isRefused: boolean, claims })],
  answered: [4, record({ sequence: uint, verdict: oneOf('alive', 'refused', 'unreachable'), claims })],
  gossip: [5, record({ claims })],
  sync: [6, record({ claims, wantsReply: boolean })],
})
