/** How this member describes itself: to gossip, to consensus, and as the founder of a cluster. */
import type { Prng } from '../base/prng.ts'
import type { ClusterCommand, MemberEntry } from '../consensus/cluster-state.ts'
import type { MemberRecord } from '../membership/member-record.ts'
import type { LinkHello, Network } from '../transport/network.ts'
import type { PeerOptions } from './peer-options.ts'
import { wireVersions } from './wire.ts'

type Self = Pick<Network<never>['self'], 'peer' | 'addresses'>

/** What membership gossips. */
export function selfRecord(options: PeerOptions, { peer, addresses }: Self): MemberRecord {
  const { member, name, zone, holdsData, memoryBytes } = options
  const versions = { versionMin: wireVersions.min, versionMax: wireVersions.max }
  return { member, peer, name, addresses, ...(zone !== undefined && { zone }), holdsData, memoryBytes, ...versions }
}

/** What consensus keeps. */
export function entryOf(options: PeerOptions, { peer, addresses }: Self): MemberEntry {
  const { member, name, zone, holdsData, memoryBytes } = options
  return { member, peer, name, addresses, zone, state: 'live', holdsData, session: 1, memoryBytes }
}

/** The first entry of a cluster's log, with a random cluster id of 28 characters. */
export function foundCommand(
  options: PeerOptions,
  self: Self,
  random: Prng,
): Extract<ClusterCommand, { kind: 'found' }> {
  const cluster = Array.from({ length: 4 }, () => random.uint32().toString(36).padStart(7, '0')).join('')
  const { settings } = options
  return { kind: 'found', cluster, settings, version: wireVersions.max, member: entryOf(options, self) }
}

/** What another member's hello tells membership. */
export function recordOf({ cluster: _cluster, ...record }: LinkHello): MemberRecord {
  return record
}
