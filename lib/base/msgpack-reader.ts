/**
 * msgpack read straight out of the bytes that came (see `msgpack-writer.ts` for what of it is spoken here). Trusts nothing:
 * throws MalformedError where bytes end too soon, a length promises more than is there, arrays lie deeper than `depthMax`,
 * or an integer is not safe. What it returns keeps nothing of those bytes alive.
 */
import { MalformedError } from './errors.ts'
import type { Plain } from './shape.ts'
import { copiedBytes } from './slab.ts'

/** Arrays within arrays; deeper ones are malformed. */
const depthMax = 100

export class MsgpackReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #depth = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Takes a nil if one is next. */
  takeNil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false
    this.#at++
    return true
  }

  /** Undefined: no boolean is next. */
  boolean(): boolean | undefined {
    const head = this.#bytes[this.#at]
    if (head !== 0xc2 && head !== 0xc3) return undefined
    this.#at++
    return head === 0xc3
  }

  /** Undefined: no number is next. */
  number(): number | undefined {
    const head = this.#bytes[this.#at] as number
    if (head < 0x80) {
      this.#at++
      return head
    }
    if (head >= 0xe0) {
      this.#at++
      return head - 0x100
    }
    const at = this.#at + 1
    switch (head) {
      case 0xcc:
        this.#take(2)
        return this.#bytes[at]
      case 0xcd:
        this.#take(3)
        return this.#view.getUint16(at)
      case 0xce:
        this.#take(5)
        return this.#view.getUint32(at)
      case 0xcf:
        this.#take(9)
        return safe(this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4))
      case 0xd0:
        this.#take(2)
        return this.#view.getInt8(at)
      case 0xd1:
        this.#take(3)
        return this.#view.getInt16(at)
      case 0xd2:
        this.#take(5)
        return this.#view.getInt32(at)
      case 0xd3:
        this.#take(9)
        return safe(this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4))
      case 0xca:
        this.#take(5)
        return this.#view.getFloat32(at)
      case 0xcb:
        this.#take(9)
        return this.#view.getFloat64(at)
      default:
        return undefined
    }
  }

  /** Undefined: no text is next. `expected`: returned itself if the text equals it. */
  text(expected?: string): string | undefined {
    const length = this.#textLength()
    if (length === undefined) return undefined
    const start = this.#at
    this.#take(length)
    if (expected !== undefined && expected.length === length && this.#isAscii(start, expected)) return expected
    return textAt(this.#bytes, start, start + length)
  }

  /** A copy, which keeps nothing of what came alive. Undefined: no bytes are next. */
  bytes(): Uint8Array | undefined {
    const head = this.#bytes[this.#at]
    let length: number
    if (head === 0xc4) {
      this.#take(2)
      length = this.#bytes[this.#at - 1] as number
    } else if (head === 0xc5) {
      this.#take(3)
      length = this.#view.getUint16(this.#at - 2)
    } else if (head === 0xc6) {
      this.#take(5)
      length = this.#view.getUint32(this.#at - 4)
    } else return undefined
    const start = this.#at
    this.#take(length)
    return copiedBytes(this.#bytes, start, start + length)
  }

  /** How many values follow; never more than bytes are left. Undefined: no array is next. */
  array(): number | undefined {
    const head = this.#bytes[this.#at] as number
    if (head >= 0x90 && head <= 0x9f) {
      this.#at++
      return this.#checked(head & 0x0f)
    }
    if (head === 0xdc) {
      this.#take(3)
      return this.#checked(this.#view.getUint16(this.#at - 2))
    }
    if (head !== 0xdd) return undefined
    this.#take(5)
    return this.#checked(this.#view.getUint32(this.#at - 4))
  }

  /** Whatever is next. */
  plain(): Plain {
    const head = this.#bytes[this.#at]
    if (head === undefined) throw new MalformedError('the bytes end within a message')
    if (this.takeNil()) return null
    const simple = this.number() ?? this.text() ?? this.boolean() ?? this.bytes()
    if (simple !== undefined) return simple
    if (++this.#depth > depthMax) throw new MalformedError(`arrays lie more than ${depthMax} deep`)
    const compound = this.#list() ?? this.#map()
    if (compound === undefined)
      throw new MalformedError(`not msgpack as it is spoken here: type 0x${head.toString(16)}`)
    this.#depth--
    return compound
  }

  #list(): Plain[] | undefined {
    const length = this.array()
    if (length === undefined) return undefined
    const out: Plain[] = []
    for (let i = 0; i < length; i++) out.push(this.plain())
    return out
  }

  #map(): Plain | undefined {
    const head = this.#bytes[this.#at] as number
    let length: number
    if (head >= 0x80 && head <= 0x8f) {
      this.#at++
      length = head & 0x0f
    } else if (head === 0xde) {
      this.#take(3)
      length = this.#view.getUint16(this.#at - 2)
    } else if (head === 0xdf) {
      this.#take(5)
      length = this.#view.getUint32(this.#at - 4)
    } else return undefined
    this.#checked(2 * length)
    const out: Record<string, Plain> = {}
    for (let i = 0; i < length; i++) {
      const name = this.text()
      if (name === undefined) throw new MalformedError('a name in a map is no text')
      // The one name that does not make a field.
      out[name === '__proto__' ? '__proto_' : name] = this.plain()
    }
    return out
  }

  #textLength(): number | undefined {
    const head = this.#bytes[this.#at] as number
    if (head >= 0xa0 && head <= 0xbf) {
      this.#at++
      return head & 0x1f
    }
    if (head === 0xd9) {
      this.#take(2)
      return this.#bytes[this.#at - 1]
    }
    if (head === 0xda) {
      this.#take(3)
      return this.#view.getUint16(this.#at - 2)
    }
    if (head !== 0xdb) return undefined
    this.#take(5)
    return this.#view.getUint32(this.#at - 4)
  }

  #isAscii(start: number, text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#bytes[start + i] !== text.charCodeAt(i)) return false
    return true
  }

  #take(bytes: number): void {
    this.#at += bytes
    if (this.#at > this.#bytes.length) throw new MalformedError('the bytes end within a message')
  }

  #checked(length: number): number {
    if (length > this.#bytes.length - this.#at) throw new MalformedError('a length promises more than is there')
    return length
  }
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new MalformedError('an integer beyond 2^53')
  return value
}

/** Units handed to one call: V8 makes a flat text of so few at once. */
const unitsMax = 8

function textAt(bytes: Uint8Array, start: number, end: number): string {
  for (let at = start; at < end; at++) if ((bytes[at] as number) >= 0x80) return utf8At(bytes, start, end)
  let text = ''
  let at = start
  for (; end - at >= unitsMax; at += unitsMax) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
      bytes[at + 4] as number,
      bytes[at + 5] as number,
      bytes[at + 6] as number,
      bytes[at + 7] as number,
    )
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at] as number)
  return text
}

function utf8At(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let at = start
  const next = (): number => {
    const byte = at < end ? (bytes[at++] as number) : 0
    if ((byte & 0xc0) !== 0x80) throw new MalformedError('text is not UTF-8')
    return byte & 0x3f
  }
  while (at < end) {
    const lead = bytes[at++] as number
    let point: number
    let least: number
    if (lead < 0x80) {
      point = lead
      least = 0
    } else if (lead >= 0xc0 && lead < 0xe0) {
      point = ((lead & 0x1f) << 6) | next()
      least = 0x80
    } else if (lead >= 0xe0 && lead < 0xf0) {
      point = ((lead & 0x0f) << 12) | (next() << 6) | next()
      least = 0x800
    } else if (lead >= 0xf0 && lead < 0xf8) {
      point = ((lead & 0x07) << 18) | (next() << 12) | (next() << 6) | next()
      least = 0x1_0000
    } else throw new MalformedError('text is not UTF-8')
    if (point < least || point > 0x10_ffff) throw new MalformedError('text is not UTF-8')
    text += String.fromCodePoint(point)
  }
  return text
}
