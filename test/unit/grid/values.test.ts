import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidError, MalformedError } from '../../../lib/base/errors.ts'
import { contentCodec, values } from '../../../lib/grid/values.ts'

const codec = values<unknown>()
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content)

test('gives back what was stored, for everything JSON has', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), value => {
      fc.pre(!JSON.stringify(value).includes('"__proto__"'))
      // -0 comes back as 0: the one number that is lost.
      expect(codec.decode(codec.encode(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('a field named like the prototype changes no prototype', () => {
  const back = codec.decode(codec.encode(JSON.parse('{"__proto__":{"isAdmin":true},"n":1}'))) as { n: number }
  expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
  expect(back.n).toBe(1)
})

test('gives back dates and bytes as they were', () => {
  const value = { at: new Date(1_700_000_000_000), body: new Uint8Array([1, 2, 3]) }
  const back = codec.decode(codec.encode(value)) as typeof value
  expect(back.at).toEqual(value.at)
  expect([...back.body]).toEqual([1, 2, 3])
})

test('refuses what cannot be stored', () => {
  const loop: unknown[] = []
  loop.push(loop)
  for (const value of [undefined, () => 1, Symbol('no'), 2n ** 70n, loop])
    expect(() => codec.encode(value)).toThrow(InvalidError)
  expect(codec.decode(codec.encode('the encoder is none the worse'))).toBe('the encoder is none the worse')
})

test('never throws anything but MalformedError on bytes from elsewhere', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), raw => {
      const thrown = ((): unknown => {
        try {
          codec.decode(raw)
          return undefined
        } catch (error) {
          return error
        }
      })()
      expect(thrown === undefined || thrown instanceof MalformedError).toBe(true)
    }),
  )
})

test('two values encoded in turn share no bytes', () => {
  const first = codec.encode({ a: 1 })
  const copy = [...first]
  codec.encode({ b: 'something else' })
  expect([...first]).toEqual(copy)
})

test('content keeps its media type and is read by programs as what it says it is', () => {
  const json = contentCodec.encode({ contentType: 'application/json; charset=utf-8', bytes: bytes('{"n":1}') })
  expect(codec.decode(json)).toEqual({ n: 1 })
  expect(contentCodec.decode(json).contentType).toBe('application/json; charset=utf-8')
  expect(codec.decode(contentCodec.encode({ contentType: 'text/plain', bytes: bytes('hi') }))).toBe('hi')
  const image = { contentType: 'image/png', bytes: new Uint8Array([9]) }
  expect(codec.decode(contentCodec.encode(image))).toEqual(image)
})

test('what a program stored leaves through a door as JSON', () => {
  const { contentType, bytes: out } = contentCodec.decode(codec.encode({ n: 1, big: 2n ** 60n }))
  expect([contentType, text(out)]).toEqual(['application/json', '{"n":1,"big":"1152921504606846976"}'])
})

test('content that says it is JSON and is not is malformed', () => {
  const broken = contentCodec.encode({ contentType: 'application/json', bytes: bytes('{') })
  expect(() => codec.decode(broken)).toThrow(MalformedError)
})
