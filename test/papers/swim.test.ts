/** One test per claim of SWIM (Das, Gupta, Motivala 2002); the section is in the name. */
import { describe, expect, it } from 'vitest'
import type { Claim, Status } from '../../lib/membership/claim.ts'
import { Membership, type MembershipEffect, type MembershipInput } from '../../lib/membership/membership.ts'
import type { MembershipMessage } from '../../lib/membership/messages.ts'
import { membershipDefaults } from '../../lib/membership/options.ts'
import { Flock, recordOf } from '../unit/membership/flock.ts'

const { probeIntervalMs, probeTimeoutMs } = membershipDefaults
const id = (index: number): string => recordOf(index).member

/** goose-0 alone, with links to others that are played by the test. */
class Solo {
  nowMs = 0
  readonly machine: Membership = new Membership({ self: recordOf(0), seed: 1 })
  readonly effects: MembershipEffect[] = []

  constructor(count: number) {
    this.give({ kind: 'started', self: recordOf(0) })
    for (let index = 1; index <= count; index++) this.give({ kind: 'linkUp', record: recordOf(index) })
    this.effects.length = 0
  }

  give(input: MembershipInput): void {
    this.effects.push(...this.machine.step({ monotonicMs: this.nowMs, wallMs: 0 }, input))
  }

  hear(from: number, message: MembershipMessage): void {
    this.give({ kind: 'received', from: id(from), message })
  }

  claim(status: Status, incarnation: number, of = 1, by = 2): void {
    const claim: Claim = { member: id(of), status, incarnation, by: id(by), record: recordOf(of) }
    this.hear(by, { kind: 'gossip', claims: [claim] })
  }

  /** Ticks until some message to `to` of the kind is sent, which is returned. */
  await<Kind extends MembershipMessage['kind']>(
    kind: Kind,
  ): { to: string; message: Extract<MembershipMessage, { kind: Kind }> } {
    for (let steps = 0; steps < 1_000; steps++) {
      for (const effect of this.effects.splice(0)) {
        if (effect.kind !== 'send' || effect.message.kind !== kind) continue
        return { to: effect.to, message: effect.message as Extract<MembershipMessage, { kind: Kind }> }
      }
      this.nowMs = Math.max(this.nowMs, this.machine.deadline() ?? Infinity)
      this.give({ kind: 'tick' })
    }
    throw new Error(`no ${kind}`)
  }

  runTo(untilMs: number): void {
    while ((this.machine.deadline() ?? Infinity) <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.machine.deadline() as number)
      this.give({ kind: 'tick' })
    }
    this.nowMs = untilMs
  }
}

describe('3.1 the failure detector', () => {
  it('pings one member in each protocol period', () => {
    const solo = new Solo(8)
    for (let index = 1; index <= 8; index++) solo.give({ kind: 'heard', member: id(index) })
    solo.runTo(probeIntervalMs)
    const pings = solo.effects.filter(effect => effect.kind === 'send' && effect.message.kind === 'ping')
    expect(pings.length).toBe(1)
  })

  it('asks k others to ping a target that did not answer within the timeout', () => {
    const solo = new Solo(8)
    const target = solo.await('ping').to
    solo.runTo(solo.nowMs + probeTimeoutMs + 1)
    const asked = solo.effects.filter(effect => effect.kind === 'send' && effect.message.kind === 'pingRequest')
    const targets = asked.flatMap(effect => (effect.kind === 'send' ? [effect.to] : []))
    expect(new Set(targets).size).toBe(membershipDefaults.indirectProbeCount)
    expect(targets).not.toContain(target)
  })

  it('a member asked pings the target and forwards its ack', () => {
    const solo = new Solo(3)
    solo.hear(2, { kind: 'pingRequest', sequence: 7, target: id(1), isRefused: false, claims: [] })
    const ping = solo.await('ping')
    expect(ping.to).toBe(id(1))
    solo.hear(1, { kind: 'ack', sequence: ping.message.sequence, claims: [] })
    const answered = solo.await('answered')
    expect([answered.to, answered.message.sequence, answered.message.verdict]).toEqual([id(2), 7, 'alive'])
  })

  it('an indirect ack clears the target', () => {
    const solo = new Solo(3)
    const target = solo.await('ping').to
    const request = solo.await('pingRequest')
    const { sequence } = request.message
    solo.give({
      kind: 'received',
      from: request.to,
      message: { kind: 'answered', sequence, verdict: 'alive', claims: [] },
    })
    solo.runTo(solo.nowMs + probeTimeoutMs + 1)
    expect(solo.machine.status(target)).toBe('alive')
  })

  it('a target is suspected when neither direct nor indirect acks came within the period', () => {
    const solo = new Solo(3)
    const target = solo.await('ping').to
    const sentMs = solo.nowMs
    solo.runTo(sentMs + probeIntervalMs - 1)
    expect(solo.machine.status(target)).toBe('alive')
    solo.runTo(sentMs + probeIntervalMs + 1)
    expect(solo.machine.status(target)).toBe('suspect')
  })
})

describe('4.1 piggybacked dissemination', () => {
  it('news travel on pings and acks', () => {
    const solo = new Solo(3)
    solo.claim('suspect', 0)
    solo.effects.length = 0
    solo.hear(3, { kind: 'ping', sequence: 2, claims: [] })
    const { message } = solo.await('ack')
    expect(message.claims.map(({ member, status }) => [member, status])).toContainEqual([id(1), 'suspect'])
  })

  it('reach everyone in a time that grows with the logarithm of the member count', () => {
    const times = [8, 32, 128].map(count => {
      const flock = new Flock({ seed: 2 })
      for (let index = 0; index < count; index++) flock.start(index, ...(index > 0 ? [0] : []))
      flock.run(5_000)
      flock.give(0, { kind: 'linkUp', record: recordOf(count) })
      return flock.runUntil(() => flock.others(0).every(at => flock.status(at, count) !== undefined), 5_000)
    })
    expect(Math.max(...times)).toBeLessThan(1_500)
  })
})

/** Section 4.2's table: what a claim does to a belief. Silent is ours: between Suspect and Confirm, refutable. */
const overriding: readonly (readonly [held: Status, i: number, offered: Status, j: number, then: Status])[] = [
  ['alive', 1, 'alive', 1, 'alive'],
  ['alive', 1, 'suspect', 1, 'suspect'],
  ['alive', 1, 'suspect', 0, 'alive'],
  ['alive', 1, 'suspect', 2, 'suspect'],
  ['suspect', 1, 'alive', 1, 'suspect'],
  ['suspect', 1, 'alive', 0, 'suspect'],
  ['suspect', 1, 'alive', 2, 'alive'],
  ['suspect', 1, 'suspect', 2, 'suspect'],
  ['alive', 1, 'gone', 0, 'gone'],
  ['suspect', 1, 'gone', 0, 'gone'],
  ['gone', 1, 'alive', 9, 'gone'],
  ['gone', 1, 'suspect', 9, 'gone'],
  ['left', 1, 'alive', 9, 'left'],
  ['suspect', 1, 'silent', 1, 'silent'],
  ['silent', 1, 'alive', 1, 'silent'],
  ['silent', 1, 'suspect', 1, 'silent'],
  ['silent', 1, 'alive', 2, 'alive'],
  ['silent', 1, 'gone', 0, 'gone'],
]

describe('4.2 suspicion', () => {
  it.each(overriding)('holding %s %i, hearing %s %i gives %s', (held, i, offered, j, then) => {
    const solo = new Solo(3)
    solo.nowMs = probeIntervalMs * 2
    solo.claim('alive', i)
    solo.claim(held, i)
    solo.claim(offered, j)
    expect(solo.machine.status(id(1))).toBe(then)
  })

  it('a suspected member that hears of it raises its own incarnation and says alive', () => {
    const solo = new Solo(3)
    solo.claim('suspect', 4, 0)
    expect(solo.machine.incarnation).toBe(5)
    solo.hear(1, { kind: 'ping', sequence: 2, claims: [] })
    const { claims } = solo.await('ack').message
    expect(claims[0]).toMatchObject({ member: id(0), status: 'alive', incarnation: 5 })
  })

  it('an old suspicion does not raise it', () => {
    const solo = new Solo(3)
    solo.claim('suspect', 4, 0)
    solo.claim('suspect', 3, 0)
    expect(solo.machine.incarnation).toBe(5)
  })

  it('nobody but the member itself raises it', () => {
    const solo = new Solo(3)
    solo.claim('suspect', 0)
    solo.runTo(probeIntervalMs * 30)
    const told = solo.effects.flatMap(effect => (effect.kind === 'send' ? effect.message.claims : []))
    expect(Math.max(...told.filter(({ member }) => member === id(1)).map(({ incarnation }) => incarnation))).toBe(0)
  })
})

describe('4.3 round-robin probe targets', () => {
  it('each member is probed within 2n - 1 periods', () => {
    const solo = new Solo(6)
    const lastMs = new Map<string, number>()
    let worstMs = 0
    while (solo.nowMs < 200 * probeIntervalMs) {
      const { to, message } = solo.await('ping')
      if (message.sequence === 0) continue
      worstMs = Math.max(worstMs, solo.nowMs - (lastMs.get(to) ?? solo.nowMs))
      lastMs.set(to, solo.nowMs)
      const { sequence } = message
      solo.give({ kind: 'received', from: to, message: { kind: 'ack', sequence, claims: [] } })
    }
    expect(lastMs.size).toBe(6)
    expect(worstMs).toBeLessThanOrEqual((2 * 6 - 1) * probeIntervalMs + 1)
  })
})
