/**
 * Becomes one member of a cluster, in this very process:
 *
 *     await using grid = await join({ cluster: 'shop', seeds: ['dns:shop-peers:7400'], secret: secret('SKEIN_SECRET') })
 */
import type { Emit } from '../base/machine.ts'
import { UnavailableError } from '../base/errors.ts'
import type { MemberId } from '../base/ids.ts'
import { entropy, systemEnv } from '../peer/clock.ts'
import { firstDiscovery } from '../peer/discovery.ts'
import { Lifecycle } from '../peer/lifecycle.ts'
import { settingsOf, type Settings, type SettingsInput } from '../peer/options.ts'
import { createPeer } from '../peer/start.ts'
import type { Wires } from '../transport/wires.ts'
import type { Duration } from './duration.ts'
import { MemberGrid } from './grid.ts'
import type { Grid } from './handles.ts'

export interface JoinOptions extends SettingsInput {
  /** Everything that may go to a log or a metric. It also comes as `grid.on('event', ...)`, but not before there is a grid. */
  readonly onEvent?: ((event: Emit) => void) | undefined
  /** How long to look for the others. Then `join` rejects. Default '60s'. */
  readonly deadline?: Duration | undefined
  readonly signal?: AbortSignal | undefined
  /** In place of libp2p, for several peers of one process: see transport/memory-hub.ts. */
  readonly createWires?: ((member: MemberId) => Wires) | undefined
}

/** Resolves once the grid answers. Rejects with InvalidError, or with UnavailableError that says what it waited for. */
export async function join(options: JoinOptions = {}): Promise<Grid> {
  const { onEvent, deadline = '60s', signal, createWires, ...input } = options
  const grid = await startGrid(embeddedSettings(input), { onEvent, createWires })
  try {
    await grid.ready({ deadline, signal })
    return grid
  } catch (error) {
    const { reason, members } = grid.status()
    await grid.close()
    if (!(error instanceof UnavailableError)) throw error
    throw new UnavailableError(
      `could not join cluster ${grid.clusterName}: ${reason}; knew ${members.length} members`,
      {
        cause: error,
      },
    )
  }
}

/** Starts without waiting for the cluster: `grid.ready()` does. For the command line, which has things to say meanwhile. */
export async function startGrid(
  settings: Settings,
  { onEvent, createWires }: Pick<JoinOptions, 'onEvent' | 'createWires'> = {},
): Promise<Grid> {
  const env = systemEnv(event => {
    onEvent?.(event)
    grid.events.tell('event', event)
  })
  const { name, cluster, memoryBytes, seeds, expect } = settings
  const grid: MemberGrid = new MemberGrid({ env, name, clusterName: cluster, budgetBytes: memoryBytes })
  const { createState, budget, listener } = grid
  const parts = { settings, env, createState, budget, listener, keySeed: entropy(32), createWires }
  const lifecycle = new Lifecycle({
    env,
    name,
    discovery: firstDiscovery(seeds, expect),
    create: (member, discovery, listen) => createPeer(parts, member, discovery, listen),
    attach: peer => grid.attach(peer),
    restarted: member => grid.events.tell('restarted', { member }),
  })
  grid.closePeer = () => lifecycle.stop()
  // Not from inside the turn that tells it.
  grid.onExpelled = () => env.turn(() => lifecycle.expelled(grid.isLeaving))
  await lifecycle.start()
  return grid
}

function embeddedSettings(input: SettingsInput): Settings {
  return settingsOf(input, () => [...entropy(5)].map(byte => (byte % 36).toString(36)).join(''))
}
