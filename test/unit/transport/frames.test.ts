import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedError } from '../../../lib/base/errors.ts'
import { encodeFrame, type Frame, FrameDecoder, headerBytes, lanes } from '../../../lib/transport/frames.ts'

const frame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.constantFrom(
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
  ),
  version: fc.nat(255),
  lane: fc.constantFrom(...lanes),
  session: fc.nat(0xffff_ffff),
  body: fc.uint8Array({ maxLength: 300 }),
})

function decode(chunks: readonly Uint8Array[], bodyBytesMax = 1_000): Frame[] {
  const decoder = new FrameDecoder(bodyBytesMax)
  const frames: Frame[] = []
  for (const chunk of chunks)
    decoder.push(chunk, each => {
      frames.push({ ...each, body: each.body.slice() })
      return true
    })
  return frames
}

/** Cuts bytes at the given places (taken modulo the length). */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map(place => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.slice(at[i], end))
}

describe('frames', () => {
  test('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.nat(10_000), { maxLength: 40 }), (frames, places) => {
        const bytes = new Uint8Array(Buffer.concat(frames.map(encodeFrame)))
        expect(decode(cut(bytes, places))).toEqual(frames)
      }),
    )
  })

  test('come out of a stream of single bytes', () => {
    const frames: Frame[] = [
      { kind: 'whole', version: 3, lane: 'bulk', session: 0xffff_ffff, body: Uint8Array.of(1, 2, 3) },
      { kind: 'ping', version: 3, lane: 'control', session: 1, body: new Uint8Array(0) },
    ]
    const bytes = Buffer.concat(frames.map(encodeFrame))
    expect(decode([...bytes].map(byte => Uint8Array.of(byte)))).toEqual(frames)
  })

  test('of a gigabyte are refused at the header, before anything is held', () => {
    const header = encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: new Uint8Array(0) })
    header.set([0x40, 0, 0, 0])
    expect(() => decode([header], 16 * 1024 * 1024)).toThrow(
      new MalformedError('frame of 1073741824 bytes, at most 16777216 are accepted'),
    )
  })

  test('of the limit pass, one byte more does not', () => {
    const body = new Uint8Array(1_000)
    expect(decode([encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body })])).toHaveLength(1)
    const more = encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: new Uint8Array(1_001) })
    expect(() => decode([more])).toThrow(MalformedError)
  })

  test('of garbage throw MalformedError or wait for more, and hold no more than the limit', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 30 }), chunks => {
        const decoder = new FrameDecoder(500)
        let heldBytes = 0
        const error = thrownBy(() => {
          for (const chunk of chunks) {
            heldBytes += chunk.length
            decoder.push(chunk, each => {
              heldBytes -= each.body.length + headerBytes
              return true
            })
            if (heldBytes >= 500 + headerBytes) throw new Error('holds too much')
          }
        })
        expect(error === undefined || error instanceof MalformedError).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['kind', 4, 99],
    ['lane', 6, 3],
    ['reserved byte', 7, 1],
  ])('of an unknown %s are refused', (_, at, value) => {
    const bytes = encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: new Uint8Array(0) })
    bytes[at] = value
    expect(() => decode([bytes])).toThrow(MalformedError)
  })

  test('are left undecoded once the taker wants no more', () => {
    const bytes = Buffer.concat(
      [1, 2, 3].map(session =>
        encodeFrame({ kind: 'ping', version: 1, lane: 'data', session, body: new Uint8Array(0) }),
      ),
    )
    const seen: number[] = []
    new FrameDecoder(100).push(bytes, each => seen.push(each.session) < 2)
    expect(seen).toEqual([1, 2])
  })

  test('that are short do not keep a large chunk alive', () => {
    const decoder = new FrameDecoder(100_000)
    const chunk = new Uint8Array(60_000)
    chunk.set(encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: new Uint8Array(59_970) }))
    let bodies: Frame[] = []
    decoder.push(chunk, each => {
      bodies = [each]
      return true
    })
    expect(bodies[0]?.body.buffer).toBe(chunk.buffer)
    // 18 bytes are left: the next header and six bytes
    chunk.fill(255, 59_982)
    expect(() =>
      decoder.push(
        encodeFrame({ kind: 'ping', version: 1, lane: 'data', session: 1, body: new Uint8Array(0) }),
        () => true,
      ),
    ).not.toThrow()
  })
})

function thrownBy(act: () => unknown): unknown {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}
