/**
 * What stands before the peers in practice: it asks each whether it is ready, and sends only to those that are. One that
 * says no, or refuses the connection, is left alone at once; one that is only slow to say stays what it was.
 */
import type { ChaosPeer } from './peer.ts'
import { ask } from './http.ts'

/** Well below the time that a leaving peer goes on serving. */
const probeMs = 100
const answerMsMax = 500

export class Balancer {
  readonly #peers: readonly ChaosPeer[]
  readonly #ready = new Set<ChaosPeer>()
  readonly #timer: NodeJS.Timeout
  /** An answer that was overtaken by one to a later question says nothing. */
  readonly #askedLast = new Map<ChaosPeer, number>()
  #probes = 0
  #turn = 0

  constructor(peers: readonly ChaosPeer[]) {
    this.#peers = peers
    this.#timer = setInterval(() => void this.#probe(), probeMs)
    void this.#probe()
  }

  /** Each ready one in turn; where none is, each. */
  next(): ChaosPeer {
    const among = this.#ready.size > 0 ? [...this.#ready] : this.#peers
    return among[this.#turn++ % among.length] as ChaosPeer
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** e.g. 'g1 g3' */
  get ready(): string {
    return [...this.#ready].map(({ name }) => name).join(' ')
  }

  async #probe(): Promise<void> {
    const probe = ++this.#probes
    await Promise.all(
      this.#peers.map(async peer => {
        const isReady = await ask(peer.http, 'GET', '/-/ready', undefined, {}, answerMsMax).then(
          ({ status }) => status === 200,
          (error: NodeJS.ErrnoException) => (error.code === undefined ? undefined : false),
        )
        if (isReady === undefined || (this.#askedLast.get(peer) ?? 0) > probe) return
        this.#askedLast.set(peer, probe)
        if (isReady && peer.ready?.flows !== undefined) this.#ready.add(peer)
        else this.#ready.delete(peer)
      }),
    )
  }
}
