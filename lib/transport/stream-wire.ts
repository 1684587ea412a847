/**
 * A libp2p stream, with its connection, as a wire. The stream lives as long as the connection: either's end is both's.
 * Several things tell of an end (stream reset, far end's close, connection lost); the first one counts.
 */
import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { hostAndPort } from './addresses.ts'
import type { Wire, WireListener } from './wires.ts'

const closeMsMax = 1_000

export class StreamWire implements Wire {
  readonly remotePeer: string
  readonly remoteAddress: string
  readonly isDialer: boolean
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>
  readonly #stream: Stream
  readonly #connection: Connection
  #listener: WireListener | undefined
  // why it ended, until the listener was told
  #endReason: string | undefined
  #isTold = false

  constructor(stream: Stream, connection: Connection, isDialer: boolean) {
    this.#stream = stream
    this.#connection = connection
    this.isDialer = isDialer
    this.remotePeer = connection.remotePeer.toString()
    this.remoteAddress = shortAddress(connection.remoteAddr.toString())
    stream.addEventListener('close', event => this.#end(event))
    stream.addEventListener('remoteCloseWrite', () => this.#end(undefined))
    this.ended = new Promise(resolve => {
      connection.addEventListener('close', event => {
        this.#end(event)
        resolve()
      })
      if (connection.status !== 'open') resolve()
    })
    if (connection.status !== 'open') this.#end(undefined)
  }

  open(listener: WireListener): void {
    this.#listener = listener
    this.#stream.addEventListener('message', event => this.#onMessage(event))
    // libp2p moves its own write buffer on in a microtask that its listener asked for before this one
    this.#stream.addEventListener('drain', () => queueMicrotask(() => this.#listener?.drain()))
    if (this.#endReason !== undefined) queueMicrotask(() => this.#tell())
  }

  write(bytes: Uint8Array): void {
    if (this.#endReason !== undefined || this.#stream.writeStatus !== 'writable') return
    try {
      this.#stream.send(bytes)
    } catch (error) {
      this.abort(error instanceof Error ? error.message : String(error))
    }
  }

  get unsentBytes(): number {
    return this.#stream.writeBufferLength
  }

  close(): void {
    const signal = AbortSignal.timeout(closeMsMax)
    void this.#stream
      .close({ signal })
      .then(() => this.#connection.close({ signal }))
      .catch((error: unknown) => abort(this.#connection, error instanceof Error ? error.message : String(error)))
  }

  abort(reason: string): void {
    abort(this.#connection, reason)
  }

  #onMessage(event: StreamMessageEvent): void {
    const { data } = event
    if (data instanceof Uint8Array) this.#listener?.bytes(data)
    else for (const chunk of data) this.#listener?.bytes(chunk)
  }

  #end(event: StreamCloseEvent | undefined): void {
    if (this.#endReason !== undefined) return
    this.#endReason = event?.error === undefined ? 'closed by the other end' : `connection lost: ${event.error.message}`
    this.#tell()
    if (this.#connection.status === 'open') this.close()
  }

  #tell(): void {
    if (this.#listener === undefined || this.#isTold) return
    this.#isTold = true
    this.#listener.closed(this.#endReason as string)
    this.#listener = undefined
  }
}

/**
 * Ends a connection at once, whatever state it is in. libp2p's own way throws where the write side has closed before, and
 * leaves the connection below open: a stranger's garbage would end the process.
 */
export function abort(connection: Connection, reason: string): void {
  const error = Object.assign(new Error(reason), { name: 'AbortError' })
  try {
    connection.abort(error)
  } catch {
    ;(connection as { readonly maConn?: { abort?: (error: Error) => void } }).maConn?.abort?.(error)
  }
}

/** `/ip4/10.0.0.7/tcp/7400/p2p/12D3...` -> `10.0.0.7:7400`; another form as it is. */
export function shortAddress(text: string): string {
  const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(text) ?? []
  return host === undefined ? text : hostAndPort(host, port)
}
