/**
 * Tells a parent process that asks over the IPC channel what this peer holds: groups that wait for more in the partitions
 * it owns, and units of work in hand. `skein demo` kills a peer while that is much. Only where SKEIN_DEMO is set; then
 * the peer ends with its parent, too.
 */
import { groupName } from '../../lib/flow/components/aggregator.ts'
import type { Plan } from '../../lib/flow/plan.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import type { PeerFlows } from './flows.ts'

export interface Holdings {
  readonly openGroups: number
  readonly inHand: number
  /** Of the cluster, as this peer knows it. */
  readonly safety: number
  /** The fewest that any partition has, and members that count as live: both as this peer knows them. */
  readonly copies: number
  readonly live: number
}

export function answerParent(grid: Grid, plans: readonly Plan[], flows: PeerFlows | undefined): void {
  if (process.env['SKEIN_DEMO'] === undefined || process.send === undefined) return
  process.on('disconnect', () => process.exit(1))
  process.on('message', () => {
    void holdings(grid, plans, flows).then(
      held => process.send?.(held),
      () => process.send?.({ openGroups: 0, inHand: 0, safety: -1, copies: 0, live: 0 } satisfies Holdings),
    )
  })
}

async function holdings(grid: Grid, plans: readonly Plan[], flows: PeerFlows | undefined): Promise<Holdings> {
  const groups = plans.flatMap(({ name, steps }) =>
    steps.flatMap(({ node }) => (node.kind === 'aggregator' ? [groupName(name, node.name)] : [])),
  )
  const counts = grid.partitions.owned.flatMap(partition =>
    groups.map(async group => {
      const stats = await grid.partitions.ask(partition, { kind: 'group.stats', group })
      return (stats as readonly number[])[0] ?? 0
    }),
  )
  const openGroups = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  const { safety, partitions, members } = grid.status()
  const live = members.filter(({ state }) => state === 'live').length
  return { openGroups, inHand: flows?.inHand ?? 0, safety: safety.level, copies: partitions.copies, live }
}
