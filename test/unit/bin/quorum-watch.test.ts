import { describe, expect, test } from 'vitest'
import { QuorumWatch } from '../../../bin/start/quorum-watch.ts'
import type { GridStatus, MemberStatus } from '../../../lib/grid/handles.ts'

function voter(name: string): MemberStatus {
  return {
    name,
    member: `${name}~1`,
    addresses: [],
    roles: ['voter', 'data'],
    state: 'live',
    zone: undefined,
    owned: 0,
    backups: 0,
  }
}

function status(over: Partial<GridStatus>): GridStatus {
  return {
    cluster: 'c',
    clusterName: 'default',
    self: 'goose-1~1',
    name: 'goose-1',
    leader: undefined,
    epoch: 1,
    safety: { level: -1, reason: '' },
    members: [voter('goose-1'), voter('goose-2'), voter('goose-3')],
    partitions: { count: 271, served: 0, waiting: 271, copies: 0, copiesWanted: 2, copiesNeeded: 1 },
    memory: { bytes: 0, budgetBytes: 1, pressure: 'normal' },
    isReady: false,
    reason: 'no quorum: no lease was granted',
    lapsedMs: Infinity,
    ...over,
  }
}

function link(watch: QuorumWatch, event: 'up' | 'down', name: string): void {
  watch.event({ kind: 'emit', level: 'info', event: `transport.link-${event}`, fields: { member: `${name}~1` } })
}

describe('the line of a peer that cannot serve', () => {
  test('names who is missing of how many, what follows, and the remedy', () => {
    const watch = new QuorumWatch()
    for (const name of ['goose-2', 'goose-3']) {
      link(watch, 'up', name)
      link(watch, 'down', name)
    }
    expect(watch.line(status({}), performance.now() + 4_100)).toMatch(
      /^no quorum: see 1 of 3 voters \(goose-2, goose-3 silent for 4\.1 s\); refusing writes until one of them is back; if they are gone for good: skein recover$/,
    )
  })

  test('blames nobody while a majority can be reached', () => {
    const watch = new QuorumWatch()
    link(watch, 'up', 'goose-2')
    expect(watch.line(status({}), performance.now())).toBe(
      'no quorum: no lease was granted; most voters can be reached: waiting for them to agree on a leader',
    )
  })

  test('says that it looks for others before it has found any', () => {
    const line = new QuorumWatch().line(status({ members: [], reason: 'not in a cluster yet' }), 0)
    expect(line).toBe('not in a cluster yet: looking for the others; nothing is served until they are found')
  })
})
