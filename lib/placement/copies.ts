/** Who holds a partition: words that plan, room and safety share. */
import type { MemberId } from '../base/ids.ts'
import type { PartitionEntry } from '../consensus/cluster-state.ts'

/** Owner and backups. */
export function copiesOf(entry: PartitionEntry): readonly MemberId[] {
  return entry.owner === undefined ? entry.backups : [entry.owner, ...entry.backups]
}

/** Those of them that are not to go. */
export function stayingOf(entry: PartitionEntry): readonly MemberId[] {
  return without(copiesOf(entry), entry.parting ?? [])
}

export function without(members: readonly MemberId[], others: readonly MemberId[]): readonly MemberId[] {
  return others.length === 0 ? members : members.filter(member => !others.includes(member))
}
