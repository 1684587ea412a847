/**
 * Messages to bytes and back, as a Shape writes and reads them: positional arrays in msgpack, with no shared structures
 * (a decoder without the table would mis-decode). Decoded bytes are copies, so that a small value kept for long never
 * keeps a whole chunk of the network alive.
 */
import { MalformedError } from '../base/errors.ts'
import { MsgpackReader } from '../base/msgpack-reader.ts'
import { MsgpackWriter } from '../base/msgpack-writer.ts'
import { readShape, writeShape, type Shape } from '../base/shape.ts'

export interface Codec<Message> {
  encode(message: Message): Uint8Array
  /** Throws MalformedError and nothing else, whatever the bytes. */
  decode(bytes: Uint8Array): Message
}

/** One for all: nothing is encoded within an encoding. */
const writer = new MsgpackWriter()

export function codec<Message>(shape: Shape<Message>): Codec<Message> {
  return {
    encode: message => {
      // One that threw, a bug, left something behind.
      writer.drop()
      writeShape(shape, message, writer)
      return writer.take()
    },
    decode: bytes => {
      const reader = new MsgpackReader(bytes)
      const message = readShape(shape, reader)
      if (!reader.isAtEnd) throw new MalformedError('something follows the message')
      return message
    },
  }
}
