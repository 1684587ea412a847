/** An aggregator's groups: pieces under a key until the group is closed, then taken out once. */
import type { PartitionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Added, ClosedGroup, GroupOperation, GroupStats, Piece } from '../structures/group-operations.ts'
import type { Calls } from './calls.ts'
import { durationMs, type Duration } from './duration.ts'
import type {
  AddedPiece,
  ClosedGroupRef,
  CollectedGroup,
  Group,
  GroupCounts,
  GroupSettings,
  NewPiece,
  ReadyGroup,
} from './group-handles.ts'
import type { OperationOptions, WriteOptions } from './handles.ts'

const readyMaxDefault = 100
const rememberMsDefault = 600_000

export class GridGroup implements Group {
  readonly name: string
  readonly #calls: Calls
  readonly #settings: GroupSettings

  constructor(calls: Calls, name: string, settings: GroupSettings = {}) {
    this.#calls = calls
    this.name = name
    this.#settings = settings
  }

  async add(key: string, piece: NewPiece, options?: WriteOptions): Promise<AddedPiece> {
    const operation = addOperation(this.name, key, piece, this.#settings)
    const added = await this.#calls.runAt(key, operation, this.#calls.timed(options), options)
    const [state, generation, pieces] = added as unknown as Added
    return { state: state as AddedPiece['state'], generation, pieces }
  }

  async ready(
    partition: PartitionId,
    options?: OperationOptions & { readonly max?: number | undefined },
  ): Promise<readonly ReadyGroup[]> {
    const query = { kind: 'group.ready', group: this.name, max: options?.max ?? readyMaxDefault } as const
    const [groups] = (await this.#calls.ask(partition, query, this.#calls.timed(options))) as unknown as readonly [
      readonly (readonly [generation: number, key: string, reason: string, closedAtMs: number])[],
      number | null,
    ]
    return groups.map(([generation, key, reason, closedAtMs]) => ({
      partition,
      generation,
      key,
      reason: reason as ReadyGroup['reason'],
      closedAtMs,
    }))
  }

  async closed(group: ClosedGroupRef, options?: OperationOptions): Promise<CollectedGroup | undefined> {
    const { partition, generation } = group
    const query = { kind: 'group.closed', group: this.name, generation } as const
    const found = await this.#calls.ask(partition, query, this.#calls.timed(options))
    return found === null ? undefined : collected({ partition, generation }, found)
  }

  async release({ partition, generation }: ClosedGroupRef, options?: OperationOptions): Promise<void> {
    const operation = { kind: 'group.release', group: this.name, generation } as const
    await this.#calls.run(partition, [operation], this.#calls.timed(options))
  }

  async close(key: string, options?: OperationOptions): Promise<ClosedGroupRef | undefined> {
    const timed = this.#calls.timed(options)
    const partition = await this.#calls.partitionOf(key, timed)
    const [generation] = await this.#calls.run(partition, [{ kind: 'group.close', group: this.name, key }], timed)
    return generation === 0 ? undefined : { partition, generation: generation as number }
  }

  async counts(options?: OperationOptions): Promise<GroupCounts> {
    const query = { kind: 'group.stats', group: this.name } as const
    const all = (await this.#calls.askAll(query, this.#calls.timed(options))) as unknown as readonly GroupStats[]
    const sum = (at: keyof GroupStats & number): number =>
      all.reduce((total, stats) => total + (stats[at] as number), 0)
    return { open: sum(0), closed: sum(1), remembered: sum(2), late: sum(3), duplicates: sum(4) }
  }
}

/** Also what a transaction adds. */
export function addOperation(group: string, key: string, piece: NewPiece, settings: GroupSettings): GroupOperation {
  const { complete = {}, lists, timeout, remember, surplus, keysMax, piecesMax } = settings
  const ms = (duration: Duration | undefined, what: string): number | undefined =>
    duration === undefined ? undefined : durationMs(duration, `${what} of group ${group}`)
  return {
    kind: 'group.add',
    group,
    key,
    source: piece.source,
    id: piece.id,
    body: piece.body,
    headers: piece.headers,
    complete,
    lists,
    deadlineMs: ms(timeout, 'timeout'),
    rememberMs: ms(remember, 'remember') ?? rememberMsDefault,
    surplus,
    keysMax,
    piecesMax,
  }
}

function collected(ref: ClosedGroupRef, found: Plain): CollectedGroup {
  const [key, reason, closedAtMs, pieces] = found as unknown as ClosedGroup
  return {
    ...ref,
    key,
    reason: reason as ReadyGroup['reason'],
    closedAtMs,
    pieces: pieces.map(([source, id, body, headers]: Piece) => ({ source, id, body, headers })),
  }
}
