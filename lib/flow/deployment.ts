/**
 * Which versions of a flow there are and who has loaded them. A version is agreed on under `flow/<name>/<version>`; each peer
 * that runs it says so in a map whose entries live a few seconds. A new version is refused while an older one, loaded
 * by nobody, has messages or groups that only it could go on with.
 */
import type { Plain } from '../base/shape.ts'
import type { Grid } from '../grid/handles.ts'
import { groupName } from './components/aggregator.ts'
import { OrphansError } from './errors.ts'
import { queueName, type Plan } from './plan.ts'

export const presenceTtlMs = 15_000

/** As agreed. */
export interface FlowDefinition {
  readonly stages: readonly string[]
  readonly aggregators: readonly string[]
  readonly sources: readonly string[]
  readonly deadLetter: string
}

export function definitionName(name: string, version: string): string {
  return `flow/${name}/${version}`
}

export function definitionOf(plan: Plan): FlowDefinition {
  return {
    stages: plan.stages.map(stage => stage.name),
    aggregators: plan.steps.flatMap(({ node }) => (node.kind === 'aggregator' ? [node.name] : [])),
    sources: Object.keys(plan.sources),
    deadLetter: plan.deadLetter,
  }
}

/** Says that this peer runs the plan; again before `presenceTtlMs` is over. */
export async function announce(grid: Grid, { name, version }: Plan): Promise<void> {
  const presences = grid.map<string>('flow-versions')
  await presences.put(`${name}/${version}/${grid.name}`, grid.member, { ttl: presenceTtlMs })
}

/** Not worth a wait: what it said ends by itself. */
export async function withdraw(grid: Grid, { name, version }: Plan): Promise<void> {
  await grid.map<string>('flow-versions').delete(`${name}/${version}/${grid.name}`, { deadline: '1s' })
}

/** Agrees on the plan's version. Throws OrphansError unless `isForced`. */
export async function deploy(grid: Grid, plans: readonly Plan[], isForced: boolean): Promise<void> {
  for (const plan of plans) {
    const counts = isForced ? {} : await orphans(grid, plan, plans)
    if (Object.keys(counts).length > 0) throw new OrphansError(orphanText(plan, counts), counts)
    await grid.define(definitionName(plan.name, plan.version), definitionOf(plan) as unknown as Plain)
    await announce(grid, plan)
  }
}

/** What would be left behind, by place; {} if nothing. */
export async function orphans(
  grid: Grid,
  plan: Plan,
  loaded: readonly Plan[],
): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {}
  const own = definitionOf(plan)
  const prefix = `flow/${plan.name}/`
  for (const [name, definition] of grid.definitions(prefix)) {
    const version = name.slice(prefix.length)
    if (loaded.some(each => each.name === plan.name && each.version === version)) continue
    if (await isLoaded(grid, plan.name, version)) continue
    const { stages, aggregators } = definition as unknown as FlowDefinition
    for (const stage of stages) {
      const { total } = await grid.queue(queueName({ name: plan.name, version }, stage)).counts()
      if (total > 0) counts[`${plan.name}@${version}/${stage}`] = total
    }
    for (const aggregator of aggregators.filter(each => !own.aggregators.includes(each))) {
      const { open, closed } = await grid.group(groupName(plan.name, aggregator)).counts()
      if (open + closed > 0) counts[`${plan.name}/${aggregator}`] = open + closed
    }
  }
  return counts
}

async function isLoaded(grid: Grid, name: string, version: string): Promise<boolean> {
  const presences = grid.map<string>('flow-versions')
  const { members } = grid.status()
  for (const { name: peer, member } of members)
    if ((await presences.get(`${name}/${version}/${peer}`)) === member) return true
  return false
}

function orphanText({ name, version }: Plan, counts: Readonly<Record<string, number>>): string {
  const places = Object.entries(counts).map(([place, count]) => `${place}: ${count}`)
  return (
    `flow ${name} ${version} would leave behind what only another version can go on with (${places.join(', ')}); ` +
    'load that version too until it is done, or force the deployment'
  )
}
