/**
 * Messages to bytes and back: a Shape turns a message into positional arrays, msgpack turns those into bytes. No shared
 * structures on the wire (a decoder without the table would mis-decode), and decoded bytes are copies, so that a small
 * value kept for long never keeps a whole chunk of the network alive.
 */
import { Packr } from 'msgpackr'
import { MalformedError } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'

export interface Codec<Message> {
  encode(message: Message): Uint8Array
  /** Throws MalformedError and nothing else, whatever the bytes. */
  decode(bytes: Uint8Array): Message
}

const packr = new Packr({ useRecords: false, copyBuffers: true })

export function codec<Message>(shape: Shape<Message>): Codec<Message> {
  return {
    encode: message => packr.pack(shape.pack(message)),
    decode: bytes => shape.unpack(unpacked(bytes)),
  }
}

function unpacked(bytes: Uint8Array): unknown {
  try {
    // of a Buffer it would make Buffers; layers above know Uint8Array only
    return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
  } catch (error) {
    throw new MalformedError(`not msgpack: ${error instanceof Error ? error.message : String(error)}`)
  }
}
