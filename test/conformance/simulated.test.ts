import { networkConformance, type NetworkHarness } from './network.ts'
import { SimClock } from '../../sim/clock.ts'
import { SimProcess } from '../../sim/env.ts'
import { Fabric } from '../../sim/fabric.ts'
import { SimNetwork } from '../../sim/network.ts'
import { cut } from '../../sim/rules.ts'
import { World } from '../../sim/world.ts'
import type { Network } from '../../lib/transport/network.ts'

/** Virtual time in which a condition must come about. */
const settleMaxMs = 60_000

/** A machine per network, named as its peer; time passes while a condition is waited for, and in no other moment. */
function simulatedHarness(): NetworkHarness<string> {
  const world = new World({ seed: 1 })
  const fabric = new Fabric<string>(world)
  const networks: Network<string>[] = []
  const cuts = new Map<Network<string>, () => void>()
  const simulated = (network: Network<string>): SimNetwork<string> => network as SimNetwork<string>
  return {
    create: ({ name, hello, laneUnsentBytesMax = 2_000_000 }) => {
      const clock = new SimClock(world, { driftPpm: 0, monotonicStartMs: 1_000, wallOffsetMs: 0 })
      const network = new SimNetwork<string>({
        fabric,
        process: new SimProcess(world, name, clock, () => undefined),
        address: `${name}:1`,
        hello,
        limits: { pingIntervalMs: 50, silenceMs: 250, redialMinMs: 5, redialMaxMs: 40, laneUnsentBytesMax },
        sizeOf: body => body.length,
      })
      networks.push(network)
      return network
    },
    body: text => text,
    text: body => body,
    settle: async condition => {
      for (const endMs = world.nowMs + settleMaxMs; !condition(); await world.play(world.nowMs + 1))
        if (world.nowMs > endMs) throw new Error(`does not come about within ${settleMaxMs} ms`)
      // links change just after they are told
      await world.play(world.nowMs + 1)
    },
    poke: () => undefined,
    kill: async network => {
      simulated(network).process.kill()
      simulated(network).leave(true)
    },
    isolate: network => {
      const { name } = simulated(network).process
      const others = networks.map(one => simulated(one).process.name).filter(other => other !== name)
      cuts.set(network, fabric.impose(cut([name], others)))
    },
    restore: network => cuts.get(network)?.(),
    // A simulated lane holds nothing but what a cut holds.
    overrun: (network, member) => {
      simulated(network).breakLane(member, 'bulk')
    },
    dispose: async () => {
      await Promise.all(networks.map(network => network.stop()))
    },
  }
}

networkConformance('simulated', simulatedHarness, { hasSecrets: false })
