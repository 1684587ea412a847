/**
 * One direction of one link: three ordered lanes over one simulated TCP connection. Frames that a process sends at one
 * instant on one lane travel as one batch (one write). What a cut holds waits here, in order, until the cut heals or
 * the link goes down; a lane that holds more than its limit is reset, as the port demands.
 */
import type { Lane } from '../lib/base/machine.ts'
import type { Fabric } from './fabric.ts'
import type { SimProcess } from './env.ts'
import type { Packet } from './rules.ts'

export interface Receiver<Body> {
  readonly process: SimProcess
  /** False once the receiving end has closed the link. */
  isUp(): boolean
  take(lane: Lane, bodies: readonly Body[]): void
}

interface Batch<Body> {
  readonly sentUs: number
  readonly lane: Lane
  readonly session: number
  readonly bodies: Body[]
  bytes: number
  /** A word between the two ends (hello, reset, close) instead of bodies. */
  readonly word: (() => void) | undefined
}

interface LaneState<Body> {
  session: number
  lastUs: number
  heldBytes: number
  open: Batch<Body> | undefined
}

export class Channel<Body> {
  readonly label: string
  readonly #fabric: Fabric<Body>
  readonly #receiver: Receiver<Body>
  readonly #packets: Readonly<Record<Lane, Packet>>
  readonly #lanes: Readonly<Record<Lane, LaneState<Body>>> = { control: fresh(), data: fresh(), bulk: fresh() }
  #held: Batch<Body>[] = []

  constructor(fabric: Fabric<Body>, from: string, receiver: Receiver<Body>) {
    this.#fabric = fabric
    this.#receiver = receiver
    const to = receiver.process.name
    this.label = `${from}>${to}`
    const packet = (lane: Lane): Packet => ({ from, to, kind: 'frame', lane })
    this.#packets = { control: packet('control'), data: packet('data'), bulk: packet('bulk') }
  }

  get heldCount(): number {
    return this.#held.length
  }

  /** Returns false if the lane is over its limit: it has to be reset. */
  send(lane: Lane, body: Body, bytes: number, heldBytesMax: number): boolean {
    const state = this.#lanes[lane]
    const sentUs = this.#fabric.world.nowUs
    const open = state.open
    if (open !== undefined && open.sentUs === sentUs && !this.#fabric.hasDatagrams) {
      open.bodies.push(body)
      open.bytes += bytes
      if (this.#held.includes(open)) state.heldBytes += bytes
    } else {
      const batch: Batch<Body> = { sentUs, lane, session: state.session, bodies: [body], bytes, word: undefined }
      state.open = batch
      this.#dispatch(batch)
    }
    return state.heldBytes <= heldBytesMax
  }

  /** A word on the control lane, in order after everything sent before on any lane if `isLast`. */
  say(word: () => void, isLast = false): void {
    const lanes = this.#lanes
    if (isLast) lanes.control.lastUs = Math.max(lanes.control.lastUs, lanes.data.lastUs, lanes.bulk.lastUs)
    this.#dispatch(this.#wordOn('control', word))
    lanes.control.open = undefined
  }

  /** Nothing sent from now on arrives before what was said last. */
  settleLanes(): void {
    const lanes = this.#lanes
    lanes.data.lastUs = lanes.bulk.lastUs = Math.max(lanes.control.lastUs, lanes.data.lastUs, lanes.bulk.lastUs)
  }

  /** Ends the lane's session: what is under way is lost; `told` runs at the receiver before anything later on the lane. */
  reset(lane: Lane, told: () => void): void {
    const state = this.#lanes[lane]
    state.session++
    state.open = undefined
    state.heldBytes = 0
    this.#held = this.#held.filter(batch => batch.lane !== lane || batch.word !== undefined)
    this.#dispatch(this.#wordOn(lane, told))
  }

  /** Looks at the rules again. */
  release(): void {
    if (this.#held.length === 0) return
    if (this.#fabric.fate(this.#packets.control).kind === 'hold') return
    const held = this.#held
    this.#held = []
    for (const batch of held) this.#lanes[batch.lane].heldBytes = 0
    // TCP sends again after a back-off of its own.
    const delayMs = this.#fabric.retransmitMs()
    for (const batch of held) this.#deliver(batch, delayMs)
  }

  close(): void {
    this.#held = []
  }

  #wordOn(lane: Lane, word: () => void): Batch<Body> {
    const { session } = this.#lanes[lane]
    return { sentUs: this.#fabric.world.nowUs, lane, session, bodies: [], bytes: 0, word }
  }

  #dispatch(batch: Batch<Body>): void {
    const fate = this.#fabric.fate(this.#packets[batch.lane])
    if (this.#held.length > 0 || fate.kind === 'hold') return this.#hold(batch)
    switch (fate.kind) {
      case 'drop':
        return
      case 'double':
        this.#deliver(batch, 0)
        return this.#stray(batch, this.#fabric.retransmitMs())
      case 'stray':
        return this.#stray(batch, fate.delayMs)
      case 'after':
        return this.#deliver(batch, fate.delayMs)
      case 'pass':
        return this.#deliver(batch, 0)
    }
  }

  #hold(batch: Batch<Body>): void {
    this.#held.push(batch)
    this.#lanes[batch.lane].heldBytes += batch.bytes
    this.#fabric.holds(this)
  }

  #deliver(batch: Batch<Body>, delayMs: number): void {
    const { world } = this.#fabric
    const state = this.#lanes[batch.lane]
    const atMs = world.nowMs + delayMs + this.#fabric.latencyMs(this.#packets.control)
    state.lastUs = Math.max(state.lastUs, Math.ceil(atMs * 1000))
    world.at(state.lastUs / 1000, () => this.#receiver.process.enter(() => this.#receive(batch)))
  }

  #stray(batch: Batch<Body>, delayMs: number): void {
    const { world } = this.#fabric
    world.after(delayMs + this.#fabric.latencyMs(this.#packets.control), () =>
      this.#receiver.process.enter(() => this.#receive(batch)),
    )
  }

  #receive(batch: Batch<Body>): void {
    if (batch.word !== undefined) return batch.word()
    if (!this.#receiver.isUp() || this.#lanes[batch.lane].session !== batch.session) return
    if (batch === this.#lanes[batch.lane].open) this.#lanes[batch.lane].open = undefined
    for (const body of batch.bodies) {
      this.#fabric.world.note('deliver', this.label, body)
      this.#fabric.watch(body)
    }
    this.#receiver.take(batch.lane, batch.bodies)
  }
}

function fresh<Body>(): LaneState<Body> {
  return { session: 1, lastUs: 0, heldBytes: 0, open: undefined }
}
