import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { MalformedError } from '../../../lib/base/errors.ts'
import { bytes, list, optional, plain, record, string, uint, variants, type Plain } from '../../../lib/base/shape.ts'
import { codec } from '../../../lib/transport/codec.ts'

type Message =
  | { readonly kind: 'put'; readonly id: number; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'note'; readonly words: readonly string[]; readonly detail: Plain }

const wire = codec(
  variants<Message>({
    put: [1, record({ id: uint, key: string, value: bytes })],
    note: [2, record({ words: list(string), detail: plain })],
  }),
)

const detail: fc.Arbitrary<Plain> = fc.letrec<{ plain: Plain }>(tie => ({
  plain: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map(value => value + 0),
    fc.string({ unit: 'binary' }),
    fc.uint8Array(),
    fc.array(tie('plain')),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie('plain')),
  ),
})).plain

describe('codec', () => {
  test('gives back what it was given', () => {
    const message = fc.oneof(
      fc.record<Message & { kind: 'put' }>({
        kind: fc.constant('put'),
        id: fc.maxSafeInteger().map(Math.abs),
        key: fc.string({ unit: 'binary' }),
        value: fc.uint8Array(),
      }),
      fc.record<Message & { kind: 'note' }>({ kind: fc.constant('note'), words: fc.array(fc.string()), detail }),
    )
    fc.assert(
      fc.property(message, each => {
        const back = wire.decode(wire.encode(each))
        expect(JSON.stringify(back, asText)).toBe(JSON.stringify(each, asText))
      }),
    )
  })

  test('decodes to copies, so that a value kept does not keep the chunk', () => {
    const chunk = Buffer.alloc(60_000)
    const encoded = wire.encode({ kind: 'put', id: 1, key: 'k', value: Uint8Array.of(1, 2, 3) })
    chunk.set(encoded, 100)
    const message = wire.decode(chunk.subarray(100, 100 + encoded.length))
    chunk.fill(255)
    if (message.kind !== 'put') throw new Error('another kind')
    expect([...message.value]).toEqual([1, 2, 3])
    expect(message.value.buffer.byteLength).toBeLessThanOrEqual(2_048)
    expect(message.value.constructor).toBe(Uint8Array)
  })

  test('encodes anew each time: what was encoded before stays', () => {
    const first = wire.encode({ kind: 'put', id: 1, key: 'a'.repeat(100), value: new Uint8Array(100) })
    const before = Buffer.from(first).toString('hex')
    for (let i = 0; i < 1_000; i++)
      wire.encode({ kind: 'put', id: i, key: 'b'.repeat(100), value: new Uint8Array(100).fill(1) })
    expect(Buffer.from(first).toString('hex')).toBe(before)
  })

  test('throws MalformedError, and nothing else, on bytes of any kind', () => {
    const seen = (raw: Uint8Array): void => {
      const error = thrownBy(() => wire.decode(raw))
      expect(error === undefined || error instanceof MalformedError).toBe(true)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), seen), { numRuns: 2_000 })
    const whole = wire.encode({ kind: 'note', words: ['a', 'b'], detail: { x: [1, 2, { y: 'z' }] } })
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bent = Uint8Array.from(whole)
        bent[at] = byte
        seen(bent)
        seen(whole.slice(0, at))
      }),
      { numRuns: 2_000 },
    )
  })

  test.each<[string, readonly number[]]>([
    ['nothing', []],
    ['an array of 2^32 - 1', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a map of 2^32 - 1', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['bytes of 2^31', [0xc6, 0x80, 0, 0, 0]],
    ['text of 2^31', [0xdb, 0x80, 0, 0, 0]],
    ['ten thousand arrays in each other', Array.from({ length: 10_000 }, () => 0x91)],
    ['a hundred and one arrays in each other', [0x92, 2, 0x92, 0x90, ...Array.from({ length: 101 }, () => 0x91), 0xc0]],
    ['two values', [0x92, 1, 0x90, 1]],
    ['another kind', [0x92, 9, 0x90]],
    ['a name for a kind', [0x92, 0xa6, ...Buffer.from('length'), 0x90]],
    ['another name for a kind', [0x92, 0xa3, ...Buffer.from('map'), 0x90]],
    ['a bigint for an id', [0x92, 1, 0x93, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xa0, 0xc4, 0]],
  ])('refuses %s', (_, raw) => {
    expect(() => wire.decode(Uint8Array.from(raw))).toThrow(MalformedError)
  })

  test('speaks msgpack: what others write is read, and the other way round', () => {
    const packr = new Packr({ useRecords: false, int64AsType: 'number' })
    const same = (a: unknown, b: unknown): void => expect(JSON.stringify(a, asText)).toBe(JSON.stringify(b, asText))
    const other = fc.oneof(
      detail,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
      fc.integer(),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.array(other), (word, details) => {
        const note = codec(plain)
        same(packr.unpack(note.encode([word, ...details])), [word, ...details])
        same(note.decode(packr.pack([word, ...details])), [word, ...details])
      }),
    )
  })

  test('text comes back as it was, also halves of a pair', () => {
    const key = 'a\ud83d b \ude00 \u00e9 \u20ac \u{1f986}'
    const message = wire.decode(wire.encode({ kind: 'put', id: 1, key, value: new Uint8Array(0) }))
    expect(message).toMatchObject({ key })
  })

  test('fields that a later version appended are passed over, those that it has and this has not are undefined', () => {
    const old = codec(record({ a: uint, b: optional(uint) }))
    const later = codec(record({ a: uint, b: optional(uint), c: plain, d: list(string) }))
    expect(old.decode(later.encode({ a: 1, b: 2, c: { x: [new Uint8Array(300)] }, d: ['y'] }))).toEqual({ a: 1, b: 2 })
    expect(old.encode({ a: 1, b: undefined })).toEqual(Uint8Array.of(0x91, 1))
    const older = codec(record({ a: uint }))
    expect(old.decode(older.encode({ a: 1 }))).toEqual({ a: 1 })
    expect(() => later.decode(older.encode({ a: 1 }))).toThrow(MalformedError)
  })

  test('lets no key name reach a prototype', () => {
    const raw = Uint8Array.from([0x92, 2, 0x92, 0x90, 0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, 0xa1, 0x78, 1])
    const message = wire.decode(raw)
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
    if (message.kind !== 'note') throw new Error('another kind')
    expect(Object.getPrototypeOf(message.detail)).toBe(Object.prototype)
  })
})

function asText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('hex')}` : value
}

function thrownBy(act: () => unknown): unknown {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}
