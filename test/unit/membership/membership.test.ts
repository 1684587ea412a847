import { describe, expect, it } from 'vitest'
import { Flock, recordOf } from './flock.ts'

const seeds = Array.from({ length: 10 }, (_, at) => at + 1)

function settled(count: number, seed: number, lossRatio = 0): Flock {
  const flock = new Flock({ seed, lossRatio })
  flock.startMesh(count)
  flock.run(5_000)
  expect(flock.isWhole).toBe(true)
  return flock
}

describe('detection', () => {
  it.each([3, 4, 5])('everyone of %i knows of a killed process as gone well under a second', count => {
    for (const seed of seeds) {
      const flock = settled(count, seed)
      flock.kill(0)
      expect(flock.runUntil(() => flock.allSee(0, 'gone'), 1_000)).toBeLessThan(300)
    }
  })

  it('with nobody to confirm a refusal, a killed process is silent and not gone', () => {
    const flock = settled(2, 1)
    flock.kill(0)
    expect(flock.runUntil(() => flock.allSee(0, 'silent'), 10_000)).toBeLessThan(4_000)
    expect(flock.changes.filter(change => change.status === 'gone')).toEqual([])
  })

  it.each([3, 4, 5])(
    'everyone of %i suspects a frozen process in about two seconds, and holds it for silent later',
    count => {
      for (const seed of seeds) {
        const flock = settled(count, seed)
        flock.pause(0)
        expect(flock.runUntil(() => flock.allSee(0, 'suspect'), 10_000)).toBeLessThan(2_500)
        expect(flock.runUntil(() => flock.allSee(0, 'silent'), 10_000)).toBeLessThan(8_000)
      }
    },
  )

  it('everyone learns of a member that vanished, in spite of 10 % loss', () => {
    for (const seed of seeds) {
      const flock = settled(8, seed, 0.1)
      flock.vanish(3)
      expect(flock.runUntil(() => flock.allSee(3, 'silent'), 20_000)).toBeLessThan(15_000)
    }
  })

  it('nobody is ever held for silent or gone at 10 % loss', () => {
    for (const seed of seeds) {
      const flock = settled(6, seed, 0.1)
      flock.run(60_000)
      expect(flock.changes.filter(({ status }) => status === 'silent' || status === 'gone')).toEqual([])
    }
  })

  it('a refusal that no neighbour shares is not enough', () => {
    const flock = settled(4, 1)
    flock.give(1, { kind: 'linkDown', member: recordOf(0).member, refused: true })
    flock.run(3_000)
    expect(flock.changes.filter(({ status }) => status === 'gone')).toEqual([])
    expect(flock.status(1, 0)).toBe('alive')
  })

  it('a link that closes between two that share neighbours harms nobody', () => {
    const flock = settled(4, 1)
    const before = flock.changes.length
    flock.cut((a, b) => a + b === 1)
    flock.run(20_000)
    expect(flock.changes.slice(before)).toEqual([])
  })
})

describe('return', () => {
  it('a slow member refutes a suspicion and is alive to all again', () => {
    for (const seed of seeds) {
      const flock = settled(4, seed)
      flock.pause(0)
      expect(flock.runUntil(() => flock.allSee(0, 'suspect'), 5_000)).toBeLessThan(5_000)
      flock.wake(0)
      expect(flock.runUntil(() => flock.isWhole, 5_000)).toBeLessThan(1_500)
      expect(flock.machine(0).incarnation).toBeGreaterThan(0)
    }
  })

  it('a member that slept for 20 s is alive to all again, and suspected nobody when it woke', () => {
    for (const seed of seeds) {
      const flock = settled(4, seed)
      flock.pause(0)
      flock.run(20_000)
      expect(flock.allSee(0, 'silent')).toBe(true)
      flock.wake(0)
      expect(flock.runUntil(() => flock.isWhole, 5_000)).toBeLessThan(3_000)
      expect(flock.changes.filter(({ at, status }) => at === 0 && status !== 'alive')).toEqual([])
      expect(flock.events.some(({ at, event }) => at === 0 && event === 'membership.stalled')).toBe(true)
    }
  })

  const sides = (a: number, b: number): boolean => a < 3 !== b < 3

  it.each([
    ['links that come up again', true],
    ['no word from transport', false],
  ])('sides that were cut for 15 s see each other alive within 5 s, with %s', (_, isLinked) => {
    for (const seed of seeds) {
      const flock = settled(5, seed)
      flock.cut(sides)
      flock.run(15_000)
      expect(flock.status(0, 4)).toBe('silent')
      expect(flock.status(4, 0)).toBe('silent')
      expect(flock.status(0, 1)).toBe('alive')
      flock.heal(isLinked)
      expect(flock.runUntil(() => flock.isWhole, 20_000)).toBeLessThan(5_000)
    }
  })

  it('even a cut of two minutes, after which all records were dropped, heals within 5 s', () => {
    for (const seed of seeds) {
      const flock = settled(5, seed)
      flock.cut((a, b) => a !== b)
      flock.run(120_000)
      expect([...flock.machine(0).members()]).toEqual([])
      flock.heal(true)
      expect(flock.runUntil(() => flock.isWhole, 20_000)).toBeLessThan(5_000)
    }
  })

  it('a silent record is dropped after 30 s with an event', () => {
    const flock = settled(3, 1)
    flock.vanish(0)
    flock.runUntil(() => flock.allSee(0, 'silent'), 20_000)
    flock.run(29_000)
    expect([...flock.machine(1).members()].length).toBe(2)
    flock.run(8_000)
    expect([...flock.machine(1).members()].length).toBe(1)
    expect(flock.events.filter(({ event }) => event === 'membership.dropped').length).toBe(2)
  })
})

describe('a silence at second hand', () => {
  it.each([
    ['sync', 'suspect'],
    ['gossip', 'silent'],
  ] as const)('by %s makes a member %s', (kind, status) => {
    const flock = settled(3, 1)
    flock.vanish(1)
    flock.run(700)
    const claim = { member: recordOf(1).member, status: 'silent', incarnation: 0, record: recordOf(1) } as const
    const message = kind === 'sync' ? { kind, claims: [claim], wantsReply: false } : { kind, claims: [claim] }
    flock.give(0, { kind: 'received', from: recordOf(2).member, message })
    expect(flock.status(0, 1)).toBe(status)
  })
})

describe('the dead', () => {
  it('one that left is left to all at once, without a suspicion, and stays so', () => {
    for (const seed of seeds) {
      const flock = settled(5, seed)
      flock.give(0, { kind: 'leave' })
      flock.after(20, () => flock.vanish(0))
      expect(flock.runUntil(() => flock.allSee(0, 'left'), 5_000)).toBeLessThan(500)
      flock.run(60_000)
      expect(flock.changes.filter(({ of, status }) => of === 0 && status !== 'alive' && status !== 'left')).toEqual([])
      expect(flock.allSee(0, 'left')).toBe(true)
    }
  })

  it('push-pull with one who slept through it does not resurrect them', () => {
    for (const seed of seeds) {
      const flock = settled(5, seed)
      flock.pause(4)
      flock.give(0, { kind: 'leave' })
      flock.after(20, () => flock.vanish(0))
      flock.kill(1)
      flock.run(25_000)
      const before = flock.changes.length
      flock.wake(4, true)
      flock.run(30_000)
      const back = flock.changes.slice(before).filter(({ at, of }) => of <= 1 && at !== 4)
      expect(back).toEqual([])
      expect(flock.allSee(0, 'left')).toBe(true)
      expect(flock.allSee(1, 'gone')).toBe(true)
    }
  })

  it('one that was dropped is not resurrected by one who slept through it', () => {
    const flock = settled(5, 3)
    flock.vanish(0)
    flock.run(1_000)
    flock.pause(4)
    flock.run(50_000)
    const before = flock.changes.length
    flock.wake(4, true)
    flock.run(60_000)
    expect(flock.changes.slice(before).filter(({ at, of }) => of === 0 && at !== 4)).toEqual([])
  })

  it('one that others hold for gone is told, and says so to its driver', () => {
    const flock = settled(3, 1)
    flock.give(1, { kind: 'forget', member: recordOf(0).member })
    flock.run(5_000)
    expect(flock.changes.filter(({ at, of }) => at === 0 && of === 0).map(({ status }) => status)).toEqual(['gone'])
    expect(flock.status(1, 0)).toBe('gone')
    expect(flock.events.filter(({ at, level }) => at === 0 && level === 'error')).toHaveLength(1)
  })

  it('one that is leaving is not alarmed when the others have given it up before it said farewell', () => {
    const flock = settled(3, 1)
    flock.give(0, { kind: 'leaving' })
    flock.give(1, { kind: 'forget', member: recordOf(0).member })
    flock.run(5_000)
    expect(flock.changes.filter(({ at, of }) => at === 0 && of === 0).map(({ status }) => status)).toEqual(['gone'])
    expect(flock.events.filter(({ at, level }) => at === 0 && level === 'error')).toEqual([])
  })

  it('a link to one that is gone does not bring it back', () => {
    const flock = settled(3, 1)
    flock.give(1, { kind: 'forget', member: recordOf(0).member })
    flock.give(1, { kind: 'linkUp', record: recordOf(0) })
    expect(flock.status(1, 0)).toBe('gone')
  })
})

describe('scale', () => {
  it('a hundred members that know one seed all know each other within 3 s', () => {
    const flock = new Flock({ seed: 1, lossRatio: 0.02 })
    flock.start(0)
    for (let index = 1; index < 100; index++) flock.start(index, 0)
    expect(flock.runUntil(() => flock.isWhole, 10_000)).toBeLessThan(3_000)
  })

  it('an idle cluster of forty sends a bounded number of messages a second for each member', () => {
    const flock = new Flock({ seed: 1 })
    flock.startMesh(40)
    flock.run(20_000)
    const before = flock.sent
    flock.run(10_000)
    expect((flock.sent - before) / 10 / 40).toBeLessThan(6)
  })

  it('members beyond the limit are ignored, with one event', () => {
    const flock = new Flock({ options: { membersMax: 3 } })
    flock.startMesh(5)
    flock.run(1_000)
    expect([...flock.machine(0).members()].length).toBe(2)
    expect(flock.events.filter(({ at, event }) => at === 0 && event === 'membership.full').length).toBe(1)
  })

  it('the same seed gives the same run', () => {
    const run = (): unknown => {
      const flock = new Flock({ seed: 9, lossRatio: 0.1 })
      flock.startMesh(6)
      flock.after(3_000, () => flock.kill(2))
      flock.run(20_000)
      return [flock.sent, flock.changes, flock.events]
    }
    expect(run()).toEqual(run())
  })
})
