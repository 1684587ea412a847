/** What the peer port refuses, in the log, with what to do about each cause. */
import type { Env } from '../base/env.ts'
import { RefusalLog } from '../base/refusal-log.ts'
import type { Refusal } from './network.ts'
import type { Wire, WireRefusal } from './wires.ts'

const onlyPeers =
  'only peers belong at this port: point others at the doors (--http, --resp, --flow-http), and keep strangers off by a firewall'

const remedies: Readonly<Record<Refusal['code'] | WireRefusal['code'], string>> = {
  cluster: 'stop one of the two clusters, and start its peers again with --join to the other',
  version: 'upgrade the older one',
  secret: 'give every peer the same --secret-file and --cluster',
  recovered: 'nothing: it comes back by itself',
  superseded: 'nothing: this peer comes back by itself, under a fresh member id',
  hello: 'if it is a peer of yours, start it again; if not, keep it off by a firewall',
  malformed: 'if it is a peer of yours, run the same release on both; if not, keep it off by a firewall',
  'not-a-peer': onlyPeers,
  unfinished: onlyPeers,
  silent: onlyPeers,
  broken: onlyPeers,
  'too-many': 'if these are peers of yours, they come in as others finish; if not, keep them off by a firewall',
}

export class NetworkRefusals {
  readonly #log: RefusalLog

  constructor(env: Env) {
    this.#log = new RefusalLog(env, { event: 'network.refused', door: 'peer port' })
  }

  readonly wire: (refusal: WireRefusal) => void = ({ from, code, reason }) =>
    this.#log.tell({ from, code, reason, remedy: remedies[code] })

  /** Who came as far as the secret proved a key: several at one host are several. */
  link({ remoteAddress: from, remotePeer }: Wire, { code, reason }: Pick<Refusal, 'code' | 'reason'>): void {
    const who = code === 'malformed' || code === 'hello' ? undefined : remotePeer
    this.#log.tell({ from, code, reason, remedy: remedies[code], who })
  }

  close(): void {
    this.#log.close()
  }
}
