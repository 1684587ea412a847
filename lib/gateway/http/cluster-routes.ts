/** What the cluster is, and the probes. */
import type { Answer, Exchange, Route } from './exchange.ts'
import type { DoorMetrics } from './metrics.ts'
import type { ReadinessProbe } from './readiness.ts'

export function clusterRoutes(readiness: ReadinessProbe, metrics: DoorMetrics): readonly Route[] {
  return [
    { method: 'GET', path: '/v1/cluster', run: show },
    // Whoever can answer is alive.
    { method: 'GET', path: '/-/live', isOpen: true, run: () => ({ status: 200, json: { live: true } }) },
    {
      method: 'GET',
      path: '/-/ready',
      isOpen: true,
      run: () => {
        const state = readiness.state()
        return { status: state.ready ? 200 : 503, json: state }
      },
    },
    {
      method: 'GET',
      path: '/-/metrics',
      run: async () => ({ status: 200, headers: { 'content-type': metrics.contentType }, text: await metrics.text() }),
    },
  ]
}

function show({ grid }: Exchange): Answer {
  const { cluster, clusterName, self, name, leader, epoch, safety, members, partitions, memory } = grid.status()
  return {
    status: 200,
    json: {
      cluster,
      clusterName,
      self,
      name,
      leader: leader ?? null,
      epoch,
      safety: { level: safety.level, reason: safety.reason },
      members: members.map(({ name: own, member, addresses, roles, state, zone, owned, backups }) => ({
        name: own,
        member,
        addresses,
        roles,
        state,
        zone: zone ?? null,
        owned,
        backups,
      })),
      partitions,
      memory,
    },
  }
}
