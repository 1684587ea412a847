import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedError } from '../../../lib/base/errors.ts'
import type { Lane } from '../../../lib/base/machine.ts'
import { type Frame, FrameDecoder, lanes } from '../../../lib/transport/frames.ts'
import { Inbox, Outbox } from '../../../lib/transport/lanes.ts'
import { networkLimitsDefault, type NetworkLimits } from '../../../lib/transport/network.ts'

const sessions = { control: 7, data: 8, bulk: 9 }
const limits: NetworkLimits = {
  ...networkLimitsDefault,
  bulkPieceBytes: 10,
  bulkUnsentBytesMax: 100,
  laneUnsentBytesMax: 1_000,
  frameBytesMax: 500,
}

function framesOf(bytes: Uint8Array | undefined): Frame[] {
  const frames: Frame[] = []
  if (bytes !== undefined)
    new FrameDecoder(10_000).push(bytes, frame => {
      frames.push(frame)
      return true
    })
  return frames
}

function text(length: number, fill: string): Uint8Array {
  return Buffer.from(fill.repeat(length))
}

describe('outbox', () => {
  test('sends all lanes of a turn in one write: control, then data, then bulk', () => {
    const outbox = new Outbox(limits, sessions, 1)
    outbox.push('bulk', text(3, 'b'))
    outbox.push('data', text(3, 'd'))
    outbox.push('control', text(3, 'c'))
    outbox.pushUrgent('ping')
    const frames = framesOf(outbox.gather(0))
    expect(frames.map(frame => [frame.kind, frame.lane, frame.session])).toEqual([
      ['ping', 'control', 7],
      ['whole', 'control', 7],
      ['whole', 'data', 8],
      ['whole', 'bulk', 9],
    ])
    expect(outbox.gather(0)).toBeUndefined()
  })

  test('holds bulk back while its limit is unsent, then data, and control last', () => {
    const outbox = new Outbox(limits, sessions, 1)
    for (const lane of lanes) outbox.push(lane, text(5, 'x'))
    expect(framesOf(outbox.gather(400))).toEqual([])
    expect(framesOf(outbox.gather(200)).map(frame => frame.lane)).toEqual(['control'])
    expect(framesOf(outbox.gather(100)).map(frame => frame.lane)).toEqual(['data'])
    expect(framesOf(outbox.gather(99)).map(frame => frame.lane)).toEqual(['bulk'])
  })

  test('cuts a long message into pieces, so that control passes it by', () => {
    const outbox = new Outbox({ ...limits, bulkUnsentBytesMax: 22 }, sessions, 1)
    outbox.push('bulk', text(25, 'b'))
    expect(framesOf(outbox.gather(0)).map(frame => frame.kind)).toEqual(['first'])
    outbox.push('control', text(2, 'c'))
    expect(framesOf(outbox.gather(0)).map(frame => frame.kind)).toEqual(['whole', 'middle'])
    expect(framesOf(outbox.gather(0)).map(frame => [frame.kind, frame.body.length])).toEqual([['last', 5]])
  })

  test('resets a lane that runs over: what was unsent is gone, a new session begins, other lanes are untouched', () => {
    const outbox = new Outbox(limits, sessions, 1)
    outbox.push('data', text(5, 'd'))
    expect(outbox.push('bulk', text(400, 'a'))).toBe(true)
    expect(outbox.push('bulk', text(400, 'b'))).toBe(true)
    expect(outbox.push('bulk', text(400, 'c'))).toBe(false)
    expect(outbox.unsentBytes('bulk')).toBe(0)
    outbox.push('bulk', text(4, 'd'))
    expect(framesOf(outbox.gather(0)).map(frame => [frame.kind, frame.lane, frame.session])).toEqual([
      ['reset', 'bulk', 10],
      ['whole', 'data', 8],
      ['whole', 'bulk', 10],
    ])
  })

  test('takes a lone message over the limit of the lane', () => {
    const outbox = new Outbox({ ...limits, laneUnsentBytesMax: 100 }, sessions, 1)
    expect(outbox.push('bulk', text(400, 'a'))).toBe(true)
    expect(outbox.push('bulk', text(1, 'a'))).toBe(false)
  })

  test('says one reset however often a lane ran over', () => {
    const outbox = new Outbox(limits, sessions, 1)
    for (let i = 0; i < 50; i++) outbox.push('data', text(400, 'a'))
    expect(framesOf(outbox.gather(0)).filter(frame => frame.kind === 'reset')).toHaveLength(1)
  })

  test('counts what is unsent exactly', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...lanes), fc.nat(60)), { maxLength: 30 }),
        fc.nat(300),
        (sends, wireUnsentBytes) => {
          const outbox = new Outbox({ ...limits, laneUnsentBytesMax: 100_000 }, sessions, 1)
          for (const [lane, length] of sends) outbox.push(lane, text(length, 'x'))
          outbox.gather(wireUnsentBytes)
          for (let i = 0; i < 1_000 && outbox.gather(0) !== undefined; i++);
          expect(lanes.map(lane => outbox.unsentBytes(lane))).toEqual([0, 0, 0])
        },
      ),
    )
  })
})

describe('inbox', () => {
  test('gives back what an outbox was given, lane by lane, in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...lanes), fc.uint8Array({ maxLength: 70 }), fc.nat(150)), { maxLength: 40 }),
        sends => {
          const outbox = new Outbox({ ...limits, laneUnsentBytesMax: 100_000 }, sessions, 1)
          const inbox = new Inbox(500, sessions)
          const got: [Lane, Uint8Array][] = []
          const take = (bytes: Uint8Array | undefined): void => {
            for (const frame of framesOf(bytes)) {
              const body = inbox.accept(frame)
              if (body !== undefined) got.push([frame.lane, new Uint8Array(body)])
            }
          }
          for (const [lane, body, wireUnsentBytes] of sends) {
            outbox.push(lane, body)
            take(outbox.gather(wireUnsentBytes))
          }
          for (let bytes = outbox.gather(0); bytes !== undefined; bytes = outbox.gather(0)) take(bytes)
          for (const lane of lanes)
            expect(got.filter(([on]) => on === lane).map(([, body]) => body)).toEqual(
              sends.filter(([on]) => on === lane).map(([, body]) => body),
            )
        },
      ),
    )
  })

  test('drops late frames of a session that ended, also the pieces of half a message', () => {
    const inbox = new Inbox(500, sessions)
    const frame = (kind: Frame['kind'], session: number): Frame => ({
      kind,
      version: 1,
      lane: 'data',
      session,
      body: Uint8Array.of(1),
    })
    expect(inbox.accept(frame('first', 8))).toBeUndefined()
    inbox.reset('data', 9)
    expect(inbox.accept(frame('last', 8))).toBeUndefined()
    expect(inbox.accept(frame('whole', 8))).toBeUndefined()
    expect(inbox.accept(frame('whole', 9))).toEqual(Uint8Array.of(1))
  })

  test('refuses pieces out of place, and a message over the limit', () => {
    const frame = (kind: Frame['kind'], length: number): Frame => ({
      kind,
      version: 1,
      lane: 'data',
      session: 8,
      body: new Uint8Array(length),
    })
    expect(() => new Inbox(500, sessions).accept(frame('middle', 1))).toThrow(MalformedError)
    const half = new Inbox(500, sessions)
    half.accept(frame('first', 1))
    expect(() => half.accept(frame('whole', 1))).toThrow(MalformedError)
    const large = new Inbox(500, sessions)
    large.accept(frame('first', 400))
    expect(() => large.accept(frame('middle', 101))).toThrow('message of more than 500 bytes on lane data')
  })
})
