/** Harnesses on real time: conditions are looked at whenever a listener was told something. */
import { randomBytes } from 'node:crypto'
import { MemoryHub } from '../../lib/transport/memory-hub.ts'
import { Libp2pWires } from '../../lib/transport/libp2p.ts'
import { MeshNetwork } from '../../lib/transport/mesh.ts'
import type { Network, NetworkLimits } from '../../lib/transport/network.ts'
import type { Wires } from '../../lib/transport/wires.ts'
import type { NetworkHarness } from './network.ts'
import { realEnv } from './real-env.ts'
import { TcpProxy } from './tcp-proxy.ts'

export const fastLimits: Partial<NetworkLimits> = {
  pingIntervalMs: 50,
  silenceMs: 250,
  redialMinMs: 5,
  redialMaxMs: 40,
  helloTimeoutMs: 2_000,
  laneUnsentBytesMax: 2_000_000,
}

interface Ground {
  wires(): Wires
  kill(network: Network<Uint8Array>): Promise<void>
  isolate(network: Network<Uint8Array>): void
  restore(network: Network<Uint8Array>): void
  dispose(): Promise<void>
}

function realHarness(ground: Ground): NetworkHarness<Uint8Array> {
  const networks: Network<Uint8Array>[] = []
  let waiting: { readonly condition: () => boolean; readonly resolve: () => void }[] = []
  const poke = (): void => {
    if (waiting.length === 0) return
    // links change just after they are told
    setImmediate(() => {
      const met = waiting.filter(each => each.condition())
      waiting = waiting.filter(each => !met.includes(each))
      for (const each of met) each.resolve()
    })
  }
  return {
    create: ({ hello, secret, laneUnsentBytesMax }) => {
      const limits = laneUnsentBytesMax === undefined ? fastLimits : { ...fastLimits, laneUnsentBytesMax }
      const network = new MeshNetwork({
        env: realEnv(),
        wires: ground.wires(),
        hello,
        entropy: count => randomBytes(count),
        limits,
        ...(secret === undefined ? {} : { secret }),
      })
      networks.push(network)
      return network
    },
    body: text => Buffer.from(text),
    text: body => Buffer.from(body).toString(),
    settle: condition =>
      new Promise(resolve => {
        waiting.push({ condition, resolve })
        poke()
      }),
    poke,
    kill: network => ground.kill(network),
    isolate: network => ground.isolate(network),
    restore: network => ground.restore(network),
    dispose: async () => {
      await Promise.all(networks.map(network => network.stop()))
      await ground.dispose()
    },
  }
}

/** Each peer is reached through a proxy of its own, which can hold what passes. */
export function libp2pHarness(): NetworkHarness<Uint8Array> {
  const proxies = new Map<string, TcpProxy>()
  const proxied = (): Wires => {
    const wires = new Libp2pWires({ listen: ['127.0.0.1:0'] })
    const { start } = wires
    wires.start = async accept => {
      const [own] = await start.call(wires, accept)
      const proxy = await TcpProxy.open(own?.port ?? 0)
      proxies.set(wires.peer, proxy)
      return [{ kind: 'ip4', host: '127.0.0.1', port: proxy.port }]
    }
    return wires
  }
  return realHarness({
    wires: proxied,
    kill: async network => {
      await Promise.all([network.stop(), proxies.get(network.self.peer)?.close()])
    },
    // all of them, for what the isolated peer dialed runs through the others' proxies
    isolate: () => proxies.forEach(proxy => proxy.hold()),
    restore: () => proxies.forEach(proxy => proxy.release()),
    dispose: async () => {
      await Promise.all([...proxies.values()].map(proxy => proxy.close()))
    },
  })
}

export function memoryHarness(): NetworkHarness<Uint8Array> {
  const hub = new MemoryHub()
  return realHarness({
    wires: () => hub.wires(),
    kill: async network => hub.kill(network.self.peer),
    isolate: network => hub.hold(network.self.peer),
    restore: network => hub.release(network.self.peer),
    dispose: async () => undefined,
  })
}
