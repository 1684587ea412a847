/** What stands before the peers in practice: it asks each whether it is ready, and sends only to those that are. */
import type { ChaosPeer } from './peer.ts'
import { ask } from './http.ts'

/** Well below the time that a leaving peer goes on serving. */
const probeMs = 100

export class Balancer {
  readonly #peers: readonly ChaosPeer[]
  readonly #ready = new Set<ChaosPeer>()
  readonly #timer: NodeJS.Timeout
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

  async #probe(): Promise<void> {
    await Promise.all(
      this.#peers.map(async peer => {
        const isReady = await ask(peer.http, 'GET', '/-/ready', undefined, {}, 5 * probeMs).then(
          ({ status }) => status === 200,
          () => false,
        )
        if (isReady && peer.ready?.flows !== undefined) this.#ready.add(peer)
        else this.#ready.delete(peer)
      }),
    )
  }
}
