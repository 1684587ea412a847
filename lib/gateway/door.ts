/**
 * What every door has in common: where it listens, who may come in, and how it closes. A door is loopback only unless an
 * access token is given; then who knows the token may do everything that the door offers.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { AddressInfo, Server } from 'node:net'
import { InvalidError } from '../base/errors.ts'
import { formatAddress, hostAndPort, isLoopback, parseAddress, type Address } from '../transport/addresses.ts'

export interface Door extends AsyncDisposable {
  /** Bound: port 0 has become the one that was free. e.g. '127.0.0.1:7480' */
  readonly address: string
  readonly host: string
  readonly port: number
  /** It will close soon: says so wherever it can, and serves as before. */
  part(): void
  /** Takes nothing new, answers what is in hand within `graceMs` (default 5,000), then ends the rest. */
  close(options?: { readonly graceMs?: number | undefined }): Promise<void>
}

export interface DoorOptions {
  /** e.g. '127.0.0.1:7480'; port 0 takes a free one. */
  readonly listen: string
  /** Asked of everybody. Without one the door listens on loopback only. */
  readonly accessToken?: string | undefined
  /** False: what is stored is not whole yet, and nobody may read or write it. Default: always true. */
  readonly isServing?: (() => boolean) | undefined
}

export const graceMsDefault = 5_000

/**
 * The largest value that comes in by a door. It has to fit one message between members (16 MiB), and one of each direction
 * and kind (request, append, reply) a lane that holds as much unsent.
 */
export const valueBytesMax: number = 4 * 1024 * 1024

/** Throws InvalidError if the door would be open to other machines without a token. */
export function guardedAddress({ listen, accessToken }: DoorOptions, door: string): Address {
  const address = parseAddress(listen)
  if (accessToken === '') throw new InvalidError(`the access token of ${door} is empty`)
  if (accessToken === undefined && !isLoopback(address))
    throw new InvalidError(
      `${door} ${formatAddress(address)} can be reached from other machines, and there is no access token: give an --access-token-file, or listen on 127.0.0.1`,
    )
  return address
}

/** Compares in constant time, whatever the lengths. */
export class AccessToken {
  readonly #digest: Buffer

  constructor(token: string) {
    this.#digest = digestOf(token)
  }

  accepts(given: string | Uint8Array): boolean {
    return timingSafeEqual(this.#digest, digestOf(given))
  }
}

function digestOf(text: string | Uint8Array): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Resolves once it listens; rejects with InvalidError that says why it cannot. */
export async function listen(server: Server, { host, port }: Address): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void =>
      reject(new InvalidError(`cannot listen on ${host}:${port}: ${error.code ?? error.message}`, { cause: error }))
    server.once('error', failed)
    server.listen({ host, port }, () => {
      server.off('error', failed)
      resolve()
    })
  })
  return server.address() as AddressInfo
}

/** `[::1]:7480` for IPv6. */
export function addressText({ address, port }: AddressInfo): string {
  return hostAndPort(address, port)
}
