/**
 * How beliefs travel: piggybacked on probes, gossiped while there are news, pushed and pulled whole now and then, and
 * told to the one concerned (SWIM section 4, Lifeguard section IV-C). Sends; decides nothing.
 */
import type { MemberId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import { isFinal, type Claim } from './claim.ts'
import { transmitMaxOf } from './gossip-queue.ts'
import type { Knowledge } from './knowledge.ts'
import type { MembershipMessage } from './messages.ts'
import type { MembershipOptions } from './options.ts'
import type { Member } from './roster.ts'

export class Dissemination {
  readonly #knowledge: Knowledge
  readonly #random: Prng
  readonly #options: MembershipOptions
  readonly #send: (to: MemberId, message: MembershipMessage) => void

  constructor(
    knowledge: Knowledge,
    random: Prng,
    options: MembershipOptions,
    send: (to: MemberId, message: MembershipMessage) => void,
  ) {
    this.#knowledge = knowledge
    this.#random = random
    this.#options = options
    this.#send = send
  }

  /** What to piggyback on a message to `to`: first what is thought of it, if it should refute that, then news. */
  claimsFor(to: MemberId): readonly Claim[] {
    const { roster, news } = this.#knowledge
    const held = roster.claimOf(to)
    const countMax = this.#options.claimsPerMessageMax
    if (held === undefined || held.status === 'alive') return news.take(countMax, this.#transmitMax)
    return [held, ...news.take(countMax - 1, this.#transmitMax)]
  }

  /** One round. Members whose connection is closed are told by others. */
  gossip(): void {
    const fits = (member: Member): boolean => member.status !== 'silent' && !isCut(member)
    for (const { record } of this.#knowledge.roster.sample(this.#options.gossipFanout, this.#random, fits)) {
      const claims = this.claimsFor(record.member)
      if (claims.length > 0) this.#send(record.member, { kind: 'gossip', claims })
    }
  }

  /** Tells all that is known of the present, in parts. Costs the size of the roster. */
  sync(to: MemberId, wantsReply: boolean): void {
    const { roster, selfClaim } = this.#knowledge
    let part: Claim[] = [selfClaim]
    const held = roster.claimOf(to)
    if (held !== undefined && held.status !== 'alive') part.push(held)
    for (const { record } of roster.members()) {
      if (record.member === to) continue
      if (part.length >= this.#options.syncClaimsMax) {
        this.#send(to, { kind: 'sync', claims: part, wantsReply: false })
        part = []
      }
      part.push(roster.claimOf(record.member) as Claim)
    }
    this.#send(to, { kind: 'sync', claims: part, wantsReply })
  }

  /** A push-pull with one member at random. */
  syncAny(): void {
    const fits = (member: Member): boolean => member.status === 'alive' && !isCut(member)
    for (const { record } of this.#knowledge.roster.sample(1, this.#random, fits)) this.sync(record.member, true)
  }

  /** For up to 32 members the option; as much again for each doubling beyond, so that the whole stays bearable. */
  get syncIntervalMs(): number {
    return this.#options.syncIntervalMs * Math.max(1, Math.ceil(Math.log2(this.#memberCount)) - 4)
  }

  /** Calls some of those thought silent or dropped: after a cut both sides hold each other for that. */
  callTheLost(): void {
    const { roster } = this.#knowledge
    const lost: MemberId[] = []
    for (const member of roster.members()) if (member.status === 'silent') lost.push(member.record.member)
    for (const { claim } of roster.tombstones()) if (!isFinal(claim.status)) lost.push(claim.member)
    for (const member of this.#random.shuffle(lost).slice(0, reunionFanout)) {
      this.#send(member, { kind: 'ping', sequence: 0, claims: this.claimsFor(member) })
    }
  }

  /** Tells as many as may be at once, since this process ends soon; they gossip it on. */
  farewell(): void {
    const claims = [this.#knowledge.selfClaim]
    for (const { record } of this.#knowledge.roster.sample(farewellFanout, this.#random, member => !isCut(member))) {
      this.#send(record.member, { kind: 'gossip', claims })
    }
  }

  get #memberCount(): number {
    return this.#knowledge.roster.length + 1
  }

  get #transmitMax(): number {
    return transmitMaxOf(this.#options.retransmitMultiplier, this.#memberCount)
  }
}

const reunionFanout = 3
const farewellFanout = 64

/** Its connection is known to be closed, so that nothing sent would arrive. */
export function isCut(member: Member): boolean {
  return member.link === 'down' || member.link === 'refused'
}
