/** Whether a default port is free, so that a second peer on the same machine needs no flags. */
import { createServer } from 'node:net'
import { parseAddress } from '../../lib/transport/addresses.ts'

/** The address as it is if it can be listened on, else with port 0. */
export async function orFree(address: string): Promise<string> {
  const { host, port } = parseAddress(address)
  const isFree = await new Promise<boolean>(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host, port }, () => probe.close(() => resolve(true)))
  })
  return isFree ? address : `${host}:0`
}
