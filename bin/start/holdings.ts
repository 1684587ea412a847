/**
 * Tells a parent process that asks over the IPC channel what this peer holds: groups that wait for more in the partitions
 * it owns, and units of work in hand. `skein demo` kills a peer while that is much. Only where SKEIN_DEMO is set; then
 * the peer ends with its parent, too.
 */
import { groupName } from '../../lib/flow/components/aggregator.ts'
import type { Plan } from '../../lib/flow/plan.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import type { PeerFlows } from './flows.ts'

/** Answers 'holdings': cheap enough to ask once in a while, since it counts in each partition. */
export interface Holdings {
  readonly openGroups: number
  readonly inHand: number
}

/** Answers 'standing': how the cluster stands, as this peer knows it. */
export interface Standing {
  readonly safety: number
  /** The fewest that any partition has. */
  readonly copies: number
  /** Members that count as live. */
  readonly live: number
}

export interface Answers {
  readonly holdings: Holdings
  readonly standing: Standing
}

/** What comes back names what was asked. */
export type Answer<Q extends keyof Answers> = { readonly asked: Q } & Answers[Q]

export function answerParent(grid: Grid, plans: readonly Plan[], flows: PeerFlows | undefined): void {
  if (process.env['SKEIN_DEMO'] === undefined || process.send === undefined) return
  process.on('disconnect', () => process.exit(1))
  process.on('message', asked => {
    if (asked === 'standing') process.send?.({ asked, ...standing(grid) })
    if (asked !== 'holdings') return
    // No answer is an answer, too: whoever asks waits a while only.
    holdings(grid, plans, flows).then(
      held => process.send?.({ asked, ...held }),
      () => undefined,
    )
  })
}

function standing(grid: Grid): Standing {
  const { safety, partitions, members } = grid.status()
  const live = members.filter(({ state }) => state === 'live').length
  return { safety: safety.level, copies: partitions.copies, live }
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
  return { openGroups, inHand: flows?.inHand ?? 0 }
}
