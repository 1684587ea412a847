import { describe, expect, it } from 'vitest'
import { applyClusterCommand, emptyClusterState, type ClusterState } from '../../../lib/consensus/cluster-state.ts'
import type { LeaderView } from '../../../lib/placement/leader-plan.ts'
import { leaseDefaults } from '../../../lib/placement/lease.ts'
import { MemberWatch } from '../../../lib/placement/member-watch.ts'
import { Penalties } from '../../../lib/placement/penalties.ts'
import { memberEntry } from '../consensus/world.ts'

const { nodeLeaseMs, clockDriftRatio, wallLeapMs } = leaseDefaults
const leaderLeaseMs = nodeLeaseMs * (1 + clockDriftRatio) + wallLeapMs
const nowMs = 10_000

/** Member a holds everything, and b is about to leave. */
function state(): ClusterState {
  const founded = applyClusterCommand(emptyClusterState, {
    kind: 'found',
    cluster: 'c',
    settings: { partitionCount: 3, copies: 2, minCopies: 1 },
    version: 1,
    member: memberEntry('a'),
  })
  const upsert = [memberEntry('b', { state: 'leaving' }), memberEntry('c')]
  return applyClusterCommand(founded, { kind: 'change', upsert, remove: [], endSessions: [], partitions: [] })
}

const view = (plan?: readonly string[]): LeaderView => {
  const voters = ['a', 'b', 'c']
  return { voters: () => voters, planVoters: () => plan }
}

function watch(renewedAtMs = nowMs): MemberWatch {
  const made = new MemberWatch('a', leaseDefaults, new Penalties())
  for (const member of ['b', 'c']) made.granted(member, member === 'b' ? renewedAtMs : nowMs)
  return made
}

describe('a voter that leaves and holds nothing', () => {
  it('stays voter and member while it lives and the plan of voters cannot do without it', () => {
    const { voters, remove } = watch().draft(nowMs, state(), view(), [])
    expect([voters, remove]).toEqual([undefined, []])
  })

  it('is dropped with the step that the plan of voters takes', () => {
    const { voters, remove } = watch().draft(nowMs, state(), view(['a', 'c']), [])
    expect([voters, remove]).toEqual([['a', 'c'], ['b']])
  })

  it('stays while the plan puts another one in first', () => {
    const { voters, remove } = watch().draft(nowMs, state(), view(['a', 'b', 'c', 'd']), [])
    expect([voters, remove]).toEqual([['a', 'b', 'c', 'd'], []])
  })

  it('is dropped without the plan once its lease has run out: then it is dead', () => {
    const { voters, remove } = watch(nowMs - leaderLeaseMs).draft(nowMs, state(), view(), [])
    expect([voters, remove]).toEqual([['a', 'c'], ['b']])
  })
})

describe('a member whose lease may run', () => {
  it('is not silent before it has run out, and is at that moment', () => {
    const justBefore = watch().draft(nowMs + leaderLeaseMs - 1, state(), view(), [])
    expect([...justBefore.silenced]).toEqual([])
    expect([...watch().draft(nowMs + leaderLeaseMs, state(), view(), []).silenced]).toEqual(['c'])
  })

  it('under a leader before this one is waited for from the latest moment at which that could have granted it', () => {
    const made = watch()
    made.told('c', true)
    made.restart(nowMs, state(), 100)
    expect([...made.draft(nowMs - 100 + leaderLeaseMs - 1, state(), view(), []).gone]).not.toContain('c')
    expect([...made.draft(nowMs - 100 + leaderLeaseMs, state(), view(), []).gone]).toContain('c')
  })

  it('under a leader before this one has the time of a lease to renew here, whenever it renewed there', () => {
    const made = watch()
    made.restart(nowMs, state(), undefined)
    expect([...made.draft(nowMs + nodeLeaseMs - 1, state(), view(), []).silenced]).toEqual([])
    expect([...made.draft(nowMs + nodeLeaseMs, state(), view(), []).silenced]).toEqual(['c'])
  })

  it('is not gone at the word of membership alone', () => {
    const made = watch()
    made.told('c', true)
    expect([...made.draft(nowMs + leaderLeaseMs - 1, state(), view(), []).gone]).not.toContain('c')
    expect([...made.draft(nowMs + leaderLeaseMs, state(), view(), []).gone]).toContain('c')
  })
})
