/** What a flow looks like from outside: for `status`, metrics and people. */
import type { FlowCounts } from './counts.ts'
import type { RunningFlow } from './running-flow.ts'

export interface FlowStatus {
  readonly name: string
  readonly version: string
  /** Where its sources can be reached. */
  readonly addresses: readonly string[]
  /** Over the whole cluster. `inHand` is leased somewhere. */
  readonly stages: readonly { readonly name: string; readonly queued: number; readonly inHand: number }[]
  /** Over the whole cluster. */
  readonly groups: readonly {
    readonly name: string
    readonly open: number
    readonly closed: number
    readonly late: number
  }[]
  /** Over the whole cluster. */
  readonly dead: number
  /** Units of work at this peer. */
  readonly inHand: number
  /** At this peer since it started. */
  readonly counts: FlowCounts
}

export async function flowStatus(flow: RunningFlow, addresses: readonly string[]): Promise<FlowStatus> {
  const { grid, plan } = flow
  const stages = await Promise.all(
    flow.queues.map(async ({ queue, stage }) => {
      const { total, leased } = await queue.counts()
      return { name: stage.name, queued: total - leased, inHand: leased }
    }),
  )
  const groups = await Promise.all(
    [...flow.groups.values()].map(async ({ name, node }) => {
      const { open, closed, late } = await grid.group(name).counts()
      return { name: node.name, open, closed, late }
    }),
  )
  const dead = await grid.dead(plan.deadLetter).count()
  const { name, version } = plan
  return { name, version, addresses, stages, groups, dead, inHand: flow.inHand, counts: { ...flow.counts } }
}
