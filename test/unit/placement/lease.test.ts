import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeldLease, LeaseBook, leaseDefaults } from '../../../lib/placement/lease.ts'

const at = (monotonicMs: number, wallMs = monotonicMs) => ({ monotonicMs, wallMs })

describe('the node lease', () => {
  it('always ends at the holder before it ends at the leader, for any delay, clock offset and rate within the bound', () => {
    fc.assert(
      fc.property(
        fc.record({
          sentMs: fc.nat(10_000),
          delayMs: fc.nat(5_000),
          holderRate: fc.double({ min: 0.9951, max: 1.0049, noNaN: true }),
          leaderRate: fc.double({ min: 0.9951, max: 1.0049, noNaN: true }),
          holderOffsetMs: fc.nat(1e6),
          leaderOffsetMs: fc.nat(1e6),
        }),
        ({ sentMs, delayMs, holderRate, leaderRate, holderOffsetMs, leaderOffsetMs }) => {
          const held = new HeldLease(leaseDefaults)
          const book = new LeaseBook(leaseDefaults)
          const sequence = held.renew(at(holderOffsetMs + sentMs * holderRate))
          book.granted('m', leaderOffsetMs + (sentMs + delayMs) * leaderRate)
          held.grant(sequence, 0, 1)
          const holderEndMs = (held.nodeLease(0).untilMonotonicMs - holderOffsetMs) / holderRate
          const leaderEndMs = (book.nodeEndMs('m') - leaderOffsetMs) / leaderRate
          expect(holderEndMs).toBeLessThan(leaderEndMs)
        },
      ),
    )
  })

  it('counts from when the renewal was sent, not from when the grant came', () => {
    const held = new HeldLease(leaseDefaults)
    const sequence = held.renew(at(1_000))
    held.grant(sequence, 0, 1)
    expect(held.nodeLease(0).untilMonotonicMs).toBeLessThanOrEqual(1_000 + leaseDefaults.nodeLeaseMs)
  })

  it('is not held before the holder has applied the state that the grant was made under', () => {
    const held = new HeldLease(leaseDefaults)
    held.grant(held.renew(at(0)), 7, 1)
    expect(held.nodeLease(6).untilMonotonicMs).toBe(-Infinity)
    expect(held.nodeLease(7).untilMonotonicMs).toBeGreaterThan(0)
  })

  it('is dropped when the wall clock leaps, and a grant of an older renewal does not bring it back', () => {
    const held = new HeldLease(leaseDefaults)
    held.grant(held.renew(at(0, 1_000_000)), 0, 1)
    const before = held.renew(at(10, 1_000_010))
    expect(held.watchWall(at(20, 1_060_020))).toBe(true)
    held.grant(before, 0, 1)
    expect(held.nodeLease(0).untilMonotonicMs).toBe(-Infinity)
    held.grant(held.renew(at(21, 1_060_021)), 0, 1)
    expect(held.nodeLease(0).untilMonotonicMs).toBeGreaterThan(21)
  })

  it('is dropped when several leaps, each within the bound, add up beyond it since the renewal', () => {
    const held = new HeldLease(leaseDefaults)
    held.grant(held.renew(at(0, 0)), 0, 1)
    expect(held.watchWall(at(10, 40))).toBe(false)
    expect(held.watchWall(at(20, 80))).toBe(true)
  })

  it('ends at the holder before it ends at the leader also if the holder was suspended for less than the bound', () => {
    const { nodeLeaseMs, clockDriftRatio, wallLeapMs } = leaseDefaults
    const book = new LeaseBook(leaseDefaults)
    book.granted('m', 0)
    expect(nodeLeaseMs * (1 - clockDriftRatio) + wallLeapMs).toBeLessThan(book.nodeEndMs('m'))
  })

  it('takes a grant once, and none that it did not ask for', () => {
    const held = new HeldLease(leaseDefaults)
    held.grant(99, 0, 1)
    expect(held.nodeLease(0).untilMonotonicMs).toBe(-Infinity)
    const first = held.renew(at(0))
    const second = held.renew(at(100))
    held.grant(second, 0, 1)
    const untilMs = held.nodeLease(0).untilMonotonicMs
    held.grant(first, 0, 1)
    expect(held.nodeLease(0).untilMonotonicMs).toBe(untilMs)
  })

  it('is assumed held by everyone up to the floor that a new leader starts from', () => {
    const book = new LeaseBook(leaseDefaults)
    book.granted('m', 5_000)
    book.restart(1_000)
    expect(book.nodeEndMs('m')).toBe(
      1_000 + leaseDefaults.nodeLeaseMs * (1 + leaseDefaults.clockDriftRatio) + leaseDefaults.wallLeapMs,
    )
    expect(book.nodeEndMs('never seen')).toBe(book.nodeEndMs('m'))
  })
})
