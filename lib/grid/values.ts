/**
 * Values as bytes: encoded once, by the caller, and opaque to every copy. The first byte is the format: 1 msgpack,
 * 2 content with a media type (what came in through HTTP).
 *
 * What msgpack loses: a Map becomes an object, a Set a list, -0 becomes 0, a class instance a plain object, undefined
 * inside a list null, `__proto__` as a key is renamed; bigint beyond 64 bits, functions and symbols cannot be stored and throw
 * InvalidError, as does a value that contains itself. Date, Uint8Array and bigint within 64 bits come back as they were.
 */
import { Packr } from 'msgpackr'
import { InvalidError, MalformedError } from '../base/errors.ts'
import { freshBytes } from '../base/slab.ts'

export interface ValueCodec<V> {
  /** Throws InvalidError. */
  encode(value: V): Uint8Array
  /** Throws MalformedError. */
  decode(bytes: Uint8Array): V
}

/** A body with its media type, e.g. 'application/json'. */
export interface Content {
  readonly contentType: string
  readonly bytes: Uint8Array
}

const formatMsgpack = 1
const formatContent = 2

const packr = new Packr({ useRecords: false, copyBuffers: true })
const encoder = new TextEncoder()
const decoder = new TextDecoder()

function encodeValue(value: unknown): Uint8Array {
  if (typeof value === 'function' || typeof value === 'symbol' || value === undefined)
    throw new InvalidError(`a value to store cannot be ${value === undefined ? 'undefined' : `a ${typeof value}`}`)
  let packed: Uint8Array
  try {
    packed = packr.pack(value)
  } catch (error) {
    throw new InvalidError(`the value cannot be stored: ${error instanceof Error ? error.message : String(error)}`)
  }
  const bytes = freshBytes(packed.byteLength + 1)
  bytes[0] = formatMsgpack
  bytes.set(packed, 1)
  return bytes
}

function unpacked(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes.subarray(1))
  } catch (error) {
    throw new MalformedError(`a stored value is not msgpack: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Content comes out decoded where it is JSON or text, else as Content. */
function decodeValue(bytes: Uint8Array): unknown {
  switch (bytes[0]) {
    case formatMsgpack:
      return unpacked(bytes)
    case formatContent: {
      const content = contentOf(bytes)
      if (/^application\/(?:[\w.+-]*\+)?json\b/.test(content.contentType)) return jsonOf(content)
      return content.contentType.startsWith('text/') ? decoder.decode(content.bytes) : content
    }
    default:
      throw new MalformedError(`a stored value has format ${bytes[0] ?? 'none'}, which this version does not know`)
  }
}

function contentOf(bytes: Uint8Array): Content {
  const typeLength = bytes[1] ?? 0
  return { contentType: decoder.decode(bytes.subarray(2, 2 + typeLength)), bytes: bytes.subarray(2 + typeLength) }
}

function jsonOf({ bytes }: Content): unknown {
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch {
    throw new MalformedError('a stored value says it is JSON and is not')
  }
}

/** The codec of a handle that names none. */
export function values<V>(): ValueCodec<V> {
  return valueCodec as ValueCodec<V>
}

const valueCodec: ValueCodec<unknown> = { encode: encodeValue, decode: decodeValue }

/** For doors: bodies go in and out with their media type; what a program stored comes out as JSON. */
export const contentCodec: ValueCodec<Content> = {
  encode: ({ contentType, bytes }) => {
    const type = encoder.encode(contentType)
    if (type.length > 255) throw new InvalidError('a content type has at most 255 bytes')
    const out = new Uint8Array(2 + type.length + bytes.length)
    out[0] = formatContent
    out[1] = type.length
    out.set(type, 2)
    out.set(bytes, 2 + type.length)
    return out
  },
  decode: bytes => {
    if (bytes[0] === formatContent) return contentOf(bytes)
    const value = decodeValue(bytes)
    if (value instanceof Uint8Array) return { contentType: 'application/octet-stream', bytes: value }
    return { contentType: 'application/json', bytes: encoder.encode(JSON.stringify(value, jsonSafe)) }
  },
}

function jsonSafe(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
