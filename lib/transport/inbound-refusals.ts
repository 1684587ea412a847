/**
 * Who came to the peer port and did not become a wire, and why: libp2p keeps that to its debug log. What fails before a
 * connection is encrypted and multiplexed is seen at the upgrader, what breaks it later at its end.
 *
 * Not told: who connects and leaves without a byte (a port check), and connections that the network cut.
 */
import type { Connection, MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { shortAddress } from './stream-wire.ts'
import { upgraderWith } from './upgraders.ts'
import type { WireRefusal } from './wires.ts'

type Tell = (refusal: WireRefusal) => void

/** The same transport; tells of each inbound connection that failed before libp2p would have told of it. */
export function watchedTransport<T extends Transport>(transport: T, tell: Tell): T {
  const createListener = transport.createListener.bind(transport)
  transport.createListener = options =>
    createListener({ ...options, upgrader: watchedUpgrader(options.upgrader, tell) })
  return transport
}

/** Tells what broke an inbound connection, if the far end did it by what it sent. False: it is broken already. */
export function watchBreach(connection: Connection, tell: Tell): boolean {
  const from = shortAddress(connection.remoteAddr.toString())
  const broken = (what: string): void =>
    tell({ from, code: 'broken', reason: `what came after the handshake is not what peers send: ${what}` })
  // Garbage right behind the handshake ends a connection before libp2p tells of it; then nothing more is told.
  if (connection.status !== 'open') {
    broken('closed before it was open')
    return false
  }
  connection.addEventListener('close', ({ error }) => {
    if (error !== undefined && isBreach(error)) broken(briefly(error))
  })
  return true
}

/** What a stream may send before its window is known to have grown: yamux' first window, and as much again. */
const muxerFrameBytesMin = 512 * 1024
/** yamux' largest window, for a release that hides them. */
const windowBytesMax = 16 * 1024 * 1024
const headerBytesMax = 64

interface Muxer {
  onData?: (bytes: unknown) => void
  readonly streams?: readonly { readonly recvWindow?: number }[]
  readonly decoder?: { readonly buffer?: { readonly byteLength?: number } }
}

/**
 * The muxer (yamux, 8.0) gathers a frame up to whatever length its header says, 4 GB at most, before it looks at it. A
 * frame is never larger than the window that its stream was given. Decision: a method of the instance is replaced, as in
 * lean-writes.ts; should a release rename it, the plain way is taken.
 */
export function boundFrames(connection: Connection): void {
  const { muxer } = connection as { readonly muxer?: Muxer }
  const onData = muxer?.onData?.bind(muxer)
  if (muxer === undefined || onData === undefined) return
  muxer.onData = bytes => {
    onData(bytes)
    const heldBytes = muxer.decoder?.buffer?.byteLength ?? 0
    if (heldBytes <= muxerFrameBytesMin) return
    const windows = (muxer.streams ?? []).map(({ recvWindow = windowBytesMax }) => recvWindow)
    const bytesMax = Math.max(muxerFrameBytesMin, ...windows.map(window => window + headerBytesMax))
    if (heldBytes > bytesMax) throw new Error(`a frame of the muxer longer than ${bytesMax} bytes`)
  }
}

function watchedUpgrader(upgrader: Upgrader, tell: Tell): Upgrader {
  return upgraderWith(upgrader, {
    upgradeInbound: async (connection, options) => {
      try {
        await upgrader.upgradeInbound(connection, options)
      } catch (error) {
        const found = options?.signal?.aborted === true ? undefined : verdict(error, bytesFrom(connection))
        if (found !== undefined) tell({ from: shortAddress(connection.remoteAddr.toString()), ...found })
        throw error
      }
    },
  })
}

/**
 * Random bytes fail in many ways, some at once and some by saying too little to go on: so the code goes by how much came. Much
 * is no handshake; little may be the beginning of one, or a length with nothing behind it.
 */
function verdict(error: unknown, bytes: number): Omit<WireRefusal, 'from'> | undefined {
  const name = error instanceof Error ? error.name : ''
  const message = briefly(error)
  if (name === 'ConnectionDeniedError') return { code: 'too-many', reason: 'too many connections at once' }
  const isLate = /Abort|Timeout|timeout/.test(`${name} ${message}`)
  if (bytes === 0) return isLate ? { code: 'silent', reason: 'said nothing' } : undefined
  const why = isLate ? 'no more came in time' : endings.test(`${name} ${message}`) ? 'then it left' : message
  return bytes > handshakeBytesMax
    ? { code: 'not-a-peer', reason: `${bytes} bytes that are no handshake of a peer: ${why}` }
    : { code: 'unfinished', reason: `${bytes} bytes that do not make a handshake of a peer: ${why}` }
}

/** The longest message of libp2p's protocol selection. */
const handshakeBytesMax = 1_024
const endings = /EOF|ECONNRESET|EPIPE|Closed|Reset|transmission|ended/i

function isBreach({ name, message }: Error): boolean {
  return !endings.test(`${name} ${message}`) && !/Abort|Timeout/.test(name)
}

/** One line, without libp2p's stack of causes. */
function briefly(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]?.slice(0, 200) ?? ''
}

/** The raw connection holds its socket; should a release hide it, all count as having said something. */
function bytesFrom(connection: MultiaddrConnection): number {
  return (connection as { readonly socket?: { readonly bytesRead?: number } }).socket?.bytesRead ?? 1
}
