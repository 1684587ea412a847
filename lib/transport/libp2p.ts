/**
 * Wires by libp2p: TCP, noise, yamux, and one long-lived stream per connection. Identity, dialing, encryption and
 * multiplexing are libp2p's; everything that decides is ours.
 *
 * Against its defaults (seen in 3.3): the connection monitor and yamux's keep-alive are off, because one missed ping of
 * a busy peer kills a connection; own pings keep links from the idle timeouts. The limits on incoming connections
 * (5 a second per address, 10 pending, 300 in all) are raised, because a mesh on one host is over them at once. Its
 * peer store forgets a peer with its connection, for peers come back with new keys. Back-pressure goes by
 * `writeBufferLength` and the `drain` event, never `onDrain()`, which is not to be relied on.
 *
 * What it does not do: admission, and anything about members. Loaded lazily: the import alone takes most of a second.
 */
import { lookup } from 'node:dns/promises'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { InvalidError } from '../base/errors.ts'
import { type Address, formatAddress, multiaddrOf, parseAddress } from './addresses.ts'
import { boundFrames, watchBreach, watchedTransport } from './inbound-refusals.ts'
import { lazyWindow, leanEncrypter, leanTransport } from './lean-writes.ts'
import { preparedCrypto } from './noise-crypto.ts'
import { abort, shortAddress, StreamWire } from './stream-wire.ts'
import { DialError, type Wire, type WireRefusal, type Wires } from './wires.ts'

/** The protocol's name on a connection; the number changes with the frames, not with the messages. */
export const protocol = '/skein/link/1'

export interface Libp2pWiresOptions {
  /** In the forms of addresses.ts; port 0 takes a free one. None: it only dials. */
  readonly listen: readonly string[]
  /** 32 bytes of an Ed25519 key that outlives this start; a fresh key unless given. */
  readonly keySeed?: Uint8Array
  /** A connection from outside that opened no stream by then is closed. Default 5,000 ms. */
  readonly idleMs?: number
  /** Connections in all; more are refused. Default 4,096. */
  readonly connectionsMax?: number
}

const idleMsDefault = 5_000
const connectionsMaxDefault = 4_096
const pendingMax = 1_024

export class Libp2pWires implements Wires {
  readonly listen: readonly Address[]
  readonly #options: Libp2pWiresOptions
  readonly #wires = new Set<StreamWire>()
  readonly #idle = new Map<string, NodeJS.Timeout>()
  #node: Libp2p | undefined
  #toMultiaddr: ((text: string) => Parameters<Libp2p['dial']>[0]) | undefined
  #listened: readonly Address[] = []
  #refused: (refusal: WireRefusal) => void = () => undefined
  peer = ''

  /** Throws InvalidError on addresses that are none. */
  constructor(options: Libp2pWiresOptions) {
    this.#options = options
    this.listen = options.listen.map(parseAddress)
    if (options.keySeed !== undefined && options.keySeed.length !== 32)
      throw new InvalidError('a peer key is a seed of 32 bytes')
  }

  async start(accept: (wire: Wire) => void, refused?: (refusal: WireRefusal) => void): Promise<readonly Address[]> {
    if (refused !== undefined) this.#refused = refused
    const node = await this.#create()
    this.#node = node
    this.peer = node.peerId.toString()
    node.addEventListener('connection:open', event => this.#watch(event.detail))
    node.addEventListener('connection:close', event => this.#unwatch(event.detail))
    node.addEventListener('peer:disconnect', event => void node.peerStore.delete(event.detail).catch(() => undefined))
    await node.handle(protocol, (stream, connection) => accept(this.#wire(stream, connection, false)), {
      maxInboundStreams: 2,
    })
    try {
      await node.start()
    } catch (error) {
      throw new InvalidError(`cannot listen on ${this.listen.map(formatAddress).join(', ')}: ${messageOf(error)}`)
    }
    this.#listened = node.getMultiaddrs().map(each => withoutPeer(parseAddress(each.toString())))
    return this.#listened
  }

  async resolve(address: Address): Promise<readonly Address[]> {
    if (address.kind !== 'dns') return [address]
    const found = await lookup(address.host, { all: true })
    return found.map(({ address: host, family }) => ({ ...address, host, kind: family === 6 ? 'ip6' : 'ip4' }))
  }

  async dial(address: Address, signal: AbortSignal): Promise<Wire> {
    const node = this.#node
    const toMultiaddr = this.#toMultiaddr
    if (node === undefined || toMultiaddr === undefined) throw new DialError('failed', 'not started')
    const text = formatAddress(address)
    if (this.#listened.some(own => formatAddress(own) === text))
      throw new DialError('self', `${text} is the own address`)
    try {
      const connection = await node.dial(toMultiaddr(multiaddrOf(address)), { signal, force: true })
      const stream = await connection.newStream(protocol, { signal, maxOutboundStreams: 2 })
      return this.#wire(stream, connection, true)
    } catch (error) {
      throw new DialError(dialErrorKind(error), `${text}: ${messageOf(error)}`)
    }
  }

  async stop(): Promise<void> {
    for (const wire of this.#wires) wire.close()
    await Promise.all([...this.#wires].map(wire => wire.ended))
    for (const timer of this.#idle.values()) clearTimeout(timer)
    this.#idle.clear()
    await this.#node?.stop()
    this.#node = undefined
  }

  async #create(): Promise<Libp2p> {
    const [{ createLibp2p }, { tcp }, { noise }, { defaultCrypto }, { yamux }, keys, { multiaddr }] = await Promise.all(
      [
        import('libp2p'),
        import('@libp2p/tcp'),
        import('@libp2p/noise'),
        import('@libp2p/noise/crypto'),
        import('@libp2p/yamux'),
        import('@libp2p/crypto/keys'),
        import('@multiformats/multiaddr'),
      ],
    )
    this.#toMultiaddr = multiaddr
    const { keySeed, connectionsMax = connectionsMaxDefault, idleMs = idleMsDefault } = this.#options
    return await createLibp2p({
      start: false,
      privateKey:
        keySeed === undefined
          ? await keys.generateKeyPair('Ed25519')
          : await keys.generateKeyPairFromSeed('Ed25519', keySeed),
      addresses: { listen: this.listen.map(multiaddrOf) },
      transports: [
        components =>
          watchedTransport(leanTransport(tcp({ maxConnections: connectionsMax })(components)), each =>
            this.#refused(each),
          ),
      ],
      connectionEncrypters: [components => leanEncrypter(noise({ crypto: preparedCrypto(defaultCrypto) })(components))],
      streamMuxers: [
        yamux({ enableKeepAlive: false, maxInboundStreams: 8, maxOutboundStreams: 8, maxEarlyStreams: 2 }),
      ],
      connectionMonitor: { enabled: false },
      connectionManager: {
        maxConnections: connectionsMax,
        inboundConnectionThreshold: connectionsMax,
        maxIncomingPendingConnections: pendingMax,
        inboundUpgradeTimeout: idleMs,
        maxDialQueueLength: connectionsMax,
        reconnectRetries: 0,
      },
    })
  }

  #wire(stream: Stream, connection: Connection, isDialer: boolean): StreamWire {
    this.#unwatch(connection)
    lazyWindow(stream)
    const wire = new StreamWire(stream, connection, isDialer)
    this.#wires.add(wire)
    void wire.ended.then(() => this.#wires.delete(wire))
    return wire
  }

  /** A stranger may connect and then say nothing, or nonsense. */
  #watch(connection: Connection): void {
    boundFrames(connection)
    if (connection.direction !== 'inbound') return
    if (!watchBreach(connection, refusal => this.#refused(refusal))) return
    const timer = setTimeout(() => {
      this.#idle.delete(connection.id)
      const reason = 'no stream was opened in time'
      this.#refused({ from: shortAddress(connection.remoteAddr.toString()), code: 'silent', reason })
      abort(connection, reason)
    }, this.#options.idleMs ?? idleMsDefault)
    this.#idle.set(connection.id, timer)
  }

  #unwatch(connection: Connection): void {
    clearTimeout(this.#idle.get(connection.id))
    this.#idle.delete(connection.id)
  }
}

function withoutPeer({ kind, host, port }: Address): Address {
  return { kind, host, port }
}

function dialErrorKind(error: unknown): DialError['kind'] {
  const message = messageOf(error)
  if (message.includes('ECONNREFUSED')) return 'refused'
  return /dial self/i.test(message) ? 'self' : 'failed'
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  const message = error instanceof Error ? error.message : String(error)
  // libp2p puts its advice and a stack around the one line that says why.
  const cause = /^\s*(?:[^\n]*Error: )?([^\n]*\bE[A-Z]{4,}\b[^\n]*)/m.exec(message)?.[1] ?? message
  return cause.replace(/^.*?Error: /, '')
}
