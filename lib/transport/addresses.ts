/**
 * Addresses of peers as people write them: `10.0.0.7:7400`, `tcp/10.0.0.7:7400`, `[fd00::7]:7400`, `shop-1:7400`,
 * `dns:shop-peers:7400` and TCP multiaddrs such as `/ip4/10.0.0.7/tcp/7400/p2p/12D3KooW...`. Every form means TCP.
 *
 * Decision: one small parser instead of multiaddr everywhere, because messages to people name what they typed, and
 * short commands need not load libp2p.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { InvalidError } from '../base/errors.ts'

export interface Address {
  /** 'dns' may stand for several peers: each address that the name resolves to. */
  readonly kind: 'ip4' | 'ip6' | 'dns'
  /** e.g. '10.0.0.7', 'fd00::7', 'shop-peers' */
  readonly host: string
  /** 0 (only to listen: any free one) .. 65535 */
  readonly port: number
  /** PeerId that must answer there, if a multiaddr named it. */
  readonly peer?: string
}

const textLengthMax = 512
const kinds: Readonly<Record<string, Address['kind']>> = {
  ip4: 'ip4',
  ip6: 'ip6',
  dns: 'dns',
  dns4: 'dns',
  dns6: 'dns',
}

/** Throws InvalidError that repeats the text and shows a right form. */
export function parseAddress(text: string): Address {
  if (text.length > textLengthMax) throw invalid(`${text.slice(0, 40)}...`, `longer than ${textLengthMax} characters`)
  if (text.startsWith('/')) return parseMultiaddr(text)
  if (text.startsWith('dns:')) return { ...split(text, text.slice(4)), kind: 'dns' }
  return split(text, text.startsWith('tcp/') ? text.slice(4) : text)
}

/** The shortest form that `parseAddress` reads back to the same address. */
export function formatAddress(address: Address): string {
  if (address.peer !== undefined) return `${multiaddrOf(address)}`
  if (address.kind === 'dns') return `dns:${address.host}:${address.port}`
  return hostAndPort(address.host, address.port)
}

/** '10.0.0.7:7400', '[fd00::7]:7400'. */
export function hostAndPort(host: string, port: number | string | undefined): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** As libp2p reads it, e.g. '/ip4/10.0.0.7/tcp/7400'. */
export function multiaddrOf(address: Address): string {
  const where = `/${address.kind}/${address.host}/tcp/${address.port}`
  return address.peer === undefined ? where : `${where}/p2p/${address.peer}`
}

/** True if nobody on another machine can reach it. A name other than `localhost` is taken to be reachable. */
export function isLoopback(address: Address): boolean {
  if (address.kind === 'ip4') return address.host.startsWith('127.')
  if (address.kind === 'ip6') return address.host === '::1'
  return address.host === 'localhost'
}

/** Those that others can use: loopback is of no use to them when there is another way. */
export function reachable(listened: readonly Address[]): readonly Address[] {
  const outside = listened.filter(address => !isLoopback(address))
  return outside.length > 0 ? outside : listened
}

/** For a peer without a cluster secret. Throws InvalidError if another machine can reach one of these. */
export function refuseReachable(addresses: readonly Address[]): void {
  const open = addresses.find(address => !isLoopback(address))
  if (open === undefined) return
  throw new InvalidError(
    `${formatAddress(open)} can be reached from other machines, and there is no cluster secret: give every peer the same --secret-file, or listen on 127.0.0.1`,
  )
}

function parseMultiaddr(text: string): Address {
  const [kindName = '', host = '', transport, portText = '', ...rest] = text.slice(1).split('/')
  const kind = kinds[kindName]
  if (kind === undefined || transport !== 'tcp') throw invalid(text, 'not a TCP multiaddr')
  if (
    rest.length > 0 &&
    (rest.length !== 2 || rest[0] !== 'p2p' || !/^[1-9A-HJ-NP-Za-km-z]{20,120}$/.test(rest[1] ?? ''))
  )
    throw invalid(text, `/${rest.join('/')} is not understood`)
  const address = { ...checkedHost(text, host, kind), port: portOf(text, portText) }
  return rest[1] === undefined ? address : { ...address, peer: rest[1] }
}

function split(text: string, hostAndPort: string): Address {
  const at = hostAndPort.lastIndexOf(':')
  if (at < 0) throw invalid(text, 'no port')
  const host = hostAndPort.slice(0, at)
  const port = portOf(text, hostAndPort.slice(at + 1))
  if (host.startsWith('[') && host.endsWith(']')) return { ...checkedHost(text, host.slice(1, -1), 'ip6'), port }
  if (host.includes(':')) throw invalid(text, 'an IPv6 address stands in brackets: [fd00::7]:7400')
  return { ...checkedHost(text, host, isIPv4(host) ? 'ip4' : 'dns'), port }
}

function checkedHost(text: string, host: string, kind: Address['kind']): { kind: Address['kind']; host: string } {
  if (kind === 'ip4' && !isIPv4(host)) throw invalid(text, `'${host}' is not an IPv4 address`)
  if (kind === 'ip6' && (!isIPv6(host) || host.includes('%'))) throw invalid(text, `'${host}' is not an IPv6 address`)
  if (kind === 'dns' && !isName(host)) throw invalid(text, `'${host}' is not a host name`)
  return { kind, host }
}

function isName(host: string): boolean {
  return (
    host.length <= 253 &&
    /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i.test(host) &&
    !/^[\d.]+$/.test(host)
  )
}

function portOf(text: string, portText: string): number {
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : -1
  if (port < 0 || port > 65_535) throw invalid(text, `'${portText}' is not a port (0 to 65535)`)
  return port
}

function invalid(text: string, why: string): InvalidError {
  return new InvalidError(
    `address '${text}': ${why}; write 10.0.0.7:7400, [fd00::7]:7400, dns:shop-peers:7400 or /ip4/10.0.0.7/tcp/7400`,
  )
}
