/** libp2p's upgrader with one or both of its two steps replaced, as the wrappers of its transport here need it. */
import type { Upgrader } from '@libp2p/interface'

type Steps = Partial<Pick<Upgrader, 'upgradeInbound' | 'upgradeOutbound'>>

export function upgraderWith(upgrader: Upgrader, steps: Steps): Upgrader {
  return {
    upgradeInbound: (connection, options) => upgrader.upgradeInbound(connection, options),
    upgradeOutbound: (connection, options) => upgrader.upgradeOutbound(connection, options),
    createInboundAbortSignal: signal => upgrader.createInboundAbortSignal(signal),
    getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
    getStreamMuxers: () => upgrader.getStreamMuxers(),
    ...steps,
  }
}
