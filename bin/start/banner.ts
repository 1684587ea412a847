/** What a peer says of itself once it serves: one JSON line for programs, a few lines for people. */
import type { Plan } from '../../lib/flow/plan.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import type { Settings } from '../../lib/peer/options.ts'
import type { PeerDoors } from './doors.ts'
import type { PeerFlows } from './flows.ts'

export interface Opened {
  readonly version: string
  readonly grid: Grid
  readonly settings: Settings
  readonly files: readonly string[]
  readonly plans: readonly Plan[]
  readonly doors: PeerDoors
  readonly flows: PeerFlows
  readonly seconds: number
}

/** What is not open is not there. */
export interface ReadyLine {
  readonly ready: true
  readonly name: string
  readonly member: string
  readonly addresses: readonly string[]
  readonly http?: string
  readonly flows?: string
  /** 'host:port' */
  readonly resp?: string
}

export function readyLine({ grid, doors, flows }: Opened): ReadyLine {
  const { name, member, addresses } = grid
  return {
    ready: true,
    name,
    member,
    addresses,
    ...(doors.http !== undefined && { http: doors.http }),
    ...(flows.url !== undefined && { flows: flows.url }),
    ...(doors.resp !== undefined && { resp: doors.resp }),
  }
}

export function banner(opened: Opened): string {
  const { version, grid, settings, plans, doors, flows, seconds } = opened
  const lines = [`skein ${version} · ${grid.name} · cluster ${grid.clusterName}`]
  const say = (label: string, text: string): void => void lines.push(`  ${label.padEnd(7)} ${text}`)
  const guard = settings.secret === undefined ? ' (loopback only: no --secret-file)' : ''
  say('peers', `${grid.addresses.map(address => `tcp/${address}`).join(', ')}${guard}`)
  if (flows.url !== undefined) say('flows', `${flows.url}    ${flows.routes.join(', ')}`)
  if (doors.http !== undefined) say('admin', `${doors.http}    /-/ready  /-/metrics  /v1`)
  if (doors.resp !== undefined) say('resp', doors.resp)
  for (const plan of plans) say('flow', `${plan.name} v${plan.version.slice(0, 5)}  ${chain(plan)}`)
  say('safety', safetyText(opened))
  if (grid.safety.level === 0 && isAlone(grid))
    lines.push(`            ${['npx skein start', ...opened.files, '--join', grid.addresses[0]].join(' ')}`)
  const budget = Math.round(settings.memoryBytes / 2 ** 20)
  say('memory', `budget ${budget} MB · in memory alone: killing all peers at once loses what is queued`)
  lines.push(`ready in ${seconds.toFixed(1)} s`)
  return lines.join('\n')
}

function safetyText({ grid }: Opened): string {
  const { level, reason } = grid.safety
  return `${level}: ${reason}${isAlone(grid) ? '. A second peer makes it two copies, a third one safety 1:' : ''}`
}

function isAlone(grid: Grid): boolean {
  return grid.status().members.length === 1
}

/** e.g. 'head, payload -> join -> [store x16] -> file'. */
function chain({ sources, steps }: Plan): string {
  const names = steps.map(({ node }) => (node.kind === 'stage' ? `[${node.name} x${node.concurrency}]` : node.name))
  return [Object.keys(sources).join(', '), ...names].join(' -> ')
}
