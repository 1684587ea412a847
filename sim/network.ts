/**
 * The Network port on virtual time: same contract as the real adapters, messages by reference. A process dials its
 * targets, links come up by a hello of both ends, idle links ping, silent ones close, lost ones are dialed again.
 * What happens to packets is the fabric's matter.
 */
import type { Lane } from '../lib/base/machine.ts'
import type { Prng } from '../lib/base/prng.ts'
import type { Shape } from '../lib/base/shape.ts'
import {
  networkLimitsDefault,
  type ConnectTarget,
  type HelloSource,
  type LinkDown,
  type LinkHello,
  type OwnHello,
  type Network,
  type NetworkLimits,
  type NetworkListener,
  type Refusal,
} from '../lib/transport/network.ts'
import { partedBy } from '../lib/transport/hello.ts'
import type { Fabric } from './fabric.ts'
import { closeEnd, openLink, type End } from './link.ts'
import type { SimProcess } from './env.ts'
import type { Packet } from './rules.ts'
import { Target } from './target.ts'

export interface SimNetworkOptions<Body> {
  readonly fabric: Fabric<Body>
  readonly process: SimProcess
  readonly address: string
  readonly hello: HelloSource
  readonly limits?: Partial<NetworkLimits>
  /** Sends each body through its wire form, to catch what a shape forgets and what shares state. */
  readonly shape?: Shape<Body>
  /** Bytes that a body takes in a held lane; default 256. */
  readonly sizeOf?: (body: Body) => number
  /** Freezes each body in depth, to catch who changes what it sent or received. */
  readonly isFrozen?: boolean
}

const bodyBytesDefault = 256

type DialResult = 'up' | 'refused' | 'lost' | 'own'

export class SimNetwork<Body> implements Network<Body> {
  readonly process: SimProcess
  readonly limits: NetworkLimits
  readonly random: Prng
  readonly #fabric: Fabric<Body>
  readonly #options: SimNetworkOptions<Body>
  readonly #ends = new Map<string, End<Body>>()
  readonly #targets = new Map<string, Target<Body>>()
  /** Addresses of dials under way. */
  readonly #dialing = new Set<string>()
  /** Members that were told to be absent since their last link. */
  readonly #absent = new Set<string>()
  readonly #refusals = new Set<string>()
  readonly #cancels = new Map<End<Body>, () => void>()
  #listener: NetworkListener<Body> | undefined

  constructor(options: SimNetworkOptions<Body>) {
    this.#options = options
    this.#fabric = options.fabric
    this.process = options.process
    this.limits = { ...networkLimitsDefault, ...options.limits }
    this.random = options.process.random.fork('network')
  }

  get self(): { readonly member: string; readonly peer: string; readonly addresses: readonly string[] } {
    const { address } = this.#options
    return { member: this.#options.hello().member, peer: `peer-of-${address}`, addresses: [address] }
  }

  get links(): readonly string[] {
    return [...this.#ends.keys()]
  }

  start(listener: NetworkListener<Body>): Promise<void> {
    this.#listener = listener
    this.#fabric.ports.set(this.#options.address, this)
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.#listener = undefined
    for (const target of this.#targets.values()) target.stop()
    this.#targets.clear()
    this.leave(false)
    return Promise.resolve()
  }

  /** What the operating system does when the process is gone: closes its connections and refuses new ones. */
  leave(isAbrupt: boolean): void {
    this.#listener = undefined
    if (this.#fabric.ports.get(this.#options.address) === this) this.#fabric.ports.delete(this.#options.address)
    for (const end of this.#ends.values()) closeEnd(end, { refused: false, reason: 'stopped' }, isAbrupt)
  }

  connect(target: ConnectTarget): void {
    this.forget(target)
    const made = new Target(this, target)
    this.#targets.set(keyOf(target), made)
    made.dial()
  }

  forget(target: ConnectTarget): void {
    this.#targets.get(keyOf(target))?.stop()
    this.#targets.delete(keyOf(target))
  }

  send(member: string, lane: Lane, body: Body): void {
    const end = this.#ends.get(member)
    if (end === undefined) return
    if (this.#options.isFrozen === true) freeze(body)
    const { shape } = this.#options
    const wire = shape === undefined ? body : shape.unpack(shape.pack(body))
    const bytes = this.#options.sizeOf?.(body) ?? bodyBytesDefault
    if (!end.out.send(lane, wire, bytes, this.limits.laneUnsentBytesMax)) this.#resetLane(end, lane)
  }

  drop(member: string, reason: string): void {
    const end = this.#ends.get(member)
    if (end === undefined) return
    const { other } = end
    end.out.say(() => other.network.told('malformed', reason, other.member))
    this.process.turn(() => closeEnd(end, { refused: false, reason }, false))
  }

  announce(): void {
    const hello = this.hello()
    for (const end of this.#ends.values()) {
      const { other, far } = end
      end.out.say(() => other.network.#rehear(other, hello))
      const apart = far && partingOf(hello, far)
      if (far === undefined || apart === undefined) continue
      this.process.turn(() => {
        this.refuse(apart, far)
        closeEnd(end, { refused: false, reason: 'another cluster' }, false)
      })
    }
  }

  /** A fault: what is under way on one lane is lost, in both directions, and both ends are told. */
  breakLane(member: string, lane: Lane): void {
    const end = this.#ends.get(member)
    if (end === undefined) return
    this.#resetLane(end, lane)
    end.other.network.#resetLane(end.other, lane)
  }

  /** A fault: the connection breaks; both ends learn it. */
  breakLink(member: string): void {
    const end = this.#ends.get(member)
    if (end !== undefined) closeEnd(end, { refused: false, reason: 'connection reset' }, true)
  }

  hello(): OwnHello {
    return { ...this.#options.hello(), peer: this.self.peer, addresses: this.self.addresses }
  }

  isLinked(member: string): boolean {
    return this.#ends.has(member)
  }

  /** One attempt; `done` is called once, inside the process. */
  dial(address: string, done: (result: DialResult, far?: LinkHello) => void): void {
    const hello = this.hello()
    const packet = this.#packetTo(address, 'dial')
    let isOpen = true
    this.#dialing.add(address)
    const finish = (result: DialResult, far?: LinkHello): void => {
      if (!isOpen) return
      isOpen = false
      this.#dialing.delete(address)
      cancel()
      done(result, far)
    }
    const cancel = this.process.at(this.process.now().monotonicMs + this.limits.dialTimeoutMs, () => finish('lost'))
    if (address === this.#options.address) return this.process.turn(() => finish('own'))
    this.#carry(packet, () => {
      const listener = this.#fabric.ports.get(address)
      const back: Packet = { ...packet, from: packet.to, to: packet.from }
      if (listener === undefined || listener.process.isDead) {
        return this.#carry(back, () => this.process.enter(() => finish('refused')))
      }
      listener.process.enter(() => listener.#accept(this, hello, finish))
    })
  }

  refuse(code: Refusal['code'], far: LinkHello): void {
    const key = `${code} ${far.member}`
    if (this.#refusals.has(key) || this.#refusals.size >= 1_000) return
    this.#refusals.add(key)
    const reason =
      code === 'cluster'
        ? `${far.name} belongs to cluster ${far.cluster}, this member to ${this.hello().cluster}: they stay apart`
        : `${far.name} speaks versions ${far.versionMin} to ${far.versionMax}`
    this.told(code, reason, far.member)
  }

  told(code: Refusal['code'], reason: string, member: string): void {
    this.#listener?.refused({ code, reason, member })
  }

  take(end: End<Body>, lane: Lane, bodies: readonly Body[]): void {
    end.heardMs = this.process.now().monotonicMs
    this.#listener?.heard(end.member)
    for (const body of bodies) {
      if (end.state !== 'up') return
      if (this.#options.isFrozen === true) freeze(body)
      this.#listener?.message(end.member, lane, body)
    }
  }

  /** This end of a link is down. */
  downed(end: End<Body>, down: LinkDown): void {
    const wasUp = end.state === 'up'
    end.state = 'down'
    end.out.close()
    this.#cancels.get(end)?.()
    this.#cancels.delete(end)
    if (this.#ends.get(end.member) !== end) return
    this.#ends.delete(end.member)
    this.#fabric.world.note('link-down', this.process.name, end.member)
    if (wasUp) this.#listener?.linkDown(end.member, down)
    for (const target of this.#targets.values()) target.lost(end.member)
  }

  /** Told by a target whose address refused, or where somebody else answered. */
  absent(member: string, reason: string): void {
    if (this.#ends.has(member) || this.#absent.has(member)) return
    this.#absent.add(member)
    this.#listener?.linkDown(member, { refused: true, reason })
  }

  #accept(dialer: SimNetwork<Body>, theirs: LinkHello, finish: (result: DialResult, far?: LinkHello) => void): void {
    if (this.#listener === undefined) return
    const ours = this.hello()
    const [near, far] = openLink(this.#fabric, dialer, this)
    const answer = (word: () => void): void => far.out.say(() => word())
    if (ours.member === theirs.member) return answer(() => finish('own'))
    // Both dial at once: the dial of the smaller member goes on.
    const isCrossing = theirs.addresses.some(address => this.#dialing.has(address))
    if (isCrossing && ours.member < theirs.member) return answer(() => finish('lost', ours))
    const code = refusalOf(ours, theirs)
    if (code !== undefined) {
      this.refuse(code, theirs)
      return answer(() => {
        dialer.refuse(refusalOf(theirs, ours) ?? code, ours)
        finish('lost', ours)
      })
    }
    far.far = theirs
    answer(() => {
      if (dialer.#listener === undefined || dialer.#ends.has(ours.member)) return finish('up', ours)
      near.far = ours
      near.out.say(() => this.#raise(far, theirs))
      near.out.settleLanes()
      dialer.#raise(near, ours)
      finish('up', ours)
    })
  }

  #raise(end: End<Body>, far: LinkHello): void {
    if (this.#listener === undefined || end.other.state === 'down') return
    const before = this.#ends.get(far.member)
    if (before !== undefined) closeEnd(before, { refused: false, reason: 'replaced' }, false)
    this.#absent.delete(far.member)
    end.state = 'up'
    end.heardMs = this.process.now().monotonicMs
    this.#ends.set(far.member, end)
    this.#fabric.world.note('link-up', this.process.name, far.member)
    this.#watch(end)
    this.#listener.linkUp(far, Math.min(far.versionMax, this.hello().versionMax))
  }

  #rehear(end: End<Body>, far: LinkHello): void {
    if (end.state !== 'up') return
    end.far = far
    const apart = partingOf(this.hello(), far)
    if (apart !== undefined) {
      this.refuse(apart, far)
      return closeEnd(end, { refused: false, reason: 'another cluster' }, false)
    }
    this.#listener?.linkUp(far, Math.min(far.versionMax, this.hello().versionMax))
  }

  #watch(end: End<Body>): void {
    const nowMs = this.process.now().monotonicMs
    const look = (): void => {
      const silentMs = this.process.now().monotonicMs - end.heardMs
      if (silentMs >= this.limits.silenceMs) {
        return closeEnd(end, { refused: false, reason: `silent for ${Math.round(silentMs)} ms` }, false)
      }
      const { other } = end
      end.out.say(() => {
        if (other.state === 'up') other.network.take(other, 'control', [])
      })
      this.#watch(end)
    }
    this.#cancels.set(end, this.process.at(nowMs + this.limits.pingIntervalMs, look))
  }

  #resetLane(end: End<Body>, lane: Lane): void {
    const { other } = end
    end.out.reset(lane, () => {
      if (other.state === 'up') other.network.#listener?.laneReset(other.member, lane)
    })
    this.process.turn(() => {
      if (end.state === 'up') this.#listener?.laneReset(end.member, lane)
    })
  }

  #packetTo(address: string, kind: Packet['kind']): Packet {
    return { from: this.process.name, to: address.slice(0, address.lastIndexOf(':')), kind, lane: 'control' }
  }

  #carry(packet: Packet, arrive: () => void): void {
    const fate = this.#fabric.fate(packet)
    if (fate.kind === 'hold' || fate.kind === 'drop') return
    const delayMs = fate.kind === 'after' ? fate.delayMs : 0
    this.#fabric.world.after(delayMs + this.#fabric.latencyMs(packet), arrive)
  }
}

function keyOf(target: ConnectTarget): string {
  return target.member ?? target.addresses.join(' ')
}

/** As the first of them sees it. */
function partingOf(a: OwnHello, b: OwnHello): Refusal['code'] | undefined {
  return partedBy(a, b) ?? (partedBy(b, a) === 'recovered' ? 'superseded' : undefined)
}

function refusalOf(a: OwnHello, b: OwnHello): Refusal['code'] | undefined {
  const parting = partingOf(a, b)
  if (parting !== undefined) return parting
  return a.versionMin > b.versionMax || b.versionMin > a.versionMax ? 'version' : undefined
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const inner of Object.values(value)) freeze(inner)
}
