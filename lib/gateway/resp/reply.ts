/**
 * Replies as values, and their bytes in both versions of the protocol: 2, and 3 for who said HELLO 3.
 *
 *     'OK' -> +OK   17 -> :17   bytes -> $3 abc   null -> $-1 or _   nullArray -> *-1 or _   [1, 2] -> *2 ...
 */

export type Protocol = 2 | 3

export type Reply =
  /** A status; has no line end in it. */
  | string
  | number
  | Uint8Array
  | null
  | typeof nullArray
  | readonly Reply[]
  | Integer
  | ErrorReply
  | MapReply
  | SetReply
  | Verbatim

/** What a list that is not there is in version 2. */
export const nullArray: unique symbol = Symbol('null array')

/** 64 bits, as decimal text. */
export class Integer {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/**
 * Its first word is the code: 'ERR value is not an integer or out of range'. One unit a byte (latin1), for it may quote
 * what came in.
 */
export class ErrorReply {
  readonly text: string
  constructor(text: string) {
    this.text = text.replace(/^[\r\n]+|[\r\n]+$/g, '').replaceAll(/[\r\n]/g, ' ')
  }
}

/** Pairs; a flat array in version 2. */
export class MapReply {
  readonly entries: readonly (readonly [Reply, Reply])[]
  constructor(entries: readonly (readonly [Reply, Reply])[]) {
    this.entries = entries
  }
}

export class SetReply {
  readonly items: readonly Reply[]
  constructor(items: readonly Reply[]) {
    this.items = items
  }
}

/** Text for people. */
export class Verbatim {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export const ok = 'OK'

/** Bytes of a text, for a bulk reply. */
export function bulk(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}

/** Appends the reply's bytes to `out`: texts are latin1, one unit a byte. */
export function encodeReply(reply: Reply, protocol: Protocol, out: (string | Uint8Array)[]): void {
  if (typeof reply === 'string') return void out.push(`+${reply}\r\n`)
  if (typeof reply === 'number') return void out.push(`:${reply}\r\n`)
  if (reply === null) return void out.push(protocol === 3 ? '_\r\n' : '$-1\r\n')
  if (reply === nullArray) return void out.push(protocol === 3 ? '_\r\n' : '*-1\r\n')
  if (reply instanceof Uint8Array) return void out.push(`$${reply.length}\r\n`, reply, '\r\n')
  if (reply instanceof Integer) return void out.push(`:${reply.text}\r\n`)
  if (reply instanceof ErrorReply) return void out.push(`-${reply.text}\r\n`)
  if (reply instanceof MapReply) {
    const { entries } = reply
    out.push(protocol === 3 ? `%${entries.length}\r\n` : `*${2 * entries.length}\r\n`)
    for (const entry of entries) for (const part of entry) encodeReply(part, protocol, out)
  } else if (reply instanceof SetReply) {
    out.push(`${protocol === 3 ? '~' : '*'}${reply.items.length}\r\n`)
    for (const item of reply.items) encodeReply(item, protocol, out)
  } else if (reply instanceof Verbatim) {
    const bytes = bulk(reply.text)
    if (protocol === 3) out.push(`=${bytes.length + 4}\r\ntxt:`, bytes, '\r\n')
    else encodeReply(bytes, protocol, out)
  } else {
    out.push(`*${reply.length}\r\n`)
    for (const item of reply) encodeReply(item, protocol, out)
  }
}
