/** What this member knows of the cluster and of itself, for people. Read from the agreed state, nobody is asked. */
import type { MemberEntry } from '../consensus/cluster-state.ts'
import type { Safety } from '../placement/safety.ts'
import type { GridPeer } from './calls.ts'
import type { GridStatus, MemberStatus, Pressure } from './handles.ts'

export interface OwnStatus {
  readonly name: string
  readonly clusterName: string
  readonly budgetBytes: number
  readonly pressure: Pressure
  readonly safety: Safety
  /** Undefined: ready. */
  readonly unready: string | undefined
  readonly lapsedMs: number
}

export function statusOf(peer: GridPeer | undefined, own: OwnStatus): GridStatus {
  const state = peer?.state
  const partitions = state?.partitions ?? []
  const owned = new Map<string, number>()
  const backups = new Map<string, number>()
  let epoch = 0
  let served = 0
  let copies = Infinity
  for (const entry of partitions) {
    epoch = Math.max(epoch, entry.epoch)
    if (entry.owner !== undefined) {
      served++
      owned.set(entry.owner, (owned.get(entry.owner) ?? 0) + 1)
    }
    for (const backup of entry.backups) backups.set(backup, (backups.get(backup) ?? 0) + 1)
    copies = Math.min(copies, (entry.owner === undefined ? 0 : 1) + entry.backups.length)
  }
  const holders = [...(state?.members.values() ?? [])].filter(entry => entry.holdsData && entry.state === 'live').length
  const member = (entry: MemberEntry): MemberStatus => ({
    name: entry.name,
    member: entry.member,
    addresses: entry.addresses,
    roles: [
      ...(entry.member === peer?.leader ? ['leader' as const] : []),
      ...(peer?.voters.includes(entry.member) === true ? ['voter' as const] : []),
      ...(entry.holdsData ? ['data' as const] : []),
    ],
    state: entry.state,
    zone: entry.zone,
    owned: owned.get(entry.member) ?? 0,
    backups: backups.get(entry.member) ?? 0,
  })
  return {
    cluster: state?.cluster ?? '',
    clusterName: own.clusterName,
    self: peer?.member ?? '',
    name: own.name,
    leader: peer?.leader,
    epoch,
    safety: own.safety,
    members: [...(state?.members.values() ?? [])].map(member),
    partitions: {
      count: partitions.length,
      served,
      waiting: partitions.length - served,
      copies: copies === Infinity ? 0 : copies,
      copiesWanted: Math.min(state?.settings.copies ?? 0, holders),
      copiesNeeded: state?.settings.minCopies ?? 1,
    },
    memory: { bytes: peer?.bytes ?? 0, budgetBytes: own.budgetBytes, pressure: own.pressure },
    isReady: own.unready === undefined,
    reason: own.unready ?? '',
    lapsedMs: own.lapsedMs,
  }
}

/** Names of the members and what changed about them between two agreed states. */
export function memberChanges(
  before: ReadonlyMap<string, MemberEntry>,
  after: ReadonlyMap<string, MemberEntry>,
): { readonly member: string; readonly name: string; readonly state: MemberEntry['state'] | 'gone' }[] {
  if (before === after) return []
  const changes = []
  for (const [member, { name, state }] of after)
    if (before.get(member)?.state !== state) changes.push({ member, name, state })
  for (const [member, { name }] of before)
    if (!after.has(member)) changes.push({ member, name, state: 'gone' as const })
  return changes
}
