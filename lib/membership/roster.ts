/**
 * Who is known: members present (alive, suspect, silent) and tombstones of those that are not. Keeps the probe order of
 * SWIM section 4.3: a shuffled round, newcomers put in at random places, shuffled again at its end, so that the time to
 * the first probe of each member is bounded.
 */
import { assert } from '../base/assert.ts'
import type { MemberId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { Claim, Status } from './claim.ts'
import type { MemberRecord } from './member-record.ts'
import type { MembershipOptions } from './options.ts'
import type { Suspicion } from './suspicion.ts'

export interface Member {
  readonly record: MemberRecord
  /** Never final: such members are tombstones. */
  status: Exclude<Status, 'gone' | 'left'>
  incarnation: number
  /** Of this member's own link to it; 'unknown' until the first report. */
  link: 'unknown' | 'up' | 'down' | 'refused'
  /** When anything was last received from it. */
  heardMs: number
  /** When its address last refused this member, and when a neighbour last said the same. */
  refusedMs: number
  witnessedMs: number
  /** When it was last told that it is thought suspect or silent. */
  calledMs: number
  /** Set while suspect. */
  suspicion: Suspicion | undefined
  /** While silent: when its record is dropped. */
  dropMs: number
}

export interface Tombstone {
  /** Silent if it was dropped, otherwise final. */
  readonly claim: Claim
  readonly untilMs: number
}

export class Roster {
  readonly #options: MembershipOptions
  readonly #members = new Map<MemberId, Member>()
  /** Oldest first; at most `tombstonesMax`. */
  readonly #tombstones = new Map<MemberId, Tombstone>()
  /** Holds each member exactly once. */
  #round: MemberId[] = []
  /** 0 <= next <= round.length. */
  #next = 0

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#members.size
  }

  get isFull(): boolean {
    return this.#members.size >= this.#options.membersMax - 1
  }

  get(member: MemberId): Member | undefined {
    return this.#members.get(member)
  }

  members(): Iterable<Member> {
    return this.#members.values()
  }

  tombstone(member: MemberId): Tombstone | undefined {
    return this.#tombstones.get(member)
  }

  tombstones(): Iterable<Tombstone> {
    return this.#tombstones.values()
  }

  /** The claim that this member would make now. */
  claimOf(member: MemberId): Claim | undefined {
    const known = this.#members.get(member)
    if (known === undefined) return this.#tombstones.get(member)?.claim
    const { record, status, incarnation } = known
    return { member, status, incarnation, record }
  }

  add(record: MemberRecord, status: Member['status'], incarnation: number, random: Prng): Member {
    assert(!this.isFull && !this.#members.has(record.member), 'a member is added once, below membersMax')
    const member: Member = {
      record,
      status,
      incarnation,
      link: 'unknown',
      heardMs: -Infinity,
      refusedMs: -Infinity,
      witnessedMs: -Infinity,
      calledMs: -Infinity,
      suspicion: undefined,
      dropMs: Infinity,
    }
    this.#tombstones.delete(record.member)
    this.#members.set(record.member, member)
    this.#round.splice(random.int(this.#next, this.#round.length), 0, record.member)
    return member
  }

  /** Remembers that a member is not to be believed in any more; the record goes. */
  bury(claim: Claim, nowMs: number): void {
    if (this.#members.delete(claim.member)) this.#forgetPlace(claim.member)
    this.#tombstones.delete(claim.member)
    this.#tombstones.set(claim.member, { claim, untilMs: nowMs + this.#options.tombstoneKeepMs })
    if (this.#tombstones.size > this.#options.tombstonesMax) this.#dropOldestTombstone()
  }

  purge(nowMs: number): void {
    for (const stone of this.#tombstones.values()) {
      if (stone.untilMs > nowMs) return
      this.#dropOldestTombstone()
    }
  }

  get nextPurgeMs(): number {
    for (const stone of this.#tombstones.values()) return stone.untilMs
    return Infinity
  }

  /** The next to probe: alive or suspect. Undefined if there is none. */
  nextProbed(random: Prng): Member | undefined {
    for (let left = 2 * this.#members.size; left > 0; left--) {
      if (this.#next >= this.#round.length) this.#startRound(random)
      const member = this.#members.get(this.#round[this.#next++] ?? '')
      if (member !== undefined && member.status !== 'silent') return member
    }
    return undefined
  }

  /** Up to `countMax` distinct members that fit, drawn at random. O(1) unless few fit. */
  sample(countMax: number, random: Prng, fits: (member: Member) => boolean): Member[] {
    const ids = this.#round
    const chosen = new Set<Member>()
    for (let tries = 4 * countMax; tries > 0 && chosen.size < countMax && ids.length > 0; tries--) {
      const member = this.#members.get(ids[random.int(0, ids.length - 1)] ?? '')
      if (member !== undefined && fits(member)) chosen.add(member)
    }
    if (chosen.size === countMax) return [...chosen]
    return random.shuffle([...this.#members.values()].filter(fits)).slice(0, countMax)
  }

  #startRound(random: Prng): void {
    this.#round = random.shuffle([...this.#members.keys()])
    this.#next = 0
  }

  #forgetPlace(member: MemberId): void {
    const at = this.#round.indexOf(member)
    if (at < 0) return
    this.#round.splice(at, 1)
    if (at < this.#next) this.#next--
  }

  #dropOldestTombstone(): void {
    for (const oldest of this.#tombstones.keys()) {
      this.#tombstones.delete(oldest)
      return
    }
  }
}
