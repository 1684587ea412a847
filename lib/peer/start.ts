/** Puts a peer together: messages over bytes over wires, memory as storage. Wires are libp2p's unless others are given. */
import type { Env } from '../base/env.ts'
import type { ClusterId, MemberId } from '../base/ids.ts'
import { list } from '../base/shape.ts'
import { codec } from '../transport/codec.ts'
import { bodyLengthMax, CodedNetwork } from '../transport/coded-network.ts'
import { Libp2pWires } from '../transport/libp2p.ts'
import { MeshNetwork } from '../transport/mesh.ts'
import type { Wires } from '../transport/wires.ts'
import { entropy } from './clock.ts'
import type { Discovery } from './discovery.ts'
import type { Settings } from './options.ts'
import { Peer } from './peer.ts'
import type { PeerListener, PeerOptions } from './peer-options.ts'
import { memoryStorage } from './storage.ts'
import { wireMessageShape, wireVersions } from './wire.ts'

export interface PeerParts {
  readonly settings: Settings
  readonly env: Env
  readonly createState: PeerOptions['createState']
  readonly budget: PeerOptions['budget']
  readonly listener: PeerListener
  /** 32 bytes; the transport identity of this process. */
  readonly keySeed: Uint8Array
  /** In place of libp2p's, for several peers of one process. */
  readonly createWires?: ((member: MemberId) => Wires) | undefined
}

export function createPeer(
  parts: PeerParts,
  member: MemberId,
  discovery: Discovery,
  listen: readonly string[] | undefined,
): Peer {
  const { settings, env, createState, budget, listener, keySeed, createWires } = parts
  const { name, cluster, zone, secret, announce, holdsData, memoryBytes, copies, minCopies, partitions } = settings
  const options: PeerOptions = {
    member,
    name,
    ...(zone !== undefined && { zone }),
    holdsData,
    memoryBytes,
    seeds: discovery.seeds,
    ...(discovery.expect !== undefined && { expect: discovery.expect }),
    settings: { partitionCount: partitions, copies, minCopies },
    createState,
    budget,
  }
  const wires =
    createWires?.(member) ??
    new Libp2pWires({ listen: announce.length === 0 ? (listen ?? settings.listen) : settings.listen, keySeed })
  // The hello is asked for only once the network has started, when there is a peer to ask.
  const clusterOf = (): ClusterId => peer.state.cluster
  const mesh = new MeshNetwork({
    env,
    wires,
    entropy,
    clusterName: cluster,
    ...(secret !== undefined && { secret }),
    announce,
    hello: () => ({
      cluster: clusterOf(),
      member,
      name,
      ...(zone !== undefined && { zone }),
      holdsData,
      memoryBytes,
      isKept: (other: MemberId) => peer.state.members.has(other),
      versionMin: wireVersions.min,
      versionMax: wireVersions.max,
    }),
  })
  const peer = new Peer(
    options,
    env,
    new CodedNetwork(env, mesh, codec(list(wireMessageShape, bodyLengthMax))),
    memoryStorage,
    listener,
  )
  return peer
}
