/** The flows of one peer: where their sources can be reached, and how they end. */
import { InvalidError } from '../../lib/base/errors.ts'
import type { Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'
import { runFlows } from '../../lib/flow/runner.ts'
import type { Grid } from '../../lib/grid/handles.ts'

export interface PeerFlows {
  /** Of the listener that HTTP sources share, e.g. 'http://127.0.0.1:8080'; undefined where there is none. */
  readonly url: string | undefined
  /** e.g. ['POST /deliveries/:id/head'] */
  readonly routes: readonly string[]
  /** Units of work at this peer that are not committed yet. */
  readonly inHand: number
  /** Sources will close soon: says so wherever it can. */
  part(): void
  closeSources(): Promise<void>
  /** Works off what waits in the queues, over the whole cluster, within the time. False: something is left. */
  workOff(deadlineMs: number, progress: (left: number) => void): Promise<boolean>
  /** Finishes what is in hand, and takes no more. `isGivenUp`: nothing can be committed any more, so what is in hand stays in its queue. */
  close(options?: { readonly isGivenUp?: boolean }): Promise<void>
}

/** Of a peer that only stores. */
export const noFlows: PeerFlows = {
  url: undefined,
  routes: [],
  inHand: 0,
  part: () => undefined,
  closeSources: () => Promise.resolve(),
  workOff: () => Promise.resolve(true),
  close: () => Promise.resolve(),
}

export interface FlowOptions {
  /** For HTTP sources; port 0 takes a free one. */
  readonly flowHttp: string | undefined
  /** Deploys even if messages of another version of a flow are left behind. */
  readonly isForced: boolean
}

export async function openFlows(
  grid: Grid,
  flows: readonly Flow<AnyMessage>[],
  { flowHttp, isForced }: FlowOptions,
): Promise<PeerFlows> {
  if (flows.length === 0) return noFlows
  const connectors = flowHttp === undefined ? {} : { http: { listen: flowHttp } }
  const runner = await runFlows(grid, flows, { connectors, isForced }).catch((error: unknown) => {
    const { syscall, code } = error as NodeJS.ErrnoException
    throw syscall === 'listen' ? new InvalidError(`--flow-http ${flowHttp} cannot be listened on: ${code}`) : error
  })
  const listener = runner.connector('http-listener') as { readonly address?: string } | undefined
  return {
    url: listener?.address === undefined ? undefined : `http://${listener.address}`,
    routes: runner.addresses(),
    get inHand() {
      return runner.inHand
    },
    part: () => runner.part(),
    closeSources: () => runner.closeSources(),
    workOff: (deadlineMs, progress) => runner.drain({ isEmptying: true, deadlineMs, progress }),
    close: async ({ isGivenUp = false } = {}) => {
      if (!isGivenUp) await runner.drain()
      await runner.stop()
    },
  }
}
