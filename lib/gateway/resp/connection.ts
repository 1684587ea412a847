/**
 * One connection: bytes to commands, commands to replies in their order, one write per turn. Commands of a pipeline run at
 * once where key-order.ts lets them. Nothing grows without bound: so many commands are in hand, so many bytes wait to be
 * parsed or to be read by the client; beyond that the socket is not read.
 */
import type { Socket } from 'node:net'
import { keyOf, quotable } from './arguments.ts'
import { Batches, runBatch } from './batch.ts'
import { keysOf, type Call, type Client, type Command, type Realm } from './command.ts'
import { KeyOrder } from './key-order.ts'
import { refusalReply, RespError, wrongArity } from './refusals.ts'
import { encodeReply, ErrorReply, type Protocol, type Reply } from './reply.ts'
import { ProtocolError, RequestParser, strangerLimits, type ParserLimits } from './request-parser.ts'

/**
 * Commands of one connection that are not answered yet: at first, growing by one with each answer up to the most, halved by
 * each large answer down to the least. So replies of megabytes do not pile up by the hundred, and small ones flow.
 */
const open = { min: 4, first: 64, max: 512 }
/** Bytes, or elements of a list, from which an answer is large. */
const largeReplyBytes = 64 * 1024
const largeReplyLength = 1_000
/** Replies that the client does not read, and requests behind a blocking one; then reading stops. */
const unreadBytesMax = 1024 * 1024
/** Longer replies are written as they are instead of being copied together. */
const copiedBytesMax = 16 * 1024
/** How long a connection that was ended here may still say something. */
const lingerMs = 250
/** Browsers and other strangers that speak HTTP at this port. Redis closes on these words too. */
const httpWords = new Set(['post', 'host:'])

interface Slot {
  readonly protocol: Protocol
  reply: Reply | undefined
}

/** Why a client was refused, as far as it is for the log. */
export type RespRefusalCode = 'malformed' | 'http' | 'too-large' | 'too-many-arguments' | 'unauthorized'

export interface ConnectionPort {
  readonly realm: Realm
  readonly commands: ReadonlyMap<string, Command>
  readonly limits: ParserLimits
  /** One for the log. */
  warn(event: string, reason: string, client: Client): void
  refused(code: RespRefusalCode, reason: string, client: Client): void
  /** It ran a command. */
  ran(command: string): void
}

export class Connection implements Client {
  readonly id: number
  readonly address: string
  readonly localAddress: string
  name = ''
  libraryName = ''
  libraryVersion = ''
  protocol: Protocol = 2
  lastCommand = ''
  readonly #socket: Socket
  readonly #port: ConnectionPort
  readonly #parser: RequestParser
  readonly #order = new KeyOrder()
  readonly #batches = new Batches<Slot>()
  readonly #ended = new AbortController()
  readonly #bornMs: number
  #lastMs: number
  #isAuthenticated: boolean
  /** Replies in the order of their commands; undefined while not known. */
  #slots: Slot[] = []
  // commands begun and not answered; 0 <= open <= slots
  #openCount = 0
  // min <= openMax <= max of `open`
  #openMax = open.first
  /** Waits until it can run alone. */
  #next: { readonly command: Command; readonly args: readonly Buffer[] } | undefined
  #isAlone = false
  #isEnding = false
  #isFlushAsked = false

  constructor(id: number, socket: Socket, port: ConnectionPort) {
    this.id = id
    this.#socket = socket
    this.#port = port
    this.address = `${socket.remoteAddress}:${socket.remotePort}`
    this.localAddress = `${socket.localAddress}:${socket.localPort}`
    this.#bornMs = this.#nowMs
    this.#lastMs = this.#bornMs
    this.#isAuthenticated = port.realm.accessToken === undefined
    this.#parser = new RequestParser(this.#limits, () => !this.isAuthenticated)
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#received(chunk))
    socket.on('drain', () => this.#flush())
    socket.on('end', () => this.#end())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#ended.abort())
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  get isGone(): boolean {
    return this.#socket.destroyed
  }

  get connectedMs(): number {
    return this.#nowMs - this.#bornMs
  }

  get lastCommandMs(): number {
    return this.#nowMs - this.#lastMs
  }

  get isAuthenticated(): boolean {
    return this.#isAuthenticated
  }

  set isAuthenticated(is: boolean) {
    this.#isAuthenticated = is
    this.#parser.limits = this.#limits
  }

  /** Commands in hand. */
  get openCount(): number {
    return this.#slots.length
  }

  /** Takes no more commands and closes when those in hand are answered. */
  quit(): void {
    this.#isEnding = true
    this.#askFlush()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /**
   * Everything is answered. A client that goes on sending is cut off a little later: at once, its unread bytes would
   * reset the connection, and take the last answer with them.
   */
  #close(): void {
    if (this.#socket.writableEnded) return
    const { env } = this.#port.realm.grid
    this.#socket.resume()
    this.#socket.end()
    const cancel = env.at(env.now().monotonicMs + lingerMs, () => this.#socket.destroy())
    this.#socket.on('close', cancel)
  }

  get #nowMs(): number {
    return this.#port.realm.grid.now().monotonicMs
  }

  get #limits(): ParserLimits {
    return this.#isAuthenticated ? this.#port.limits : strangerLimits
  }

  #received(chunk: Buffer): void {
    if (this.#isEnding) return
    this.#parser.feed(chunk)
    this.#advance()
  }

  /** The client will say no more; what it asked is still answered, but not waited for. */
  #end(): void {
    this.#ended.abort()
    this.quit()
  }

  #advance(): void {
    try {
      while (!this.#isEnding && this.#isOpen()) {
        const args = this.#parser.next()
        if (args === undefined) break
        this.#take(args)
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const code = error.limit === undefined ? 'malformed' : limitCodes[error.limit]
      this.#port.refused(code, error.message, this)
      this.#answerNow(new ErrorReply(`ERR Protocol error: ${error.message}`))
      this.quit()
    }
    const isFull = !this.#isOpen() && this.#parser.bufferedBytes > unreadBytesMax
    if (isFull || this.#slots.length >= this.#openMax || this.#isClogged) this.#socket.pause()
    else if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** Whether another command may begin. */
  #isOpen(): boolean {
    return !this.#isAlone && this.#next === undefined && this.#slots.length < this.#openMax && !this.#isClogged
  }

  get #isClogged(): boolean {
    return this.#socket.writableLength > unreadBytesMax
  }

  #take(args: readonly Buffer[]): void {
    const name = (args[0] as Buffer).toString('latin1', 0, 128).toLowerCase()
    if (httpWords.has(name)) {
      this.#port.refused('http', 'something speaks HTTP to the RESP door', this)
      this.#isEnding = true
      this.#socket.destroy()
      return
    }
    this.#lastMs = this.#nowMs
    const command = this.#port.commands.get(name)
    const refusal = this.#refusal(command, args)
    if (refusal !== undefined) return this.#answerNow(refusal)
    this.lastCommand = name
    this.#port.ran(name)
    const known = command as Command
    if (known.isAlone === true && this.#openCount > 0) this.#next = { command: known, args }
    else this.#begin(known, args)
  }

  #refusal(command: Command | undefined, args: readonly Buffer[]): ErrorReply | undefined {
    if (command === undefined) {
      if (!/^[\x21-\x7e]+$/.test((args[0] as Buffer).toString('latin1')))
        this.#port.refused('malformed', 'bytes that are no command', this)
      return unknownCommand(args)
    }
    const { arity, name, isOpen } = command
    if (arity >= 0 ? args.length !== arity : args.length < -arity) return wrongArity(name)
    if (!this.#isAuthenticated && isOpen !== true) {
      this.#port.refused('unauthorized', `${name} without the access token`, this)
      return new ErrorReply('NOAUTH Authentication required.')
    }
    if (!this.#port.realm.isServing() && isOpen !== true)
      return new ErrorReply('LOADING What the last stop left is being loaded')
    return undefined
  }

  #begin(command: Command, args: readonly Buffer[]): void {
    const call = { realm: this.#port.realm, client: this, args }
    if (command.keys === undefined && command.isAlone !== true) return this.#answerAtOnce(command, call)
    const slot: Slot = { protocol: this.protocol, reply: undefined }
    this.#slots.push(slot)
    this.#openCount++
    this.#isAlone = command.isAlone === true
    const keys = keysOf(command, args).map(keyOf)
    if (command.together?.accepts(args) === true) return this.#beginTogether(command, call, keys[0] as string, slot)
    this.#batches.close(keys)
    const run = async (): Promise<Reply> => await command.run(call)
    const running = this.#isAlone ? run() : this.#order.run(keys, command.isWrite === true, run)
    running.then(
      reply => this.#answered(slot, reply),
      (error: unknown) => this.#answered(slot, this.#failure(error)),
    )
  }

  #beginTogether(command: Command, call: Call, key: string, slot: Slot): void {
    const batch = this.#batches.add(key, command, call, slot)
    if (batch === undefined) return
    const run = async (): Promise<void> => {
      this.#batches.close([key])
      const replies = await runBatch(batch, error => this.#failure(error))
      for (const [at, reply] of replies.entries()) this.#answered(batch.slots[at] as Slot, reply)
    }
    void this.#order.run([key], true, run)
  }

  #answerAtOnce(command: Command, call: Parameters<Command['run']>[0]): void {
    try {
      this.#answerNow(command.run(call) as Reply)
    } catch (error) {
      this.#answerNow(this.#failure(error))
    }
  }

  #answerNow(reply: Reply): void {
    this.#slots.push({ protocol: this.protocol, reply })
    this.#askFlush()
  }

  #answered(slot: Slot, reply: Reply): void {
    slot.reply = reply
    this.#openMax = isLarge(reply) ? Math.max(open.min, this.#openMax >> 1) : Math.min(open.max, this.#openMax + 1)
    this.#openCount--
    this.#isAlone = false
    this.#askFlush()
    const next = this.#next
    if (next === undefined || this.#openCount > 0) return
    this.#next = undefined
    this.#begin(next.command, next.args)
  }

  #failure(error: unknown): ErrorReply {
    const reply = refusalReply(error)
    if (reply?.text.startsWith('WRONGPASS') === true)
      this.#port.refused('unauthorized', 'the access token is wrong', this)
    if (reply !== undefined) return reply
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#port.warn('resp.failed', reason, this)
    return new ErrorReply('INDETERMINATE internal error')
  }

  #askFlush(): void {
    if (this.#isFlushAsked) return
    this.#isFlushAsked = true
    this.#port.realm.grid.env.turn(() => {
      this.#isFlushAsked = false
      this.#flush()
    })
  }

  /** Writes what is known from the front, then goes on with what came meanwhile. */
  #flush(): void {
    const socket = this.#socket
    if (socket.destroyed) {
      this.#slots = this.#slots.filter(slot => slot.reply === undefined)
      return
    }
    let known = 0
    let parts: (string | Uint8Array)[] = []
    socket.cork()
    while (known < this.#slots.length && !this.#isClogged) {
      const { reply, protocol } = this.#slots[known] as Slot
      if (reply === undefined) break
      known++
      encodeReply(reply, protocol, parts)
      if (parts.length > 1_000 || (reply instanceof Uint8Array && reply.length > copiedBytesMax)) {
        write(socket, parts)
        parts = []
      }
    }
    write(socket, parts)
    socket.uncork()
    if (known > 0) this.#slots.splice(0, known)
    if (this.#isEnding && this.#slots.length === 0 && this.#next === undefined) this.#close()
    else this.#advance()
  }
}

const limitCodes = { argumentsMax: 'too-many-arguments', valueBytesMax: 'too-large' } as const

function isLarge(reply: Reply): boolean {
  if (reply instanceof Uint8Array) return reply.length >= largeReplyBytes
  return Array.isArray(reply) && reply.length >= largeReplyLength
}

/** Small parts together, large ones as they are. */
function write(socket: Socket, parts: readonly (string | Uint8Array)[]): void {
  let from = 0
  for (let at = 0; at <= parts.length; at++) {
    const part = parts[at]
    if (part !== undefined && (typeof part === 'string' || part.length <= copiedBytesMax)) continue
    if (at > from) socket.write(joined(parts.slice(from, at)))
    if (part !== undefined) socket.write(part)
    from = at + 1
  }
}

function joined(parts: readonly (string | Uint8Array)[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const out = Buffer.allocUnsafe(length)
  let at = 0
  for (const part of parts) {
    if (typeof part === 'string') out.write(part, at, 'latin1')
    else out.set(part, at)
    at += part.length
  }
  return out
}

function unknownCommand(args: readonly Buffer[]): ErrorReply {
  let shown = ''
  for (const argument of args.slice(1)) {
    if (shown.length >= 128) break
    shown += `'${quotable(argument, 128 - shown.length)}' `
  }
  const name = quotable(args[0] as Buffer, 128)
  return new RespError(`ERR unknown command '${name}', with args beginning with: ${shown}`).reply
}
