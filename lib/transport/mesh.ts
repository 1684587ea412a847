/**
 * The Network over wires: admits, keeps one link per pair of peers, watches that each is heard, and stays connected to
 * its targets. The same for every kind of wire.
 *
 * Of several wires between two peers the end with the greater PeerId chooses. It keeps the one it chose first, unless
 * that is older than a second and the far end says that it has none: then the far end lost it, and the new one takes
 * its place. A new start of the same peer (same key, another member) replaces the old one.
 *
 * One timer serves all links (`#sweep`). Time in which this process did not run does not count as silence of others.
 */
import type { Env } from '../base/env.ts'
import type { Lane } from '../base/machine.ts'
import type { MemberId } from '../base/ids.ts'
import { InvalidError } from '../base/errors.ts'
import { formatAddress, parseAddress, reachable, refuseReachable, type Address } from './addresses.ts'
import { nonceBytes } from './admission.ts'
import { Dialer } from './dialer.ts'
import { lanes, uint32At } from './frames.ts'
import { helloCodec } from './hello.ts'
import { Link, type LinkOwner } from './link.ts'
import type { LaneSessions } from './lanes.ts'
import {
  type ConnectTarget,
  type HelloSource,
  type LinkHello,
  type OwnHello,
  type Network,
  type NetworkLimits,
  type NetworkListener,
  networkLimitsDefault,
  type Refusal,
} from './network.ts'
import { NetworkRefusals } from './network-refusals.ts'
import { DialError, type Wire, type Wires } from './wires.ts'

export interface MeshOptions {
  readonly env: Env
  readonly wires: Wires
  readonly hello: HelloSource
  /** Fresh random bytes from the system's entropy, for nonces and lane sessions. */
  readonly entropy: (byteCount: number) => Uint8Array
  /** The cluster's secret; default '': anybody who reaches the address may join. */
  readonly secret?: string
  /** What the cluster is called; part of the proof, so that peers of differently named ones never join. Default ''. */
  readonly clusterName?: string
  /** What to tell others instead of the addresses listened on, e.g. behind a load balancer. */
  readonly announce?: readonly string[]
  readonly limits?: Partial<NetworkLimits>
}

const steadyMs = 1_000
const sessionsOfNobody: LaneSessions = { control: 0, data: 0, bulk: 0 }

interface Dialed {
  readonly resolve: (member: MemberId) => void
  readonly reject: (error: DialError) => void
}

export class MeshNetwork implements Network<Uint8Array>, LinkOwner {
  readonly limits: NetworkLimits
  readonly #options: MeshOptions
  readonly #secret: string
  readonly #env: Env
  readonly #wires: Wires
  readonly #dialer: Dialer
  // every link that is not closed, up or not
  readonly #open = new Set<Link>()
  // by member, those that are up; in the order in which they came up
  readonly #links = new Map<MemberId, Link>()
  readonly #dialed = new Map<Link, Dialed>()
  readonly #dialing = new Map<string, Promise<MemberId>>()
  readonly #refusals: NetworkRefusals
  readonly #heard: Link[] = []
  readonly #dirty: Link[] = []
  // what to tell at the end of the turn, because it arose inside a call from the driver
  #untold: (() => void)[] = []
  #isTurnAsked = false
  #isInCall = false
  #listener: NetworkListener<Uint8Array> | undefined
  #addresses: readonly string[] = []
  #cancelSweep: (() => void) | undefined
  #sweepDueMs = 0

  constructor(options: MeshOptions) {
    this.#options = options
    this.#env = options.env
    this.#wires = options.wires
    this.limits = { ...networkLimitsDefault, ...options.limits }
    this.#refusals = new NetworkRefusals(options.env)
    this.#secret = `${options.clusterName ?? ''}\n${options.secret ?? ''}`
    this.#dialer = new Dialer(this.#env, this.limits, {
      dial: (address, signal) => this.#dial(address, signal),
      resolve: address => this.#wires.resolve(address),
      isLinked: member => this.#links.has(member),
      refused: (member, reason) => this.#tell(to => to.linkDown(member, { refused: true, reason })),
    })
  }

  get self(): { readonly member: MemberId; readonly peer: string; readonly addresses: readonly string[] } {
    return { member: this.#options.hello().member, peer: this.peer, addresses: this.#addresses }
  }

  get links(): readonly MemberId[] {
    return [...this.#links.keys()]
  }

  async start(listener: NetworkListener<Uint8Array>): Promise<void> {
    const announced = (this.#options.announce ?? []).map(parseAddress)
    if ((this.#options.secret ?? '') === '') refuseReachable([...this.#wires.listen, ...announced])
    this.#listener = listener
    try {
      const { wire: refused } = this.#refusals
      const listened = await this.#wires.start(wire => this.#accept(wire), refused)
      this.#addresses = (announced.length > 0 ? announced : reachable(listened)).map(formatAddress)
      const size = helloCodec.encode({ ...this.#ownHello(), isLinked: false, sessions: sessionsOfNobody }).length
      if (size + 256 > this.limits.helloBytesMax)
        throw new InvalidError(
          `name, zone and addresses take ${size} bytes, too many for a hello of ${this.limits.helloBytesMax}`,
        )
    } catch (error) {
      await this.stop()
      throw error
    }
    this.#armSweep()
  }

  async stop(): Promise<void> {
    this.#listener = undefined
    this.#cancelSweep?.()
    this.#refusals.close()
    this.#dialer.stop()
    for (const link of this.#open) link.close('stopping')
    await this.#wires.stop()
  }

  connect(target: ConnectTarget): void {
    if (target.member !== this.self.member) this.#inCall(() => this.#dialer.connect(target))
  }

  forget(target: ConnectTarget): void {
    this.#inCall(() => this.#dialer.forget(target))
  }

  send(member: MemberId, lane: Lane, body: Uint8Array): void {
    if (body.length > this.limits.frameBytesMax)
      return this.#log('error', 'transport.message-too-long', { member, lane, bytes: body.length })
    const link = this.#links.get(member)
    if (link === undefined) return
    if (!link.push(lane, body)) {
      this.#untold.push(() => this.#listener?.laneReset(member, lane))
      this.#log('warn', 'transport.lane-overrun', { member, lane })
    }
    if (!link.isDirty) {
      link.isDirty = true
      this.#dirty.push(link)
      this.#askTurn()
    }
  }

  drop(member: MemberId, reason: string): void {
    this.#inCall(() => this.#links.get(member)?.refuse({ code: 'malformed', reason }))
  }

  announce(): void {
    this.#inCall(() => {
      for (const link of this.#links.values()) link.announce()
    })
  }

  // LinkOwner: what links ask and tell

  /** Never a plain field: what prints a network must not print it. */
  get secret(): string {
    return this.#secret
  }

  get peer(): string {
    return this.#wires.peer
  }

  nowMs(): number {
    return this.#env.now().monotonicMs
  }

  hello(link: Link): ReturnType<LinkOwner['hello']> {
    const isLinked = [...this.#open].some(
      other => other !== link && other.isUp && other.wire.remotePeer === link.wire.remotePeer,
    )
    return { ...this.#ownHello(), isLinked }
  }

  decide(link: Link): void {
    if (this.#isImpostor(link)) return
    const nowMs = this.nowMs()
    for (const other of this.#sameWay(link)) {
      if (!other.isChosen) continue
      const isStale = other.member !== link.member || (!link.isLinkedThere && nowMs - other.chosenMs > steadyMs)
      if (!isStale) return link.close('another connection to this peer is in use')
      other.close('replaced by a newer connection')
    }
    link.choose()
  }

  up(link: Link): void {
    if (this.#isImpostor(link)) return
    // at the end that does not decide: the far end chose this one
    for (const other of this.#sameWay(link)) if (other.isUp) other.close('replaced by a newer connection')
    this.#links.set(link.member, link)
    this.#dialer.up(link.member)
    this.changed(link)
    this.#log('info', 'transport.link-up', {
      member: link.member,
      address: link.wire.remoteAddress,
      isDialer: link.wire.isDialer,
    })
    this.#settle(link)?.resolve(link.member)
  }

  changed(link: Link): void {
    const hello = link.hello as LinkHello
    this.#tell(to => to.linkUp(hello, link.version))
  }

  heard(link: Link): void {
    if (link.isHeard || !link.isUp) return
    link.isHeard = true
    this.#heard.push(link)
    this.#askTurn()
    this.#tell(to => to.heard(link.member))
  }

  message(link: Link, lane: Lane, body: Uint8Array): void {
    if (this.#untold.length > 0) this.#tellAll()
    this.#listener?.message(link.member, lane, body)
  }

  laneReset(link: Link, lane: Lane): void {
    this.#tell(to => to.laneReset(link.member, lane))
  }

  closed(link: Link, reason: string, refusal?: Pick<Refusal, 'code' | 'reason'>): void {
    this.#open.delete(link)
    if (refusal !== undefined) this.#tellRefusal(link, refusal)
    if (this.#links.get(link.member) === link) this.#down(link, reason, refusal !== undefined)
    const dialed = this.#settle(link)
    if (link.member !== '' && this.#links.has(link.member)) dialed?.resolve(link.member)
    else dialed?.reject(new DialError('failed', reason))
  }

  #down(link: Link, reason: string, isRefused: boolean): void {
    const { member } = link
    this.#links.delete(member)
    this.#tell(to => to.linkDown(member, { refused: false, reason }))
    if (this.#listener === undefined) return
    this.#log('info', 'transport.link-down', { member, reason })
    const hasHeld = this.nowMs() - link.upMs >= steadyMs
    this.#dialer.down(member, link.hello?.addresses ?? [], hasHeld && !isRefused)
  }

  #settle(link: Link): Dialed | undefined {
    const dialed = this.#dialed.get(link)
    this.#dialed.delete(link)
    return dialed
  }

  #accept(wire: Wire): void {
    let pendingCount = 0
    for (const link of this.#open) if (!link.isUp && !link.wire.isDialer) pendingCount++
    if (this.#listener === undefined || pendingCount >= this.limits.pendingWiresMax) {
      const reason = 'too many pending connections'
      this.#refusals.wire({ from: wire.remoteAddress, code: 'too-many', reason })
      return wire.abort(reason)
    }
    this.#openLink(wire)
  }

  /** Two targets with one address share a dial. */
  #dial(address: Address, signal: AbortSignal): Promise<MemberId> {
    const key = formatAddress(address)
    const running = this.#dialing.get(key)
    if (running !== undefined) return running
    const dial = this.#dialOnce(address, signal).finally(() => this.#dialing.delete(key))
    this.#dialing.set(key, dial)
    return dial
  }

  async #dialOnce(address: Address, signal: AbortSignal): Promise<MemberId> {
    const wire = await this.#wires.dial(address, signal)
    if (this.#listener === undefined || signal.aborted) {
      wire.abort('no longer wanted')
      throw new DialError('failed', 'no longer wanted')
    }
    return await new Promise((resolve, reject) => this.#openLink(wire, { resolve, reject }))
  }

  #openLink(wire: Wire, dialed?: Dialed): void {
    const random = this.#options.entropy(nonceBytes + 12)
    const [control = 0, data = 0, bulk = 0] = lanes.map((_, at) => uint32At(random, nonceBytes + 4 * at))
    const link = new Link(this, wire, random.slice(0, nonceBytes), { control, data, bulk })
    this.#open.add(link)
    if (dialed !== undefined) this.#dialed.set(link, dialed)
    link.open()
  }

  #ownHello(): OwnHello {
    return { ...this.#options.hello(), peer: this.peer, addresses: this.#addresses }
  }

  /** Open links to the same peer, this one left out. */
  #sameWay(link: Link): Link[] {
    return [...this.#open].filter(other => other !== link && other.wire.remotePeer === link.wire.remotePeer)
  }

  /** Refuses who bears the member id of somebody with another key. */
  #isImpostor(link: Link): boolean {
    const known = this.#links.get(link.member)
    const isOther =
      link.member === this.self.member || (known !== undefined && known.wire.remotePeer !== link.wire.remotePeer)
    if (isOther) link.refuse({ code: 'hello', reason: `member id ${link.member} belongs to another peer` })
    return isOther
  }

  #tellRefusal(link: Link, refusal: Pick<Refusal, 'code' | 'reason'>): void {
    if (this.#listener === undefined) return
    this.#refusals.link(link.wire, refusal)
    const member = link.member === '' ? {} : { member: link.member }
    this.#tell(to => to.refused({ ...refusal, address: link.wire.remoteAddress, ...member }))
  }

  #armSweep(): void {
    const periodMs = this.limits.pingIntervalMs / 2
    this.#sweepDueMs = this.nowMs() + periodMs
    this.#cancelSweep = this.#env.at(this.#sweepDueMs, () => this.#sweep())
  }

  #sweep(): void {
    const nowMs = this.nowMs()
    const lateMs = nowMs - this.#sweepDueMs
    for (const link of this.#open) {
      // bytes that came while this process slept are still unread
      if (lateMs > this.limits.pingIntervalMs) link.heardMs += lateMs
      const silentMs = nowMs - link.heardMs
      if (!link.isUp) {
        if (nowMs - link.startedMs >= this.limits.helloTimeoutMs)
          link.refuse({
            code: 'hello',
            reason: `${link.wire.remoteAddress} was not admitted within ${this.limits.helloTimeoutMs} ms`,
          })
      } else if (silentMs >= this.limits.silenceMs) link.close(`silent for ${Math.round(silentMs)} ms`)
      else if (nowMs - link.sentMs >= this.limits.pingIntervalMs / 2) link.ping()
    }
    this.#armSweep()
  }

  #inCall(act: () => void): void {
    this.#isInCall = true
    try {
      act()
    } finally {
      this.#isInCall = false
    }
  }

  /** Tells now, after what is untold, or at the end of the turn if inside a call from the driver. */
  #tell(event: (to: NetworkListener<Uint8Array>) => void): void {
    this.#untold.push(() => this.#listener && event(this.#listener))
    if (this.#isInCall) this.#askTurn()
    else this.#tellAll()
  }

  #tellAll(): void {
    const events = this.#untold
    this.#untold = []
    for (const event of events) event()
  }

  #askTurn(): void {
    if (this.#isTurnAsked) return
    this.#isTurnAsked = true
    this.#env.turn(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#isTurnAsked = false
    for (const link of this.#heard.splice(0)) link.isHeard = false
    for (const link of this.#dirty.splice(0)) {
      link.isDirty = false
      link.flush()
    }
    this.#tellAll()
  }

  #log(
    level: 'info' | 'warn' | 'error',
    event: string,
    fields: Readonly<Record<string, string | number | boolean>>,
  ): void {
    if (this.#listener !== undefined) this.#env.emit({ kind: 'emit', level, event, fields })
  }
}
