/**
 * Fewer, larger writes under libp2p. As it comes (3.3), the encryption hands on its length, its header, its text and its
 * tag one by one, and TCP makes a system call of each; and the muxer answers every data frame with a window update, which
 * is encrypted, written, read and decrypted like the frame itself. Here each send is one write, and a window is updated
 * when half of it is used.
 *
 * Decision: methods of instances are replaced, `sendData` of the raw connection (the abstract method of @libp2p/utils),
 * `lengthDecoder` of the encrypted one, and `sendWindowUpdate` of the muxer's stream, instead of a transport and a muxer
 * of our own: a lone message costs three system calls instead of ten, and should a release rename one, the plain way is
 * taken.
 */
import type { ConnectionEncrypter, MultiaddrConnection, Stream, Transport, Upgrader } from '@libp2p/interface'
import { upgraderWith } from './upgraders.ts'

interface Sent {
  readonly sentBytes: number
  readonly canSendMore: boolean
}

interface Sender {
  sendData?: (chunks: Iterable<Uint8Array>) => Sent
}

interface Windowed {
  sendWindowUpdate?: () => void
  readonly state?: unknown
  readonly recvWindow?: unknown
  readonly recvWindowCapacity?: unknown
}

/** The same transport; what it dials or accepts writes each send at once. */
export function leanTransport<T extends Transport>(transport: T): T {
  const dial = transport.dial.bind(transport)
  const createListener = transport.createListener.bind(transport)
  transport.dial = (address, options) => dial(address, { ...options, upgrader: leanUpgrader(options.upgrader) })
  transport.createListener = options => createListener({ ...options, upgrader: leanUpgrader(options.upgrader) })
  return transport
}

interface Decoding {
  readonly decoder?: { lengthDecoder?: (bytes: { readonly byteLength: number }) => number }
}

/**
 * The same encryption; after each chunk its decoder asks for the next length until that throws, and the stack which a new
 * error records costs as much as the decryption. Here one error without a stack stands for all.
 */
export function leanEncrypter<E extends ConnectionEncrypter>(encrypter: E): E {
  const secureInbound = encrypter.secureInbound.bind(encrypter)
  const secureOutbound = encrypter.secureOutbound.bind(encrypter)
  encrypter.secureInbound = async (connection, options) => quick(await secureInbound(connection, options))
  encrypter.secureOutbound = async (connection, options) => quick(await secureOutbound(connection, options))
  return encrypter
}

const tooShort = Object.assign(new RangeError('no whole length'), { stack: '' })

function quick<S extends { readonly connection: unknown }>(secured: S): S {
  const { decoder } = secured.connection as Decoding
  const decode = decoder?.lengthDecoder
  if (decoder === undefined || decode === undefined) return secured
  decoder.lengthDecoder = bytes => {
    if (bytes.byteLength < 2) throw tooShort
    return decode(bytes)
  }
  return secured
}

/** Updates the window of a muxer's stream when half of it is used, no sooner. */
export function lazyWindow(stream: Stream): void {
  const windowed = stream as unknown as Windowed
  const update = windowed.sendWindowUpdate?.bind(stream)
  if (update === undefined) return
  windowed.sendWindowUpdate = () => {
    const { state, recvWindow, recvWindowCapacity } = windowed
    const isAmple =
      state === established &&
      typeof recvWindow === 'number' &&
      typeof recvWindowCapacity === 'number' &&
      recvWindowCapacity > recvWindow / 2
    if (!isAmple) update()
  }
}

/** The muxer's own number for a stream that both ends have acknowledged; before, updates carry that acknowledgement. */
const established = 3

function leanUpgrader(upgrader: Upgrader): Upgrader {
  return upgraderWith(upgrader, {
    upgradeInbound: (connection, options) => upgrader.upgradeInbound(inOneWrite(connection), options),
    upgradeOutbound: (connection, options) => upgrader.upgradeOutbound(inOneWrite(connection), options),
  })
}

function inOneWrite<C extends MultiaddrConnection>(connection: C): C {
  const sender = connection as unknown as Sender
  const send = sender.sendData?.bind(connection)
  if (send !== undefined) sender.sendData = chunks => send([joined([...chunks])])
  return connection
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}
