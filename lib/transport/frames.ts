/**
 * Frames: what a link writes. A fixed header, then a body that only the receiver of the lane interprets.
 *
 *   bytes  0..3   body length, unsigned, big-endian
 *          4      kind
 *          5      version: 0 during admission, afterwards the version that both hellos agreed on
 *          6      lane
 *          7      0
 *          8..11  lane session, unsigned, big-endian
 *
 * Source and destination are implied by the connection and its lane session. A body longer than a piece travels as
 * several frames (`first`, `middle`..., `last`), so that a large one never keeps the other lanes waiting.
 */
import type { Lane } from '../base/machine.ts'
import { MalformedError } from '../base/errors.ts'

export const headerBytes = 12

/** Stable for ever; new kinds are only appended. */
const frameKinds = [
  'whole',
  'first',
  'middle',
  'last',
  'reset',
  'ping',
  'nonce',
  'proof',
  'hello',
  'ready',
  'refuse',
  'announce',
] as const
export type FrameKind = (typeof frameKinds)[number]
/** Stable for ever. */
export const lanes: readonly Lane[] = ['control', 'data', 'bulk']

export interface Frame {
  readonly kind: FrameKind
  readonly version: number
  readonly lane: Lane
  readonly session: number
  /** A view of the chunk it came in, or a copy if it came in several. */
  readonly body: Uint8Array
}

const codeByKind = Object.fromEntries(frameKinds.map((kind, code) => [kind, code])) as Readonly<
  Record<FrameKind, number>
>
const codeByLane = Object.fromEntries(lanes.map((lane, code) => [lane, code])) as Readonly<Record<Lane, number>>

/** Writes one frame into `target` at `at`; returns where the next one goes. `target` must have the room. */
export function writeFrame(target: Uint8Array, at: number, frame: Frame): number {
  const { body, session } = frame
  const length = body.length
  target[at] = length >>> 24
  target[at + 1] = length >>> 16
  target[at + 2] = length >>> 8
  target[at + 3] = length
  target[at + 4] = codeByKind[frame.kind]
  target[at + 5] = frame.version
  target[at + 6] = codeByLane[frame.lane]
  target[at + 7] = 0
  target[at + 8] = session >>> 24
  target[at + 9] = session >>> 16
  target[at + 10] = session >>> 8
  target[at + 11] = session
  target.set(body, at + headerBytes)
  return at + headerBytes + length
}

/** One frame in bytes of its own. */
export function encodeFrame(frame: Frame): Uint8Array {
  const bytes = new Uint8Array(headerBytes + frame.body.length)
  writeFrame(bytes, 0, frame)
  return bytes
}

/**
 * Cuts a byte stream into frames, however it was chunked. Holds at most one header and one body of the limit, and
 * checks the length before it holds anything. After it threw, the stream is lost.
 */
export class FrameDecoder {
  /** A longer body throws. May be raised between chunks (admission has a smaller one). */
  bodyBytesMax: number
  #parts: Uint8Array[] = []
  // sum of the lengths of #parts
  #heldBytes = 0
  // bytes to hold before the next look is worth while
  #wantedBytes = headerBytes

  constructor(bodyBytesMax: number) {
    this.bodyBytesMax = bodyBytesMax
  }

  /** Calls `take` with each frame that this chunk completes; `take` answering false leaves the rest undecoded, for ever. Throws MalformedError. */
  push(chunk: Uint8Array, take: (frame: Frame) => boolean): void {
    let bytes = chunk
    if (this.#heldBytes > 0) {
      this.#parts.push(chunk)
      this.#heldBytes += chunk.length
      if (this.#heldBytes < this.#wantedBytes) return
      bytes = joined(this.#parts, this.#heldBytes)
      this.#parts = []
      this.#heldBytes = 0
    }
    let at = 0
    this.#wantedBytes = headerBytes
    while (bytes.length - at >= headerBytes) {
      const length = this.#checkedLength(bytes, at)
      const end = at + headerBytes + length
      if (end > bytes.length) {
        this.#wantedBytes = headerBytes + length
        break
      }
      if (!take(frameAt(bytes, at, end))) return
      at = end
    }
    if (at < bytes.length) this.#hold(bytes, at)
  }

  #checkedLength(bytes: Uint8Array, at: number): number {
    const length = uint32At(bytes, at)
    if (length > this.bodyBytesMax)
      throw new MalformedError(`frame of ${length} bytes, at most ${this.bodyBytesMax} are accepted`)
    if ((bytes[at + 4] as number) >= frameKinds.length)
      throw new MalformedError(`frame of unknown kind ${bytes[at + 4]}`)
    if ((bytes[at + 6] as number) >= lanes.length || bytes[at + 7] !== 0)
      throw new MalformedError('frame header is malformed')
    return length
  }

  /** A short rest is copied, so that it does not keep its whole chunk alive. */
  #hold(bytes: Uint8Array, at: number): void {
    const rest = bytes.length - at < bytes.length / 2 ? bytes.slice(at) : bytes.subarray(at)
    this.#parts.push(rest)
    this.#heldBytes = rest.length
  }
}

function frameAt(bytes: Uint8Array, at: number, end: number): Frame {
  return {
    kind: frameKinds[bytes[at + 4] as number] as FrameKind,
    version: bytes[at + 5] as number,
    lane: lanes[bytes[at + 6] as number] as Lane,
    session: uint32At(bytes, at + 8),
    body: bytes.subarray(at + headerBytes, end),
  }
}

export function uint32At(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}

export function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
