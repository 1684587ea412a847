/**
 * One wire's life: admission, then lanes, until it closes. Two ends agree that it is up by two `ready` frames: the end
 * with the greater PeerId (the *decider*) sends the first when it chose this wire, the other end answers, and each is up
 * when it has the other's. So a link that is up was heard by both ends, and of several wires between two peers one end
 * alone chooses, without a race.
 *
 * What it does not do: know other wires, dial, or hold timers (mesh.ts sweeps).
 */
import { supersedes } from '../base/lineage.ts'
import { MalformedError } from '../base/errors.ts'
import type { Lane } from '../base/machine.ts'
import { Admission, type AdmissionStep } from './admission.ts'
import { encodeFrame, type Frame, FrameDecoder, type FrameKind } from './frames.ts'
import { agree, helloCodec, linkHello, type WireHello } from './hello.ts'
import { Inbox, type LaneSessions, Outbox } from './lanes.ts'
import type { LinkHello, NetworkLimits, OwnHello, Refusal } from './network.ts'
import { codec } from './codec.ts'
import { record, string } from '../base/shape.ts'
import type { Wire } from './wires.ts'

export interface LinkOwner {
  readonly limits: NetworkLimits
  readonly secret: string
  readonly peer: string
  nowMs(): number
  /** The own hello towards this peer, as it is now. */
  hello(link: Link): Omit<WireHello, 'sessions'> & Pick<OwnHello, 'isKept'>
  /** Admitted, and this end decides: call `link.choose()`, `link.close()`, or neither yet. */
  decide(link: Link): void
  up(link: Link): void
  /** The far end's hello changed while up. */
  changed(link: Link): void
  heard(link: Link): void
  message(link: Link, lane: Lane, body: Uint8Array): void
  laneReset(link: Link, lane: Lane): void
  /** Told once. */
  closed(link: Link, reason: string, refusal?: Pick<Refusal, 'code' | 'reason'>): void
}

type LinkState = 'admitting' | 'waiting' | 'chosen' | 'up' | 'closed'

const refusalCodes: readonly string[] = [
  'cluster',
  'recovered',
  'version',
  'secret',
  'hello',
  'malformed',
] satisfies Refusal['code'][]
const refusalCodec = codec(record<{ code: string; reason: string }>({ code: string, reason: string }))
const noBytes = new Uint8Array(0)

export class Link {
  readonly wire: Wire
  readonly startedMs: number
  /** When it was chosen (at the decider), and when it came up; monotonic ms. */
  chosenMs = 0
  upMs = 0
  /** Monotonic ms of the last byte from, and to, the far end. */
  heardMs: number
  sentMs: number
  /** For the owner: told of bytes in this turn; listed for a flush. */
  isHeard = false
  isDirty = false
  readonly #owner: LinkOwner
  readonly #admission: Admission
  readonly #decoder: FrameDecoder
  readonly #sessions: LaneSessions
  #state: LinkState = 'admitting'
  #hello: WireHello | undefined
  #version = 0
  #toldCluster = ''
  #outbox: Outbox | undefined
  #inbox: Inbox | undefined
  // 0 <= helloBytes <= helloBytesMax until up
  #helloBytes = 0

  constructor(owner: LinkOwner, wire: Wire, nonce: Uint8Array, sessions: LaneSessions) {
    const nowMs = owner.nowMs()
    this.#owner = owner
    this.wire = wire
    this.startedMs = nowMs
    this.heardMs = nowMs
    this.sentMs = nowMs
    this.#sessions = sessions
    this.#decoder = new FrameDecoder(owner.limits.helloBytesMax)
    const { secret, peer: localPeer } = owner
    const parties = { secret, localPeer, remotePeer: wire.remotePeer, isDialer: wire.isDialer, nonce }
    this.#admission = new Admission(parties, () => this.#ownHello())
  }

  open(): void {
    this.wire.open({
      bytes: chunk => this.#onBytes(chunk),
      drain: () => this.flush(),
      closed: reason => this.#end(reason),
    })
    this.#perform(this.#admission.begin())
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  /** Chosen or up: the one wire of its pair, as far as this end decides. */
  get isChosen(): boolean {
    return this.#state === 'chosen' || this.#state === 'up'
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Known once admitted. */
  get hello(): LinkHello | undefined {
    return this.#hello && linkHello(this.#hello)
  }

  get member(): string {
    return this.#hello?.member ?? ''
  }

  /** What the far end said at admission: it had another link to here. */
  get isLinkedThere(): boolean {
    return this.#hello?.isLinked ?? false
  }

  get version(): number {
    return this.#version
  }

  /** This end has the greater PeerId. */
  get isDecider(): boolean {
    return this.#owner.peer > this.wire.remotePeer
  }

  /** The decider takes this wire. */
  choose(): void {
    if (this.#state !== 'waiting') return
    this.#state = 'chosen'
    this.chosenMs = this.#owner.nowMs()
    this.#write('ready')
  }

  /** False if the lane ran over and was reset. Only while up. */
  push(lane: Lane, body: Uint8Array): boolean {
    return (this.#outbox as Outbox).push(lane, body)
  }

  ping(): void {
    this.#outbox?.pushUrgent('ping')
    this.flush()
  }

  announce(): void {
    if (this.#state !== 'up') return
    this.#outbox?.pushUrgent('announce', this.#ownHello())
    this.flush()
    this.#check()
  }

  /** Hands to the wire what it has room for. */
  flush(): void {
    const outbox = this.#outbox
    if (outbox === undefined || this.#state !== 'up') return
    for (;;) {
      const bytes = outbox.gather(this.wire.unsentBytes)
      if (bytes === undefined) return
      this.sentMs = this.#owner.nowMs()
      this.wire.write(bytes)
    }
  }

  /** Closes after telling the far end why. */
  refuse(refusal: Pick<Refusal, 'code' | 'reason'>): void {
    if (this.#state === 'closed') return
    this.#write('refuse', refusalCodec.encode(refusal))
    this.#end(refusal.reason, refusal)
  }

  close(reason: string): void {
    if (this.#state === 'up') this.flush()
    this.#end(reason)
  }

  #onBytes(chunk: Uint8Array): void {
    if (this.#state === 'closed') return
    this.heardMs = this.#owner.nowMs()
    this.#owner.heard(this)
    try {
      if (this.#state !== 'up') this.#count(chunk.length)
      this.#decoder.push(chunk, frame => this.#onFrame(frame))
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.refuse({ code: 'malformed', reason: `${this.#far()} sent what is not understood: ${error.message}` })
    }
  }

  /** Bytes of the chunk that brings `ready` may be messages already: counted when they are decoded, not before. */
  #count(bytes: number): void {
    this.#helloBytes += bytes
    if (this.#state === 'admitting' && this.#helloBytes > this.#owner.limits.helloBytesMax)
      throw new MalformedError(`more than ${this.#owner.limits.helloBytesMax} bytes before admission`)
  }

  /** False once closed. */
  #onFrame(frame: Frame): boolean {
    if (frame.kind === 'refuse') this.#onRefuse(frame.body)
    else if (this.#state === 'up') this.#onTraffic(frame)
    else if (frame.version !== 0) throw new MalformedError(`frame of version ${frame.version} before admission`)
    else if (frame.kind === 'ready') this.#onReady()
    else this.#perform(this.#admission.receive(frame.kind, frame.body))
    return this.#state !== 'closed'
  }

  #onTraffic(frame: Frame): void {
    if (frame.version !== this.#version)
      throw new MalformedError(`frame of version ${frame.version}, agreed is ${this.#version}`)
    switch (frame.kind) {
      case 'whole':
      case 'first':
      case 'middle':
      case 'last': {
        const body = (this.#inbox as Inbox).accept(frame)
        if (body !== undefined) this.#owner.message(this, frame.lane, body)
        return
      }
      case 'reset':
        ;(this.#inbox as Inbox).reset(frame.lane, frame.session)
        return this.#owner.laneReset(this, frame.lane)
      case 'ping':
        return
      case 'announce':
        return this.#onAnnounce(helloCodec.decode(frame.body))
      default:
        throw new MalformedError(`frame '${frame.kind}' after admission`)
    }
  }

  #perform(steps: readonly AdmissionStep[]): void {
    for (const step of steps) {
      if (step.kind === 'send') this.#write(step.frame, step.body)
      else if (step.kind === 'admitted') this.#onHello(helloCodec.decode(step.hello))
      else
        this.refuse({
          code: 'secret',
          reason: `${this.#far()} holds another cluster secret, or belongs to a cluster of another name: give every peer the same --secret-file and --cluster`,
        })
    }
  }

  #onHello(hello: WireHello): void {
    if (this.#state !== 'admitting' || hello.peer !== this.wire.remotePeer)
      throw new MalformedError('hello of another peer')
    this.#hello = hello
    this.#state = 'waiting'
    if (this.#check() && this.isDecider) this.#owner.decide(this)
  }

  #onAnnounce(hello: WireHello): void {
    if (hello.peer !== this.wire.remotePeer || hello.member !== this.member)
      throw new MalformedError('announce of another member')
    this.#hello = hello
    if (this.#check()) this.#owner.changed(this)
  }

  /** Refuses unless both hellos, as they are now, agree. */
  #check(): boolean {
    const agreed = agree(this.#owner.hello(this), this.#hello as WireHello)
    if ('version' in agreed) {
      if (this.#state !== 'up') this.#version = agreed.version
      return true
    }
    this.refuse(agreed)
    return false
  }

  #onReady(): void {
    const isExpected = this.isDecider ? this.#state === 'chosen' : this.#state === 'waiting'
    if (!isExpected) throw new MalformedError('ready out of turn')
    // the own cluster may have changed since the hello was told
    if (!this.#check()) return
    if (!this.isDecider) this.#write('ready')
    const { limits } = this.#owner
    this.#outbox = new Outbox(limits, this.#sessions, this.#version)
    this.#inbox = new Inbox(limits.frameBytesMax, (this.#hello as WireHello).sessions)
    this.#decoder.bodyBytesMax = limits.frameBytesMax
    this.#state = 'up'
    this.upMs = this.#owner.nowMs()
    this.#owner.up(this)
    // told before it changed, and `announce` passes by what is not up
    if (this.#owner.hello(this).cluster !== this.#toldCluster) this.announce()
  }

  #onRefuse(body: Uint8Array): void {
    const { code, reason } = refusalCodec.decode(body)
    if (!refusalCodes.includes(code)) throw new MalformedError('refusal of unknown code')
    const text = reason.slice(0, 500).replace(/[^\x20-\x7e]/g, '?')
    // The far end's own hello must say so too: anybody else may say anything.
    const isSuperseded = code === 'recovered' && supersedes(this.#hello?.cluster ?? '', this.#owner.hello(this).cluster)
    this.#end(`refused by ${this.#far()}`, {
      code: isSuperseded ? 'superseded' : (code as Refusal['code']),
      reason: `refused by ${this.#far()}: ${text}`,
    })
  }

  #ownHello(): Uint8Array {
    const hello = this.#owner.hello(this)
    this.#toldCluster = hello.cluster
    return helloCodec.encode({ ...hello, sessions: this.#sessions })
  }

  /** Frames of admission go out at once. */
  #write(kind: FrameKind, body: Uint8Array = noBytes): void {
    const version = this.#state === 'up' ? this.#version : 0
    this.wire.write(encodeFrame({ kind, version, lane: 'control', session: 0, body }))
  }

  #far(): string {
    return this.#hello === undefined ? this.wire.remoteAddress : `${this.#hello.name} (${this.wire.remoteAddress})`
  }

  #end(reason: string, refusal?: Pick<Refusal, 'code' | 'reason'>): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#outbox = undefined
    this.#inbox = undefined
    this.wire.close()
    this.#owner.closed(this, reason, refusal)
  }
}
