/**
 * One peer over its members: a fresh member id at each start, and another one when the cluster has given this one up
 * (a process stopped for minutes comes back as a stranger, because what it held is no longer true). What users hold
 * stays valid over that: it asks here which peer there is now.
 */
import type { Env } from '../base/env.ts'
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { nextDiscovery, type Discovery } from './discovery.ts'
import type { Peer } from './peer.ts'

/** Between attempts to come back, times a random 0.5..1. */
const againMs = 500

export interface LifecycleParts {
  readonly env: Env
  /** e.g. 'goose-1' */
  readonly name: string
  readonly discovery: Discovery
  /** A peer that is not started. `listen`: addresses that an earlier member of this process had, to have them again. */
  readonly create: (member: MemberId, discovery: Discovery, listen: readonly string[] | undefined) => Peer
  /** Which peer there is now. */
  readonly attach: (peer: Peer | undefined) => void
  /** It goes on under this id. */
  readonly restarted: (member: MemberId) => void
}

export class Lifecycle {
  readonly #parts: LifecycleParts
  #discovery: Discovery
  #peer: Peer | undefined
  #listen: readonly string[] | undefined
  #isStopped = false
  #restart: Promise<void> | undefined

  constructor(parts: LifecycleParts) {
    this.#parts = parts
    this.#discovery = parts.discovery
  }

  get peer(): Peer | undefined {
    return this.#peer
  }

  /** Rejects if the network cannot listen. */
  async start(): Promise<void> {
    const { env, name, create, attach } = this.#parts
    const peer = create(freshMember(env, name), this.#discovery, this.#listen)
    this.#peer = peer
    attach(peer)
    try {
      await peer.start()
      this.#listen = peer.addresses
    } catch (error) {
      this.#peer = undefined
      attach(undefined)
      throw error
    }
  }

  /** The cluster does not know this member any more. Not to be called from inside a turn of the peer's that must go on. */
  expelled(isLeaving: boolean): void {
    const peer = this.#peer
    if (peer === undefined || this.#isStopped || this.#restart !== undefined) return
    if (isLeaving) return peer.farewell()
    this.#restart = this.#comeBack(peer, peer.state).finally(() => (this.#restart = undefined))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#restart
    await this.#peer?.stop()
    this.#peer = undefined
  }

  async #comeBack(peer: Peer, state: ClusterState): Promise<void> {
    const { env, attach, discovery, restarted } = this.#parts
    env.emit({ kind: 'emit', level: 'warn', event: 'peer.expelled', fields: { member: peer.member } })
    this.#discovery = nextDiscovery(discovery, peer.member, state)
    this.#peer = undefined
    attach(undefined)
    await peer.stop()
    while (!this.#isStopped) {
      try {
        await this.start()
        const { member } = this.#peer as unknown as Peer
        env.emit({ kind: 'emit', level: 'info', event: 'peer.restarted', fields: { member, before: peer.member } })
        return restarted(member)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        env.emit({ kind: 'emit', level: 'warn', event: 'peer.restart-failed', fields: { reason } })
        await new Promise<void>(resolve => {
          env.at(env.now().monotonicMs + againMs * env.random.between(0.5, 1), resolve)
        })
      }
    }
  }
}

/** e.g. 'goose-1~k3x9v2': never the same twice. */
export function freshMember(env: Env, name: string): MemberId {
  const suffix = env.random.uint32().toString(36).padStart(7, '0') + env.random.int(0, 35).toString(36)
  return `${name}~${suffix}`
}
