import { expect, test } from 'vitest'
import { emptyClusterState, type ClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import { firstDiscovery, type Discovery } from '../../../lib/peer/discovery.ts'
import { Lifecycle } from '../../../lib/peer/lifecycle.ts'
import type { Peer } from '../../../lib/peer/peer.ts'
import { VirtualEnv } from '../grid/virtual-env.ts'

interface Made {
  readonly member: string
  readonly discovery: Discovery
  readonly listen: readonly string[] | undefined
}

function memberOf(name: string, address: string): MemberEntry {
  const rest = { zone: undefined, state: 'live', holdsData: true, session: 1, memoryBytes: 0 } as const
  return { member: `${name}~1`, peer: '', name, addresses: [address], ...rest }
}

function setUp(members: readonly MemberEntry[] = []) {
  const env = new VirtualEnv()
  const made: Made[] = []
  const log: string[] = []
  const failures: Error[] = []
  const state: ClusterState = { ...emptyClusterState, members: new Map(members.map(each => [each.member, each])) }
  const lifecycle = new Lifecycle({
    env,
    name: 'goose-1',
    discovery: firstDiscovery(['10.0.0.9:1', '10.0.0.9:1'], 3),
    create: (member, discovery, listen) => {
      made.push({ member, discovery, listen })
      const start = (): Promise<void> => {
        const failure = failures.shift()
        return failure === undefined ? Promise.resolve() : Promise.reject(failure)
      }
      const stop = (): Promise<void> => Promise.resolve(void log.push(`stop ${made.length}`))
      const farewell = (): void => void log.push('farewell')
      return { member, state, addresses: ['10.0.0.1:7400'], start, stop, farewell } as unknown as Peer
    },
    attach: peer => log.push(peer === undefined ? 'detach' : 'attach'),
    restarted: member => log.push(`restarted ${member === made.at(-1)?.member}`),
  })
  return { env, made, log, failures, lifecycle }
}

test('starts under a fresh member id that begins with its name', async () => {
  const one = setUp()
  await one.lifecycle.start()
  expect(one.made[0]?.member).toMatch(/^goose-1~[0-9a-z]{8}$/)
  expect(one.made[0]?.discovery).toEqual({ seeds: ['10.0.0.9:1'], expect: 3 })
})

test('expelled, it comes back as another member at the same address, and looks for those it knew', async () => {
  const { env, made, log, lifecycle } = setUp([memberOf('goose-2', '10.0.0.2:7400')])
  await lifecycle.start()
  lifecycle.expelled(false)
  lifecycle.expelled(false) // told twice
  await env.settle()
  expect(log).toEqual(['attach', 'detach', 'stop 1', 'attach', 'restarted true'])
  expect(made).toHaveLength(2)
  expect(made[1]?.member).not.toBe(made[0]?.member)
  // It never founds a cluster again.
  expect(made[1]?.discovery).toEqual({ seeds: ['10.0.0.9:1', '10.0.0.2:7400'], expect: undefined })
  expect(made[1]?.listen).toEqual(['10.0.0.1:7400'])
})

test('tries again when its address is still in use', async () => {
  const { env, made, log, failures, lifecycle } = setUp()
  await lifecycle.start()
  failures.push(new Error('EADDRINUSE'), new Error('EADDRINUSE'))
  lifecycle.expelled(false)
  await env.advance(2_000)
  expect(made).toHaveLength(4)
  expect(log.at(-1)).toBe('restarted true')
  expect(env.events.filter(event => event.event === 'peer.restart-failed')).toHaveLength(2)
})

test('expelled while leaving, it says farewell and stays away', async () => {
  const { env, made, log, lifecycle } = setUp()
  await lifecycle.start()
  lifecycle.expelled(true)
  await env.settle()
  expect([made.length, log]).toEqual([1, ['attach', 'farewell']])
})

test('a start that fails is told and leaves nothing attached', async () => {
  const { log, failures, lifecycle } = setUp()
  failures.push(new Error('cannot listen'))
  await expect(lifecycle.start()).rejects.toThrow('cannot listen')
  expect([log, lifecycle.peer]).toEqual([['attach', 'detach'], undefined])
})

test('stopped for good, it does not come back', async () => {
  const { env, made, lifecycle } = setUp()
  await lifecycle.start()
  await lifecycle.stop()
  lifecycle.expelled(false)
  await env.settle()
  expect(made).toHaveLength(1)
})
