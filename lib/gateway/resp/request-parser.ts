/**
 * Requests of the Redis protocol out of a stream of bytes: arrays of bulk strings, and inline commands. Incremental; no
 * length is trusted before it was held against a limit, and what is incomplete is kept as it came, so that nothing is
 * allocated for bytes that were only announced. Texts of errors are those of Redis 7.0 (networking.c).
 */
import { splitInline } from './inline.ts'

export interface ParserLimits {
  /** One argument. Redis' proto-max-bulk-len. */
  readonly valueBytesMax: number
  /** All arguments of one command. */
  readonly commandBytesMax: number
  readonly argumentsMax: number
}

/** The same for whoever has not authenticated yet, as in Redis. */
export const strangerLimits: ParserLimits = { valueBytesMax: 16_384, commandBytesMax: 65_536, argumentsMax: 10 }

/** A line of lengths, or an inline command. Redis' PROTO_INLINE_MAX_SIZE. */
const lineBytesMax = 65_536

/** Ends the connection, after its message was sent. `limit`: which one was passed; undefined: it is not the protocol. */
export class ProtocolError extends Error {
  readonly limit: 'argumentsMax' | 'valueBytesMax' | undefined

  constructor(message: string, limit?: ProtocolError['limit']) {
    super(message)
    this.limit = limit
  }
}

const carriageReturn = 13
const lineFeed = 10
const asterisk = 42
const dollar = 36

export class RequestParser {
  limits: ParserLimits
  readonly #isStranger: () => boolean
  #chunks: Buffer[] = []
  // bytes in chunks
  #bytes = 0
  // no sense in looking again before so many bytes are here
  #wanted = 1
  #at = 0
  // -1: between commands
  #argumentsLeft = -1
  // -1: its length is not known yet
  #valueBytes = -1
  #commandBytes = 0
  #arguments: Buffer[] = []

  constructor(limits: ParserLimits, isStranger: () => boolean) {
    this.limits = limits
    this.#isStranger = isStranger
  }

  /** Bytes kept that belong to no command given out yet. */
  get bufferedBytes(): number {
    return this.#bytes - this.#at + this.#commandBytes
  }

  feed(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /**
   * The next whole command, its name first; undefined until more is fed. The arguments are views: copy what is to stay.
   * Throws ProtocolError.
   */
  next(): Buffer[] | undefined {
    if (this.#bytes < this.#wanted) return undefined
    this.#wanted = 1
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    const [buffer] = this.#chunks
    if (buffer === undefined) return undefined
    const command = this.#command(buffer)
    this.#drop(buffer)
    return command
  }

  #command(buffer: Buffer): Buffer[] | undefined {
    while (this.#at < buffer.length) {
      if (this.#argumentsLeft < 0) {
        const first = buffer[this.#at] as number
        const line = this.#line(buffer, first === asterisk ? 'too big mbulk count string' : 'too big inline request')
        if (line === undefined) return undefined
        if (first !== asterisk) {
          const words = splitInline(line)
          if (words === undefined) throw new ProtocolError('unbalanced quotes in request')
          if (words.length > 0) return words
          continue
        }
        this.#begin(line)
      } else if (this.#valueBytes < 0) {
        const line = this.#line(buffer, 'too big bulk count string')
        if (line === undefined) return undefined
        this.#measure(line)
      } else {
        const end = this.#at + this.#valueBytes
        if (buffer.length < end + 2) {
          this.#wanted = end + 2
          return undefined
        }
        this.#arguments.push(buffer.subarray(this.#at, end))
        this.#commandBytes += this.#valueBytes
        this.#at = end + 2
        this.#valueBytes = -1
        this.#argumentsLeft--
      }
      if (this.#argumentsLeft === 0) return this.#complete()
    }
    return undefined
  }

  #complete(): Buffer[] | undefined {
    const command = this.#arguments
    this.#arguments = []
    this.#argumentsLeft = -1
    this.#commandBytes = 0
    return command
  }

  #begin(line: Buffer): void {
    const count = lengthOf(line)
    if (count === undefined || count > this.limits.argumentsMax) {
      const isStranger = count !== undefined && this.#isStranger()
      throw new ProtocolError(
        isStranger ? 'unauthenticated multibulk length' : 'invalid multibulk length',
        count === undefined ? undefined : 'argumentsMax',
      )
    }
    // *0 and *-1 are no commands.
    this.#argumentsLeft = count <= 0 ? -1 : count
  }

  #measure(line: Buffer): void {
    if (line[0] !== dollar) throw new ProtocolError(`expected '$', got '${String.fromCharCode(line[0] ?? 32)}'`)
    const bytes = lengthOf(line)
    if (bytes === undefined || bytes < 0 || bytes > this.limits.valueBytesMax) {
      const isStranger = bytes !== undefined && bytes >= 0 && this.#isStranger()
      throw new ProtocolError(
        isStranger ? 'unauthenticated bulk length' : 'invalid bulk length',
        bytes === undefined || bytes < 0 ? undefined : 'valueBytesMax',
      )
    }
    if (this.#commandBytes + bytes > this.limits.commandBytesMax)
      throw new ProtocolError('command too large', 'valueBytesMax')
    this.#valueBytes = bytes
  }

  /** Without its end; undefined while that is not here. */
  #line(buffer: Buffer, tooLong: string): Buffer | undefined {
    const end = buffer.indexOf(lineFeed, this.#at)
    if ((end < 0 ? buffer.length : end) - this.#at > lineBytesMax) throw new ProtocolError(tooLong)
    if (end < 0) {
      this.#wanted = buffer.length + 1
      return undefined
    }
    const line = buffer.subarray(this.#at, buffer[end - 1] === carriageReturn && end > this.#at ? end - 1 : end)
    this.#at = end + 1
    return line
  }

  /** What was read goes; arguments of a command under way keep what they lie in. */
  #drop(buffer: Buffer): void {
    if (this.#at === 0) return
    const rest = buffer.subarray(this.#at)
    this.#wanted = Math.max(this.#wanted - this.#at, 1)
    this.#at = 0
    this.#bytes = rest.length
    this.#chunks = rest.length === 0 ? [] : [rest]
  }
}

/** '*3' -> 3; undefined if it is no number. */
function lengthOf(line: Buffer): number | undefined {
  const text = line.toString('latin1', 1)
  return /^(?:-?[1-9]\d{0,18}|0)$/.test(text) ? Number(text) : undefined
}
