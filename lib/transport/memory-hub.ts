/**
 * Wires between peers of one process: `new MemoryHub()`, then `hub.wires()` for each peer. For tests, and for several
 * members in one process. Bytes arrive in a later microtask, in order. The hub can hold what goes to or from a peer, as
 * a cut network does (the bytes wait, as they would in socket buffers), and end a peer as a killed process ends.
 *
 * What it does not do: encrypt, or drop single chunks (a wire is reliable; sim/ loses whole links).
 */
import { type Address, formatAddress } from './addresses.ts'
import { DialError, type Wire, type WireListener, type Wires } from './wires.ts'

interface Station {
  readonly peer: string
  readonly address: Address
  readonly accept: (wire: Wire) => void
}

export class MemoryHub {
  readonly #stations = new Map<string, Station>()
  readonly #held = new Set<string>()
  readonly #ends = new Set<End>()
  #portNext = 1

  /** `peer` stands for the key; fresh unless given. Listens at 127.0.0.1 and a port of the hub's own counting. */
  wires(peer?: string): Wires {
    const port = this.#portNext++
    return new MemoryWires(this, peer ?? `peer-${port}`, { kind: 'ip4', host: '127.0.0.1', port })
  }

  /** Holds all bytes to and from this peer until `release`; nothing is closed, nobody is told. */
  hold(peer: string): void {
    this.#held.add(peer)
  }

  release(peer: string): void {
    this.#held.delete(peer)
    for (const end of this.#ends) end.pump()
  }

  /** As when its process is killed: its wires close at the other ends and its address refuses. */
  kill(peer: string): void {
    for (const [key, station] of this.#stations) if (station.peer === peer) this.#stations.delete(key)
    for (const end of this.#ends) if (end.localPeer === peer) end.abort('reset by the other end')
  }

  isHeld(end: End): boolean {
    return this.#held.has(end.localPeer) || this.#held.has(end.remotePeer)
  }

  open(station: Station): void {
    this.#stations.set(formatAddress(station.address), station)
  }

  closeStation(station: Station): void {
    if (this.#stations.get(formatAddress(station.address)) === station)
      this.#stations.delete(formatAddress(station.address))
  }

  dial(from: { readonly peer: string; readonly address: Address }, to: Address): Wire {
    const station = this.#stations.get(formatAddress(to))
    if (station === undefined) throw new DialError('refused', `nobody listens at ${formatAddress(to)}`)
    if (station.peer === from.peer) throw new DialError('self', `${formatAddress(to)} is the own address`)
    const near = new End(this, from.peer, station.peer, formatAddress(to), true)
    const far = new End(this, station.peer, from.peer, formatAddress(from.address), false)
    near.other = far
    far.other = near
    this.#ends.add(near).add(far)
    queueMicrotask(() => station.accept(far))
    return near
  }

  forgetEnd(end: End): void {
    this.#ends.delete(end)
  }

  endsOf(peer: string): readonly End[] {
    return [...this.#ends].filter(end => end.localPeer === peer)
  }
}

class MemoryWires implements Wires {
  readonly peer: string
  readonly #hub: MemoryHub
  readonly #address: Address
  readonly listen: readonly Address[]
  #station: Station | undefined

  constructor(hub: MemoryHub, peer: string, address: Address) {
    this.#hub = hub
    this.peer = peer
    this.#address = address
    this.listen = [address]
  }

  async start(accept: (wire: Wire) => void): Promise<readonly Address[]> {
    this.#station = { peer: this.peer, address: this.#address, accept }
    this.#hub.open(this.#station)
    return [this.#address]
  }

  async resolve(address: Address): Promise<readonly Address[]> {
    return [address]
  }

  async dial(address: Address): Promise<Wire> {
    return this.#hub.dial({ peer: this.peer, address: this.#address }, address)
  }

  async stop(): Promise<void> {
    if (this.#station !== undefined) this.#hub.closeStation(this.#station)
    for (const end of this.#hub.endsOf(this.peer)) end.close()
  }
}

/** One end of a pair. What it writes lies in its own queue until the other end takes it. */
class End implements Wire {
  readonly localPeer: string
  readonly remotePeer: string
  readonly remoteAddress: string
  readonly isDialer: boolean
  other: End | undefined
  readonly #hub: MemoryHub
  #queue: Uint8Array[] = []
  #listener: WireListener | undefined
  #isPumping = false
  // after close(): ends once the queue is empty
  #isClosing = false
  // nothing more comes from the other end
  #isEnded = false
  unsentBytes = 0

  constructor(hub: MemoryHub, localPeer: string, remotePeer: string, remoteAddress: string, isDialer: boolean) {
    this.#hub = hub
    this.localPeer = localPeer
    this.remotePeer = remotePeer
    this.remoteAddress = remoteAddress
    this.isDialer = isDialer
  }

  open(listener: WireListener): void {
    this.#listener = listener
    this.other?.pump()
    if (this.#isEnded) queueMicrotask(() => this.#tellClosed('closed by the other end'))
  }

  write(bytes: Uint8Array): void {
    if (this.#isClosing || this.#isEnded) return
    this.#queue.push(bytes)
    this.unsentBytes += bytes.length
    this.pump()
  }

  close(): void {
    this.#isClosing = true
    this.pump()
  }

  abort(reason: string): void {
    this.#queue = []
    const { other } = this
    queueMicrotask(() => {
      this.end(reason)
      other?.end(reason)
    })
  }

  /** Delivers in a later microtask what may be delivered. */
  pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    queueMicrotask(() => this.#deliver())
  }

  /** Nothing more arrives at, or leaves from, this end. */
  end(reason: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#queue = []
    this.#hub.forgetEnd(this)
    this.#tellClosed(reason)
  }

  #deliver(): void {
    this.#isPumping = false
    const { other } = this
    if (other === undefined || this.#isEnded || this.#hub.isHeld(this)) return
    const to = other.#listener
    const hadUnsent = this.unsentBytes > 0
    while (to !== undefined && this.#queue.length > 0) {
      const bytes = this.#queue.shift() as Uint8Array
      this.unsentBytes -= bytes.length
      to.bytes(bytes)
    }
    if (hadUnsent && this.unsentBytes === 0) this.#listener?.drain()
    if (!this.#isClosing || this.#queue.length > 0) return
    this.end('closed')
    other.end('closed by the other end')
  }

  #tellClosed(reason: string): void {
    const listener = this.#listener
    this.#listener = undefined
    listener?.closed(reason)
  }
}
