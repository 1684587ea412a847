import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimShape, isFinal, merge, overrides, type Claim } from '../../../lib/membership/claim.ts'
import { membershipMessageShape, type MembershipMessage } from '../../../lib/membership/messages.ts'
import { recordOf } from './flock.ts'

const claims: fc.Arbitrary<Claim> = fc.record({
  member: fc.constant('goose-1~a'),
  status: fc.constantFrom('alive', 'suspect', 'silent', 'gone', 'left'),
  incarnation: fc.nat(4),
})

/** What of a claim takes part in the order: final ones no longer have an incarnation that matters. */
function meaning({ status, incarnation }: Claim): unknown {
  return isFinal(status) ? status : [status, incarnation]
}

describe('merging claims about one member', () => {
  it('is commutative', () => {
    fc.assert(
      fc.property(claims, claims, (a, b) => {
        expect(meaning(merge(a, b))).toEqual(meaning(merge(b, a)))
      }),
    )
  })

  it('is associative', () => {
    fc.assert(
      fc.property(claims, claims, claims, (a, b, c) => {
        expect(meaning(merge(merge(a, b), c))).toEqual(meaning(merge(a, merge(b, c))))
      }),
    )
  })

  it('is idempotent', () => {
    fc.assert(
      fc.property(claims, a => {
        expect(merge(a, a)).toEqual(a)
      }),
    )
  })

  it('never overrides both ways', () => {
    fc.assert(
      fc.property(claims, claims, (a, b) => {
        expect(overrides(a, b) && overrides(b, a)).toBe(false)
      }),
    )
  })

  it('never brings back who is gone or left', () => {
    fc.assert(
      fc.property(claims, claims, (a, b) => {
        expect(isFinal(merge(a, b).status)).toBe(isFinal(a.status) || isFinal(b.status))
      }),
    )
  })
})

describe('the wire', () => {
  const claim: Claim = { member: 'goose-1~a', status: 'suspect', incarnation: 3, by: 'goose-2~a', record: recordOf(1) }
  const final: Claim = { member: 'goose-1~a', status: 'gone', incarnation: 3 }
  const messages: readonly MembershipMessage[] = [
    { kind: 'ping', sequence: 1, claims: [claim] },
    { kind: 'ack', sequence: 1, claims: [] },
    { kind: 'pingRequest', sequence: 2, target: 'goose-3~a', isRefused: true, claims: [final] },
    { kind: 'answered', sequence: 2, verdict: 'refused', claims: [] },
    { kind: 'gossip', claims: [claim, final] },
    { kind: 'sync', claims: [claim], wantsReply: true },
  ]

  it.each(messages)('carries $kind unchanged', message => {
    expect(membershipMessageShape.unpack(membershipMessageShape.pack(message))).toEqual(message)
  })

  it('refuses a status that it does not know', () => {
    expect(() => claimShape.unpack(['a', 9, 0, null, null])).toThrow('status')
  })
})
