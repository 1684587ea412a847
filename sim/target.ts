/** An address that a simulated process stays connected to: dialed again for ever, with jittered back-off. */
import type { ConnectTarget } from '../lib/transport/network.ts'
import type { SimNetwork } from './network.ts'

export class Target<Body> {
  readonly #network: SimNetwork<Body>
  readonly #wanted: ConnectTarget
  #member: string | undefined
  #attempt = 0
  #isDialing = false
  #isStopped = false
  #isAbsenceTold = false
  #cancel: () => void = () => {}

  constructor(network: SimNetwork<Body>, wanted: ConnectTarget) {
    this.#network = network
    this.#wanted = wanted
    this.#member = wanted.member
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  /** The link to this member is gone. */
  lost(member: string): void {
    if (member !== this.#member || this.#isStopped) return
    this.#attempt = 0
    this.#isAbsenceTold = false
    this.#cancel()
    this.#cancel = this.#in(0)
  }

  dial(): void {
    if (this.#isStopped || this.#isDialing) return
    if (this.#member !== undefined && this.#network.isLinked(this.#member)) return
    const addresses = this.#wanted.addresses
    const address = addresses[this.#attempt % addresses.length]
    if (address === undefined) return
    this.#isDialing = true
    this.#network.dial(address, (result, far) => {
      this.#isDialing = false
      if (this.#isStopped || result === 'own') return
      const wanted = this.#wanted.member
      if (result === 'up' && far !== undefined) {
        this.#attempt = 0
        this.#isAbsenceTold = false
        this.#member = far.member
        if (wanted !== undefined && wanted !== far.member) this.#network.absent(wanted, 'another member answered')
        if (this.#network.isLinked(far.member)) return
      } else if (result === 'refused' && this.#member !== undefined && !this.#isAbsenceTold) {
        this.#isAbsenceTold = true
        this.#network.absent(this.#member, 'connection refused')
      }
      this.#cancel = this.#in(this.#backoffMs())
    })
  }

  #in(delayMs: number): () => void {
    return this.#network.process.at(this.#network.process.now().monotonicMs + delayMs, () => this.dial())
  }

  #backoffMs(): number {
    const { redialMinMs, redialMaxMs } = this.#network.limits
    const topMs = Math.min(redialMaxMs, redialMinMs * 2 ** Math.min(this.#attempt++, 10))
    return topMs * this.#network.random.between(0.5, 1)
  }
}
