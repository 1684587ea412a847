/** `skein status`: who is here, who leads, how many more may die, and why not more. */
import type { Command } from 'commander'
import { adminCommand, call, print, table, type AdminOptions } from './admin.ts'

interface Cluster {
  readonly cluster: string
  readonly leader: string | null
  readonly epoch: number
  readonly safety: { readonly level: number; readonly reason: string }
  readonly members: readonly {
    readonly name: string
    readonly member: string
    readonly addresses: readonly string[]
    readonly roles: readonly string[]
    readonly state: string
  }[]
}

export function statusVerb(): Command {
  return adminCommand('status', 'members, leader and safety of a cluster').action(async (options: AdminOptions) => {
    const cluster = (await call(options, 'GET', '/v1/cluster')) as Cluster
    print(options, cluster, () => render(cluster))
  })
}

function render({ cluster, leader, safety, members }: Cluster): string {
  const rows = members.map(({ name, member, state, roles, addresses }) => [
    name,
    member === leader ? `${state}, leader` : state,
    roles.join(' '),
    addresses.join(' '),
  ])
  return [
    `cluster ${cluster}`,
    `safety  ${safety.level}: ${safety.reason}`,
    '',
    table(['member', 'state', 'roles', 'addresses'], rows),
  ].join('\n')
}
