/** The flows of one peer. */
import type { Plan } from '../../lib/flow/plan.ts'
import type { Grid } from '../../lib/grid/handles.ts'

export interface PeerFlows {
  /** Of the listener that HTTP sources share; undefined where there is none. */
  readonly url: string | undefined
  /** e.g. ['POST /deliveries/:id/head'] */
  readonly routes: readonly string[]
  closeSources(): Promise<void>
  /** Messages that wait in the queues of these flows, over the whole cluster. */
  queued(): Promise<number>
  close(): Promise<void>
}

export async function openFlows(
  _grid: Grid,
  _plans: readonly Plan[],
  _flowHttp: string | undefined,
): Promise<PeerFlows> {
  return {
    url: undefined,
    routes: [],
    closeSources: () => Promise.resolve(),
    queued: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  }
}
