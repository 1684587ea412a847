/**
 * msgpack (github.com/msgpack/msgpack, spec.md) written straight into one growing buffer, so that a shape needs no arrays
 * of plain values in between: those, and a look at the type of each, cost twice as much as the bytes. Of the format it
 * knows what a Plain value is made of: nil, booleans, numbers, text, bytes, arrays, maps with text for names. No
 * extension types, no bigints.
 *
 * Text is UTF-8, in which a surrogate that stands alone is written like any other character of three bytes (WTF-8), for
 * a key must come back as it was, whatever it is.
 */
import { MalformedError } from './errors.ts'
import type { Plain } from './shape.ts'

/** A buffer that a large message made grow is not kept. */
const keptBytesMax = 1024 * 1024
const firstBytes = 4_096

export class MsgpackWriter {
  #bytes: Uint8Array = new Uint8Array(firstBytes)
  #view: DataView = new DataView(this.#bytes.buffer)
  #at = 0

  /** What was written since the last time, in bytes of its own. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#at)
    this.#at = 0
    if (this.#bytes.length > keptBytesMax) this.#replace(new Uint8Array(firstBytes))
    return taken
  }

  /** Forgets what was written since the last time. */
  drop(): void {
    this.#at = 0
  }

  nil(): void {
    this.#room(1)
    this.#bytes[this.#at++] = 0xc0
  }

  boolean(value: boolean): void {
    this.#room(1)
    this.#bytes[this.#at++] = value ? 0xc3 : 0xc2
  }

  number(value: number): void {
    this.#room(9)
    const bytes = this.#bytes
    if (value >>> 0 === value) {
      if (value < 0x80) bytes[this.#at++] = value
      else if (value < 0x100) {
        bytes[this.#at++] = 0xcc
        bytes[this.#at++] = value
      } else if (value < 0x1_0000) this.#head16(0xcd, value)
      else this.#head32(0xce, value)
    } else if (!Number.isSafeInteger(value)) this.#float(value)
    else if (value > 0) this.#wide(0xcf, value)
    else if (value >= -0x20) bytes[this.#at++] = value & 0xff
    else if (value >= -0x8000_0000) this.#head32(0xd2, value)
    else this.#wide(0xd3, value)
  }

  text(value: string): void {
    const length = value.length
    this.#room(5 + 3 * length)
    const startAt = this.#at
    this.#textHead(length)
    const bytes = this.#bytes
    let at = this.#at
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i)
      if (unit >= 0x80) {
        this.#at = startAt
        this.#textHead(utf8Length(value))
        return this.#utf8(value)
      }
      bytes[at++] = unit
    }
    this.#at = at
  }

  bytes(value: Uint8Array): void {
    const length = value.length
    this.#room(5 + length)
    if (length < 0x100) {
      this.#bytes[this.#at++] = 0xc4
      this.#bytes[this.#at++] = length
    } else if (length < 0x1_0000) this.#head16(0xc5, length)
    else this.#head32(0xc6, length)
    this.#bytes.set(value, this.#at)
    this.#at += length
  }

  /** So many values follow. */
  array(length: number): void {
    this.#room(5)
    if (length < 0x10) this.#bytes[this.#at++] = 0x90 | length
    else if (length < 0x1_0000) this.#head16(0xdc, length)
    else this.#head32(0xdd, length)
  }

  /** Undefined counts as null. */
  plain(value: Plain | undefined): void {
    switch (typeof value) {
      case 'number':
        return this.number(value)
      case 'string':
        return this.text(value)
      case 'boolean':
        return this.boolean(value)
      case 'undefined':
        return this.nil()
      case 'object':
        if (value === null) return this.nil()
        if (value instanceof Uint8Array) return this.bytes(value)
        if (Array.isArray(value)) {
          this.array(value.length)
          for (let i = 0; i < value.length; i++) this.plain((value as readonly Plain[])[i])
          return
        }
        return this.#map(value as { readonly [key: string]: Plain })
      default:
        throw new MalformedError(`a ${typeof value} cannot be sent`)
    }
  }

  #map(value: { readonly [key: string]: Plain }): void {
    const names = Object.keys(value)
    this.#room(5)
    if (names.length < 0x10) this.#bytes[this.#at++] = 0x80 | names.length
    else if (names.length < 0x1_0000) this.#head16(0xde, names.length)
    else this.#head32(0xdf, names.length)
    for (const name of names) {
      this.text(name)
      this.plain(value[name])
    }
  }

  #textHead(length: number): void {
    if (length < 0x20) this.#bytes[this.#at++] = 0xa0 | length
    else if (length < 0x100) {
      this.#bytes[this.#at++] = 0xd9
      this.#bytes[this.#at++] = length
    } else if (length < 0x1_0000) this.#head16(0xda, length)
    else this.#head32(0xdb, length)
  }

  #utf8(value: string): void {
    const bytes = this.#bytes
    let at = this.#at
    for (let i = 0; i < value.length; i++) {
      const unit = value.codePointAt(i) as number
      if (unit < 0x80) bytes[at++] = unit
      else if (unit < 0x800) {
        bytes[at++] = 0xc0 | (unit >> 6)
        bytes[at++] = 0x80 | (unit & 0x3f)
      } else if (unit < 0x1_0000) {
        bytes[at++] = 0xe0 | (unit >> 12)
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f)
        bytes[at++] = 0x80 | (unit & 0x3f)
      } else {
        i++
        bytes[at++] = 0xf0 | (unit >> 18)
        bytes[at++] = 0x80 | ((unit >> 12) & 0x3f)
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f)
        bytes[at++] = 0x80 | (unit & 0x3f)
      }
    }
    this.#at = at
  }

  #float(value: number): void {
    this.#bytes[this.#at] = 0xcb
    this.#view.setFloat64(this.#at + 1, value)
    this.#at += 9
  }

  #wide(head: number, value: number): void {
    this.#bytes[this.#at] = head
    this.#view.setInt32(this.#at + 1, Math.floor(value / 0x1_0000_0000))
    this.#view.setInt32(this.#at + 5, value | 0)
    this.#at += 9
  }

  #head16(head: number, value: number): void {
    const bytes = this.#bytes
    bytes[this.#at++] = head
    bytes[this.#at++] = value >> 8
    bytes[this.#at++] = value
  }

  #head32(head: number, value: number): void {
    this.#bytes[this.#at] = head
    this.#view.setInt32(this.#at + 1, value | 0)
    this.#at += 5
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + bytes))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#replace(grown)
  }

  #replace(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

function utf8Length(value: string): number {
  let length = 0
  for (let i = 0; i < value.length; i++) {
    const unit = value.codePointAt(i) as number
    if (unit >= 0x1_0000) i++
    length += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit < 0x1_0000 ? 3 : 4
  }
  return length
}
