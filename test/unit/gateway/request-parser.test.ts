import fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitInline } from '../../../lib/gateway/resp/inline.ts'
import { ProtocolError, RequestParser, strangerLimits } from '../../../lib/gateway/resp/request-parser.ts'

const limits = { valueBytesMax: 1_000, commandBytesMax: 2_000, argumentsMax: 100 }

function request(words: readonly Uint8Array[]): Buffer {
  const parts = words.flatMap(word => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts])
}

/** What comes out when the bytes come in pieces. */
function parse(pieces: readonly Buffer[], parser = new RequestParser(limits, () => false)): string[][] {
  const out: string[][] = []
  for (const piece of pieces) {
    parser.feed(piece)
    for (let command = parser.next(); command !== undefined; command = parser.next())
      out.push(command.map(word => word.toString('latin1')))
  }
  return out
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...ends, bytes.length].map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
}

const word = fc.uint8Array({ maxLength: 40 })
const commands = fc.array(fc.array(word, { minLength: 1, maxLength: 5 }), { maxLength: 6 })

test('reads the same commands however their bytes are cut', () => {
  fc.assert(
    fc.property(commands, fc.array(fc.nat(), { maxLength: 20 }), (all, places) => {
      const bytes = Buffer.concat(all.map(request))
      const wanted = all.map(words => words.map(each => Buffer.from(each).toString('latin1')))
      expect(parse(cut(bytes, places))).toEqual(wanted)
    }),
  )
})

test('reads inline commands among arrays, cut anywhere', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 20 }), places => {
      const bytes = Buffer.from('PING\r\n*1\r\n$2\r\nhi\r\n\r\nSET a "b c"\n*0\r\nECHO \'x\'\r\n')
      expect(parse(cut(bytes, places))).toEqual([['PING'], ['hi'], ['SET', 'a', 'b c'], ['ECHO', 'x']])
    }),
  )
})

test('answers garbage with commands or a protocol error, and keeps no more than a line or a command of it', () => {
  const digit = fc.constantFrom(...Buffer.from('*$0123456789-\r\n "\'\\xPING'))
  fc.assert(
    fc.property(fc.array(fc.oneof(digit, fc.nat(255)), { maxLength: 300 }), bytes => {
      const parser = new RequestParser(limits, () => false)
      try {
        for (const byte of bytes) parse([Buffer.from([byte])], parser)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
      }
      expect(parser.bufferedBytes).toBeLessThanOrEqual(limits.commandBytesMax + 65_536)
    }),
  )
})

test('refuses a value beyond the limit when its length is announced', () => {
  const parser = new RequestParser(limits, () => false)
  expect(() => parse([Buffer.from('*2\r\n$3\r\nSET\r\n$1001\r\n')], parser)).toThrow('invalid bulk length')
})

test('refuses a command whose values are too large together before the last of them came', () => {
  const parser = new RequestParser(limits, () => false)
  const large = request([Buffer.alloc(900), Buffer.alloc(900)]).subarray(4)
  const begun = Buffer.concat([Buffer.from('*3\r\n'), large, Buffer.from('$900\r\n')])
  expect(() => parse([begun], parser)).toThrow('command too large')
})

test('gives whoever has not authenticated ten arguments of 16 KB', () => {
  const parser = (): RequestParser => new RequestParser(strangerLimits, () => true)
  expect(() => parse([Buffer.from('*11\r\n')], parser())).toThrow('unauthenticated multibulk length')
  expect(() => parse([Buffer.from('*1\r\n$16385\r\n')], parser())).toThrow('unauthenticated bulk length')
})

test('reads a value of megabytes from small pieces without copying it again and again', () => {
  const value = Buffer.alloc(4_000_000, 'x')
  const bytes = request([Buffer.from('SET'), Buffer.from('k'), value])
  const pieces = Array.from({ length: Math.ceil(bytes.length / 4_096) }, (_, at) =>
    bytes.subarray(at * 4_096, (at + 1) * 4_096),
  )
  const parser = new RequestParser({ ...limits, valueBytesMax: 5e6, commandBytesMax: 5e6 }, () => false)
  let commandCount = 0
  for (const piece of pieces) {
    parser.feed(piece)
    if (parser.next() !== undefined) commandCount++
  }
  expect(commandCount).toBe(1)
  expect(parser.bufferedBytes).toBe(0)
})

test.each([
  ['a b  c', ['a', 'b', 'c']],
  ['"a b" c', ['a b', 'c']],
  ["'it\\'s'", ["it's"]],
  ['"\\x41\\n\\\\\\q"', ['A\n\\q']],
  ['""', ['']],
  ['   ', []],
])('splits %s', (line, words) => {
  expect(splitInline(Buffer.from(line))?.map(each => each.toString())).toEqual(words)
})

test.each(['"a', "'a", '"a"b', "'a'b"])('takes %s for unbalanced', line => {
  expect(splitInline(Buffer.from(line))).toBeUndefined()
})
