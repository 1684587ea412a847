import { expect, test } from 'vitest'
import { lapseGraceMs, ReadinessProbe } from '../../../lib/gateway/http/readiness.ts'
import type { Grid, GridStatus } from '../../../lib/grid/handles.ts'

type Part = Pick<GridStatus, 'isReady' | 'reason' | 'lapsedMs'> & { readonly copies?: number }

/** A probe over a grid that says what is set. */
function probed(): { readonly probe: ReadinessProbe; say(part: Part): boolean; restart(): void } {
  let status: object = {}
  let restarted = (): void => undefined
  const grid = {
    status: () => status,
    on: (_: string, listener: () => void) => {
      restarted = listener
      return () => undefined
    },
  } as unknown as Grid
  const probe = new ReadinessProbe(grid, () => true)
  return {
    probe,
    say: ({ copies = 2, ...part }) => {
      status = { ...part, partitions: { copies, copiesWanted: 2, waiting: 0 } }
      return probe.state().ready
    },
    restart: () => restarted(),
  }
}

const serving: Part = { isReady: true, reason: '', lapsedMs: 0 }
const lapsed = (lapsedMs: number): Part => ({ isReady: false, reason: 'no quorum', lapsedMs })

test('a peer is ready once every partition has its copies, and stays so when one is lost later', () => {
  const { say } = probed()
  expect(say({ ...serving, copies: 1 })).toBe(false)
  expect(say(serving)).toBe(true)
  expect(say({ ...serving, copies: 1 })).toBe(true)
})

test('a peer that was ready stays so while a leader is elected, and no longer than requests wait', () => {
  const { say, restart } = probed()
  expect(say(lapsed(10))).toBe(false)
  expect(say(serving)).toBe(true)
  expect(say(lapsed(10))).toBe(true)
  expect(say(lapsed(lapseGraceMs - 1))).toBe(true)
  expect(say(lapsed(lapseGraceMs))).toBe(false)
  restart()
  expect(say(lapsed(10))).toBe(false)
})

test('a peer that leaves is not ready at once', () => {
  const { probe, say } = probed()
  expect(say(serving)).toBe(true)
  expect(say({ isReady: false, reason: 'leaving', lapsedMs: 0 })).toBe(false)
  expect(say(serving)).toBe(true)
  probe.close()
  expect(probe.state()).toEqual({ ready: false, reason: 'leaving' })
})
