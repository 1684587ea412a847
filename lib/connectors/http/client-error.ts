/** What Node's HTTP server refuses by itself, before there is a request: what it is, what to answer, what to do about it. */
import { hostAndPort } from '../../transport/addresses.ts'

interface FarEnd {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

export interface ClientFault {
  readonly code: 'malformed' | 'tls' | 'headers-too-large' | 'slow'
  readonly status: 400 | 408 | 431
  readonly reason: string
  readonly remedy: string
}

export interface ClientError extends Error {
  readonly code?: string
  /** What came, where the parser failed on it. */
  readonly rawPacket?: Uint8Array
}

const slow: ClientFault = {
  code: 'slow',
  status: 408,
  reason: 'the request did not come in time',
  remedy: 'send it faster, or look at the network between',
}

/** Undefined: the connection broke, and nobody is there to be told. */
export function clientFault({ code = '', rawPacket }: ClientError, headersBytesMax: number): ClientFault | undefined {
  if (code === 'ECONNRESET' || code === 'EPIPE') return undefined
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return slow
  if (code === 'HPE_HEADER_OVERFLOW')
    return {
      code: 'headers-too-large',
      status: 431,
      reason: `headers have at most ${headersBytesMax} bytes`,
      remedy: 'send fewer or shorter ones: cookies of other sites are a common cause',
    }
  if (rawPacket !== undefined && rawPacket[0] === 0x16 && rawPacket[1] === 0x03)
    return {
      code: 'tls',
      status: 400,
      reason: 'this is TLS, and plain HTTP is spoken here',
      remedy: 'ask with http://, or put a proxy that ends TLS in front',
    }
  const remedy = 'send HTTP/1.1; if the sender is none of yours, keep it off by a firewall'
  return { code: 'malformed', status: 400, reason: `this is not HTTP (${code === '' ? 'unknown' : code})`, remedy }
}

/** Of connections over the server's limit. */
export const tooManyConnections = {
  code: 'too-many',
  reason: 'too many connections at once',
  remedy: 'let clients share connections; if they are none of yours, keep them off by a firewall',
} as const

/** 'host:port' of the far end; 'unknown' once it is gone. */
export function addressOf({ remoteAddress, remotePort }: FarEnd): string {
  return remoteAddress === undefined ? 'unknown' : hostAndPort(remoteAddress, remotePort)
}
