/** One test per claim of Lifeguard (Dadgar, Phillips, Currey 2018); the section is in the name. */
import { describe, expect, it } from 'vitest'
import { LocalHealth } from '../../lib/membership/local-health.ts'
import { membershipDefaults } from '../../lib/membership/options.ts'
import { Suspicion, suspicionMs } from '../../lib/membership/suspicion.ts'
import { Flock, recordOf } from '../unit/membership/flock.ts'

describe('IV-A local health aware probe', () => {
  it('interval and timeout grow with the score, up to S + 1 times', () => {
    const health = new LocalHealth(8)
    const factors = Array.from({ length: 10 }, () => (health.worsen(), health.factor))
    expect(factors).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 9, 9])
  })

  it('a member that hears from nobody doubts itself, and recovers when it is heard', () => {
    const flock = new Flock({ seed: 1 })
    flock.startMesh(4)
    flock.run(3_000)
    flock.cut((a, b) => a === 0 || b === 0)
    flock.run(2_500)
    expect(flock.machine(0).healthScore).toBeGreaterThan(1)
    expect(flock.machine(1).healthScore).toBe(0)
    flock.heal(true)
    flock.run(30_000)
    expect(flock.machine(0).healthScore).toBe(0)
  })

  it('having to refute a suspicion of itself costs it one point', () => {
    const flock = new Flock({ seed: 1 })
    flock.startMesh(2)
    const claim = { member: recordOf(0).member, status: 'suspect', incarnation: 0, record: recordOf(0) } as const
    flock.give(0, { kind: 'received', from: recordOf(1).member, message: { kind: 'gossip', claims: [claim] } })
    expect(flock.machine(0).healthScore).toBe(1)
  })
})

describe('IV-B local health aware suspicion', () => {
  it('is max - (max - min) log(C + 1) / log(K + 1)', () => {
    const rounded = [0, 1, 2, 3].map(confirmed => Math.round(suspicionMs(2_400, 7_200, 3, confirmed)))
    expect(rounded).toEqual([7_200, 4_800, 3_396, 2_400])
  })

  it('the same accuser counts once, and no more than K count', () => {
    const suspicion = new Suspicion(0, 'a', 100, membershipDefaults)
    expect(['a', 'b', 'b', 'c', 'd', 'e'].map(by => suspicion.confirm(by))).toEqual([
      false,
      true,
      false,
      true,
      true,
      false,
    ])
  })

  it('with nobody else to confirm it the least applies at once', () => {
    const least = membershipDefaults.suspicionMultiplier * membershipDefaults.probeIntervalMs
    expect(new Suspicion(0, 'a', 2, membershipDefaults).dueMs).toBe(least)
  })

  it('one slow accuser alone waits longest', () => {
    const { suspicionMultiplier, suspicionMaxMultiplier, probeIntervalMs } = membershipDefaults
    const most = suspicionMultiplier * suspicionMaxMultiplier * probeIntervalMs
    expect(new Suspicion(0, 'a', 5, membershipDefaults).dueMs).toBe(most)
  })
})

describe('IV-C buddy system', () => {
  it.each(['ping', 'ack'] as const)('a suspect is told so first of all on a %s', kind => {
    const flock = new Flock({ seed: 1 })
    flock.startMesh(3)
    const suspect = { member: recordOf(1).member, status: 'suspect', incarnation: 0, record: recordOf(1) } as const
    const gossip = { kind: 'gossip', claims: [suspect] } as const
    flock
      .machine(0)
      .step({ monotonicMs: 1, wallMs: 1 }, { kind: 'received', from: recordOf(2).member, message: gossip })
    const ping = { kind: 'ping', sequence: 2, claims: [] } as const
    const effects = flock
      .machine(0)
      .step({ monotonicMs: 2, wallMs: 2 }, { kind: 'received', from: recordOf(1).member, message: ping })
    const messages = effects.flatMap(effect => (effect.kind === 'send' ? [effect.message] : []))
    const first = messages.find(message => message.kind === kind)?.claims[0]
    expect([first?.member, first?.status]).toEqual([recordOf(1).member, 'suspect'])
  })
})
