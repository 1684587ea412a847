/**
 * The three lanes of one link, sending side (Outbox) and receiving side (Inbox).
 *
 * All lanes share one stream of the connection. What goes out is chosen when the wire has room: control first, then
 * data, then bulk, each only while little is unsent, so that a snapshot never keeps a heartbeat waiting for more than
 * the bytes already handed over.
 *
 * Decision: one stream with own priorities instead of a stream per lane, because a turn's messages of all lanes then
 * leave in one write: 60 small messages over three lanes cost 190 us of CPU a turn there and back, against 430 to 490
 * over three streams. Streams of one connection share its socket buffer anyhow, without any order among them.
 */
import { MalformedError } from '../base/errors.ts'
import type { Lane } from '../base/machine.ts'
import { type Frame, type FrameKind, headerBytes, joined, lanes, writeFrame } from './frames.ts'
import type { NetworkLimits } from './network.ts'

export type LaneSessions = Readonly<Record<Lane, number>>

/** Unsent bytes of the wire below which a lane may add to them, as a multiple of the limit of bulk. */
const holdFactor: Readonly<Record<Lane, number>> = { control: 4, data: 2, bulk: 1 }
const noBytes = new Uint8Array(0)

interface Queue {
  session: number
  bodies: Uint8Array[]
  // 0 <= head <= bodies.length; the ones before it are sent
  head: number
  // 0 <= sentBytes < length of the body at head: pieces of it that left already
  sentBytes: number
  // bytes of bodies not yet handed to the wire, headers included
  unsentBytes: number
}

export class Outbox {
  readonly #limits: NetworkLimits
  readonly #queues: Readonly<Record<Lane, Queue>>
  readonly #version: number
  // frames of the link itself, ahead of all lanes
  #urgent: Frame[] = []

  constructor(limits: NetworkLimits, sessions: LaneSessions, version: number) {
    this.#limits = limits
    this.#version = version
    this.#queues = { control: queue(sessions.control), data: queue(sessions.data), bulk: queue(sessions.bulk) }
  }

  /** Queues a message. False if that took the lane over its limit: everything unsent of the lane is gone, this message too, and a new session began. */
  push(lane: Lane, body: Uint8Array): boolean {
    const to = this.#queues[lane]
    const unsentBytes = to.unsentBytes + body.length + headerBytes
    // a lone message always fits, however large: it is below frameBytesMax
    if (to.unsentBytes > 0 && unsentBytes > this.#limits.laneUnsentBytesMax) {
      this.#reset(lane, to)
      return false
    }
    to.bodies.push(body)
    to.unsentBytes = unsentBytes
    return true
  }

  /** Queues a frame of the link itself: ping, announce. */
  pushUrgent(kind: FrameKind, body: Uint8Array = noBytes): void {
    this.#urgent.push({ kind, version: this.#version, lane: 'control', session: this.#queues.control.session, body })
  }

  /** Bytes of all frames that may leave now, in one piece for one write; undefined if none may. */
  gather(wireUnsentBytes: number): Uint8Array | undefined {
    let length = 0
    for (const frame of this.#urgent) length += headerBytes + frame.body.length
    const counts = lanes.map(lane => {
      const room = this.#limits.bulkUnsentBytesMax * holdFactor[lane] - wireUnsentBytes
      const planned = this.#plan(this.#queues[lane], room - length)
      length += planned.length
      return planned.frames
    })
    if (length === 0) return undefined
    const bytes = Buffer.allocUnsafe(length)
    let at = 0
    for (const frame of this.#urgent) at = writeFrame(bytes, at, frame)
    this.#urgent = []
    lanes.forEach((lane, i) => {
      for (let frames = counts[i] as number; frames > 0; frames--)
        at = writeFrame(bytes, at, this.#next(lane, this.#queues[lane]))
    })
    return bytes
  }

  /** Messages and bytes not yet handed to the wire. */
  unsentBytes(lane: Lane): number {
    return this.#queues[lane].unsentBytes
  }

  /** How many frames may leave while `room` is above zero, and their bytes. */
  #plan(from: Queue, room: number): { frames: number; length: number } {
    let frames = 0
    let length = 0
    let sentBytes = from.sentBytes
    for (let at = from.head; at < from.bodies.length && length < room;) {
      const left = (from.bodies[at] as Uint8Array).length - sentBytes
      const piece = Math.min(left, this.#limits.bulkPieceBytes)
      frames++
      length += headerBytes + piece
      sentBytes += piece
      if (piece === left) {
        at++
        sentBytes = 0
      }
    }
    return { frames, length }
  }

  #next(lane: Lane, from: Queue): Frame {
    const body = from.bodies[from.head] as Uint8Array
    const start = from.sentBytes
    const end = Math.min(body.length, start + this.#limits.bulkPieceBytes)
    const isLast = end === body.length
    if (isLast) leave(from)
    else from.sentBytes = end
    from.unsentBytes -= end - start + (isLast ? headerBytes : 0)
    const kind = start === 0 ? (isLast ? 'whole' : 'first') : isLast ? 'last' : 'middle'
    return {
      kind,
      version: this.#version,
      lane,
      session: from.session,
      body: kind === 'whole' ? body : body.subarray(start, end),
    }
  }

  #reset(lane: Lane, from: Queue): void {
    from.session = (from.session + 1) >>> 0
    from.bodies = []
    from.head = 0
    from.sentBytes = 0
    from.unsentBytes = 0
    // a lane that keeps running over needs one word only: the newest
    this.#urgent = this.#urgent.filter(frame => frame.kind !== 'reset' || frame.lane !== lane)
    this.#urgent.push({ kind: 'reset', version: this.#version, lane, session: from.session, body: noBytes })
  }
}

interface Assembly {
  session: number
  parts: Uint8Array[]
  // sum of the lengths of parts, 0 <= bytes <= frameBytesMax; parts is empty unless a body is under way
  bytes: number
}

export class Inbox {
  readonly #frameBytesMax: number
  readonly #assemblies: Readonly<Record<Lane, Assembly>>

  constructor(frameBytesMax: number, sessions: LaneSessions) {
    this.#frameBytesMax = frameBytesMax
    this.#assemblies = {
      control: assembly(sessions.control),
      data: assembly(sessions.data),
      bulk: assembly(sessions.bulk),
    }
  }

  /** The body that this frame completes, if any. Frames of another session are late and dropped. Throws MalformedError. */
  accept(frame: Frame): Uint8Array | undefined {
    const into = this.#assemblies[frame.lane]
    if (frame.session !== into.session) return undefined
    const isContinued = frame.kind === 'middle' || frame.kind === 'last'
    if (isContinued !== into.parts.length > 0)
      throw new MalformedError(`frame '${frame.kind}' of lane ${frame.lane} is out of place`)
    if (frame.kind === 'whole') return frame.body
    into.bytes += frame.body.length
    if (into.bytes > this.#frameBytesMax)
      throw new MalformedError(`message of more than ${this.#frameBytesMax} bytes on lane ${frame.lane}`)
    into.parts.push(frame.body)
    if (frame.kind !== 'last') return undefined
    const body = joined(into.parts, into.bytes)
    into.parts = []
    into.bytes = 0
    return body
  }

  /** The far end began a new session of this lane. */
  reset(lane: Lane, session: number): void {
    Object.assign(this.#assemblies[lane], assembly(session))
  }
}

function leave(from: Queue): void {
  from.bodies[from.head] = noBytes
  from.head++
  from.sentBytes = 0
  if (from.head === from.bodies.length) {
    from.bodies = []
    from.head = 0
  } else if (from.head >= 1024 && from.head * 2 >= from.bodies.length) {
    from.bodies = from.bodies.slice(from.head)
    from.head = 0
  }
}

function queue(session: number): Queue {
  return { session, bodies: [], head: 0, sentBytes: 0, unsentBytes: 0 }
}

function assembly(session: number): Assembly {
  return { session, parts: [], bytes: 0 }
}
