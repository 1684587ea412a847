/** The far end of a wire in the hands of a test: what it was sent, and whether it was closed. */
import type { Wire } from '../../../lib/transport/wires.ts'
import { type Frame, FrameDecoder } from '../../../lib/transport/frames.ts'

export class Stranger {
  readonly wire: Wire
  readonly frames: Frame[] = []
  isClosed = false

  constructor(wire: Wire) {
    this.wire = wire
    const decoder = new FrameDecoder(1_000_000)
    wire.open({
      bytes: chunk =>
        decoder.push(chunk, frame => {
          this.frames.push(frame)
          return true
        }),
      drain: () => undefined,
      closed: () => {
        this.isClosed = true
      },
    })
  }

  get kinds(): readonly string[] {
    return this.frames.map(frame => frame.kind)
  }
}
