/**
 * What the cluster agrees on: members and their roles, who owns which partition, structure definitions, flow versions,
 * settings. A deterministic fold of the consensus log; every member holds a copy, the newest one is the leader's.
 *
 * A partition change names the epoch it was computed from and does nothing if that epoch has passed, so that requests
 * of owners, of the rebalancer and of failover may race (PacificA, Lin et al. 2008, section 2.4: configuration versions).
 */
import { sessionId, type ClusterId, type MemberId, type PartitionId, type SessionId } from '../base/ids.ts'
import {
  boolean,
  int,
  list,
  oneOf,
  optional,
  plain,
  record,
  string,
  uint,
  variants,
  type Plain,
  type Shape,
} from '../base/shape.ts'

export interface MemberEntry {
  readonly member: MemberId
  /** Transport identity (libp2p PeerId), stable over restarts of the peer if its key is. */
  readonly peer: string
  readonly name: string
  readonly addresses: readonly string[]
  readonly zone: string | undefined
  /** silent: its lease ran out; it owns nothing, backs up nothing, is kept as learner. leaving: hands over. */
  readonly state: 'live' | 'silent' | 'leaving'
  /** False for a witness: votes, holds no data. */
  readonly holdsData: boolean
  /** Ordinal of its current session; 0 while it has none. See `sessionId`. */
  readonly session: number
  /** Memory budget in bytes, for placement. */
  readonly memoryBytes: number
}

export interface PartitionEntry {
  /** Grows by one with each change of this entry; at most one owner per epoch. */
  readonly epoch: number
  /** The epoch in which the partition began empty: its founding, or the loss of all copies. bornEpoch <= epoch. */
  readonly bornEpoch: number
  /** Undefined while the partition waits for its only copy (P9). */
  readonly owner: MemberId | undefined
  /** Hold everything that was acknowledged; first is first in line. Never contains the owner. */
  readonly backups: readonly MemberId[]
  /** Catching up; never promoted to owner. */
  readonly learners: readonly MemberId[]
  /**
   * Backups that are to go: the owner still waits for them, and asks for their removal when it has applied this. None
   * of them counts as a copy any more. Absent: none.
   */
  readonly parting?: readonly MemberId[]
}

export interface Settings {
  readonly partitionCount: number
  /** Owner and backups together, 1..5. */
  readonly copies: number
  /** Below this many live copies writes are refused, 1..copies. */
  readonly minCopies: number
}

export interface ClusterState {
  readonly cluster: ClusterId
  readonly settings: Settings
  /** Agreed protocol version: the highest that all members speak. */
  readonly version: number
  readonly members: ReadonlyMap<MemberId, MemberEntry>
  readonly partitions: readonly PartitionEntry[]
  /** By kind and name, e.g. 'queue/orders' -> its options; 'flow/deliveries/3f9c' -> the deployed version. */
  readonly definitions: ReadonlyMap<string, Plain>
  /** Sessions that have ended and whose partitions may still hold their marks, newest last; at most `endedSessionsMax`. */
  readonly endedSessions: readonly string[]
}

export const endedSessionsMax = 10_000

export interface PartitionChange {
  readonly partition: PartitionId
  /** Applies only while the entry's epoch is this. The new epoch is one more. */
  readonly fromEpoch: number
  readonly owner: MemberId | undefined
  readonly backups: readonly MemberId[]
  readonly learners: readonly MemberId[]
  /** All copies are gone: begin empty (P8). */
  readonly lost: boolean
  readonly parting?: readonly MemberId[]
}

export type ClusterCommand =
  | {
      readonly kind: 'found'
      readonly cluster: ClusterId
      readonly settings: Settings
      readonly version: number
      readonly member: MemberEntry
    }
  /** Newcomers, changed members, members to drop (their sessions end), sessions to end, and partitions to change: one entry, applied together. */
  | {
      readonly kind: 'change'
      readonly upsert: readonly MemberEntry[]
      readonly remove: readonly MemberId[]
      readonly endSessions: readonly string[]
      readonly partitions: readonly PartitionChange[]
    }
  | {
      readonly kind: 'define'
      readonly name: string
      /** null removes it. */ readonly definition: Plain
      /** Applies only if absent. */ readonly ifAbsent: boolean
    }
  | { readonly kind: 'settings'; readonly settings: Settings }
  | { readonly kind: 'version'; readonly version: number }
  /** A person said that all members but these are gone for good: see recovery.ts. */
  | { readonly kind: 'recover'; readonly cluster: ClusterId; readonly kept: readonly MemberId[] }

const settingsShape: Shape<Settings> = record<Settings>({ partitionCount: uint, copies: uint, minCopies: uint })

export const memberEntryShape: Shape<MemberEntry> = record<MemberEntry>({
  member: string,
  peer: string,
  name: string,
  addresses: list(string, 64),
  zone: optional(string),
  state: oneOf('live', 'silent', 'leaving'),
  holdsData: boolean,
  session: uint,
  memoryBytes: uint,
})

const partitionEntryShape: Shape<PartitionEntry> = record<PartitionEntry>({
  epoch: uint,
  bornEpoch: uint,
  owner: optional(string),
  backups: list(string, 64),
  learners: list(string, 64),
  parting: optional(list(string, 64)),
})

const partitionChangeShape: Shape<PartitionChange> = record<PartitionChange>({
  partition: uint,
  fromEpoch: uint,
  owner: optional(string),
  backups: list(string, 64),
  learners: list(string, 64),
  lost: boolean,
  parting: optional(list(string, 64)),
})

export const clusterCommandShape: Shape<ClusterCommand> = variants<ClusterCommand>({
  found: [1, record({ cluster: string, settings: settingsShape, version: int, member: memberEntryShape })],
  change: [
    2,
    record({
      upsert: list(memberEntryShape),
      remove: list(string),
      endSessions: list(string),
      partitions: list(partitionChangeShape),
    }),
  ],
  define: [3, record({ name: string, definition: plain, ifAbsent: boolean })],
  settings: [4, record({ settings: settingsShape })],
  version: [5, record({ version: int })],
  recover: [6, record({ cluster: string, kept: list(string) })],
})

/** For consensus snapshots and for newcomers. */
export const clusterStateShape: Shape<ClusterState> = (() => {
  interface Flat {
    readonly cluster: string
    readonly settings: Settings
    readonly version: number
    readonly members: readonly MemberEntry[]
    readonly partitions: readonly PartitionEntry[]
    readonly definitions: readonly { readonly name: string; readonly definition: Plain }[]
    readonly endedSessions: readonly string[]
  }
  const flat = record<Flat>({
    cluster: string,
    settings: settingsShape,
    version: int,
    members: list(memberEntryShape),
    partitions: list(partitionEntryShape),
    definitions: list(
      record<{ readonly name: string; readonly definition: Plain }>({ name: string, definition: plain }),
    ),
    endedSessions: list(string),
  })
  return {
    pack: state =>
      flat.pack({
        ...state,
        members: [...state.members.values()],
        definitions: [...state.definitions].map(([name, definition]) => ({ name, definition })),
      }),
    unpack: (raw, path) => {
      const state = flat.unpack(raw, path)
      return {
        ...state,
        members: new Map(state.members.map(entry => [entry.member, entry])),
        definitions: new Map(state.definitions.map(({ name, definition }) => [name, definition])),
      }
    },
  }
})()

/** Before the founding entry: no cluster, no members, no partitions. */
export const emptyClusterState: ClusterState = {
  cluster: '',
  settings: { partitionCount: 0, copies: 1, minCopies: 1 },
  version: 0,
  members: new Map(),
  partitions: [],
  definitions: new Map(),
  endedSessions: [],
}

/** Folds one committed command. Pure; returns the same object if nothing changed. */
export function applyClusterCommand(state: ClusterState, command: ClusterCommand): ClusterState {
  switch (command.kind) {
    case 'found':
      return found(state, command)
    case 'change':
      return change(state, command)
    case 'define': {
      if (state.definitions.has(command.name) ? command.ifAbsent : command.definition === null) return state
      const definitions = new Map(state.definitions)
      if (command.definition === null) definitions.delete(command.name)
      else definitions.set(command.name, command.definition)
      return { ...state, definitions }
    }
    case 'settings':
      return { ...state, settings: { ...command.settings, partitionCount: state.settings.partitionCount } }
    case 'version':
      return command.version <= state.version ? state : { ...state, version: command.version }
    case 'recover': {
      const remove = [...state.members.keys()].filter(member => !command.kept.includes(member))
      return { ...change(state, { ...noChange, remove }), cluster: command.cluster }
    }
  }
}

const noChange = { kind: 'change', upsert: [], remove: [], endSessions: [], partitions: [] } as const

function found(state: ClusterState, command: Extract<ClusterCommand, { kind: 'found' }>): ClusterState {
  if (state.cluster !== '') return state
  const owner = command.member.holdsData ? command.member.member : undefined
  return {
    ...emptyClusterState,
    cluster: command.cluster,
    settings: command.settings,
    version: command.version,
    members: new Map([[command.member.member, command.member]]),
    partitions: Array.from({ length: command.settings.partitionCount }, () => ({
      epoch: 1,
      bornEpoch: 1,
      owner,
      backups: [],
      learners: [],
    })),
  }
}

function change(state: ClusterState, command: Extract<ClusterCommand, { kind: 'change' }>): ClusterState {
  const { upsert, remove } = command
  const ended = new Set(command.endSessions)
  const members = changeMembers(state.members, upsert, remove, ended)
  const partitions = changePartitions(state.partitions, command.partitions)
  const endedSessions = endSessions(state.endedSessions, ended)
  const isSame = members === state.members && partitions === state.partitions && endedSessions === state.endedSessions
  return isSame ? state : { ...state, members, partitions, endedSessions }
}

/** Sessions of those removed are added to `ended`. */
function changeMembers(
  before: ReadonlyMap<MemberId, MemberEntry>,
  upsert: readonly MemberEntry[],
  remove: readonly MemberId[],
  ended: Set<SessionId>,
): ReadonlyMap<MemberId, MemberEntry> {
  if (upsert.length === 0 && !remove.some(member => before.has(member))) return before
  const members = new Map(before)
  for (const entry of upsert) members.set(entry.member, entry)
  for (const member of remove) {
    const session = members.get(member)?.session ?? 0
    if (session > 0) ended.add(sessionId(member, session))
    members.delete(member)
  }
  return members
}

/** The same list if no change applies. */
function changePartitions(
  before: readonly PartitionEntry[],
  changes: readonly PartitionChange[],
): readonly PartitionEntry[] {
  let after: PartitionEntry[] | undefined
  for (const { partition, fromEpoch, owner, backups, learners, lost, parting } of changes) {
    const entry = (after ?? before)[partition]
    if (entry === undefined || entry.epoch !== fromEpoch) continue
    const epoch = fromEpoch + 1
    after ??= [...before]
    const bornEpoch = lost ? epoch : entry.bornEpoch
    after[partition] = { epoch, bornEpoch, owner, backups, learners, ...(parting && { parting }) }
  }
  return after ?? before
}

/** Most changes end none: then the list, which may be long, is shared. Forgets the oldest beyond the limit. */
function endSessions(before: readonly SessionId[], ended: Set<SessionId>): readonly SessionId[] {
  if (ended.size === 0) return before
  for (const session of before) ended.delete(session)
  return ended.size === 0 ? before : [...before, ...ended].slice(-endedSessionsMax)
}
