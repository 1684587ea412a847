/**
 * All structures of one partition behind replication's port: routes operations by the prefix of their kind, and records of
 * a snapshot by that of their space. State lies in the store; whatever else is here is derived from it.
 */
import type { SessionId } from '../base/ids.ts'
import type { Plain } from '../base/shape.ts'
import type { Operation, Query } from '../replication/command.ts'
import type {
  ApplyContext,
  QueryResult,
  Refusal,
  SnapshotRecord,
  SnapshotRecords,
  StateMachine,
} from '../replication/state-machine.ts'
import { CounterStructure } from './counter.ts'
import { DeadLetters } from './dead-letters.ts'
import { DeadStructure } from './dead.ts'
import { GroupStructure } from './group.ts'
import { KeyspaceStructure } from './keyspace.ts'
import { LockStructure } from './lock.ts'
import { MapStructure } from './map.ts'
import { OnceStructure } from './once.ts'
import { operationShape, type StructureOperation, type StructureQuery } from './operations.ts'
import { QueueStructure } from './queue.ts'
import { Sequences } from './sequences.ts'
import { MemoryStore, type Store } from './store.ts'
import { refusal, refused, type Changes, type IsLocked, type Partition, type Structure } from './structure.ts'

type AnyStructure = Structure<StructureOperation, StructureQuery>

export class Structures implements StateMachine {
  /** What got ready since the owner last drained it: read the names, clear the sets. At most one name per structure. */
  readonly changes: Changes = { ready: new Set(), granted: new Set(), closed: new Set() }
  readonly #store: Store
  readonly #sequences: Sequences
  readonly #queues: QueueStructure
  /** By prefix of kinds. */
  readonly #structures: ReadonlyMap<string, AnyStructure>
  #lastKind = ''
  #last: AnyStructure | undefined
  /** By prefix of spaces, where those differ from the kinds. */
  readonly #spaces: ReadonlyMap<string, string> = new Map([
    ['queues', 'queue'],
    ['remembered', 'group'],
    ['closed', 'group'],
    ['dropped', 'keyspace'],
  ])

  constructor(store: Store = new MemoryStore()) {
    this.#store = store
    this.#sequences = new Sequences(store)
    const partition: Partition = { store, sequences: this.#sequences, changes: this.changes }
    const dead = new DeadLetters(partition)
    this.#queues = new QueueStructure(partition, dead)
    const structures = {
      map: new MapStructure(partition),
      queue: this.#queues,
      dead: new DeadStructure(partition, dead, this.#queues),
      lock: new LockStructure(partition),
      counter: new CounterStructure(partition),
      group: new GroupStructure(partition),
      keyspace: new KeyspaceStructure(partition),
      once: new OnceStructure(partition, this),
    }
    this.#structures = new Map(Object.entries(structures) as unknown as [string, AnyStructure][])
  }

  get bytes(): number {
    return this.#store.bytes
  }

  locks(subject: Operation | Query): readonly string[] {
    return this.#of(subject)?.locks(subject as StructureOperation) ?? []
  }

  /** Of puts into one map, which most long commands are, the keys tell: there are no names of locks to make. */
  areApart(operations: readonly Operation[]): boolean {
    const keys = new Set<string>()
    let map: string | undefined
    for (const operation of operations as readonly StructureOperation[]) {
      if (operation.kind !== 'map.put') return false
      map ??= operation.map
      const countBefore = keys.size
      if (operation.map !== map || keys.add(operation.key).size === countBefore) return false
    }
    return true
  }

  grows(operation: Operation): boolean {
    return this.#of(operation)?.grows(operation as StructureOperation) ?? false
  }

  /** INVALID names the field: a number that is not whole, or out of its range, or no number. */
  validate(operation: Operation): Refusal | undefined {
    if (this.#of(operation) === undefined) return unknownKind(operation)
    try {
      operationShape.unpack(operationShape.pack(operation as StructureOperation))
      return undefined
    } catch (error) {
      return refusal('INVALID', `not an operation: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  check(operation: Operation, context: ApplyContext): Refusal | undefined {
    const structure = this.#of(operation)
    if (structure === undefined) return unknownKind(operation)
    return structure.check(operation as StructureOperation, context)
  }

  execute(operation: Operation, context: ApplyContext): Plain {
    return this.#of(operation)?.execute(operation as StructureOperation, context) ?? null
  }

  query(query: Query, atMs: number): QueryResult {
    return this.#of(query)?.query(query as StructureQuery, atMs) ?? refused(unknownKind(query))
  }

  /** `isLocked`: what a transaction holds on to keeps its lease a little longer, since the transaction may commit with it. */
  endSession(session: SessionId, context: ApplyContext, isLocked: IsLocked = () => false): void {
    for (const structure of this.#structures.values()) structure.endSession?.(session, context, isLocked)
  }

  snapshot(): SnapshotRecords {
    return this.#store.snapshot()
  }

  restore([space, key, record]: SnapshotRecord): void {
    this.#store.put(space, key, record)
    const at = space.indexOf(':')
    const prefix = at < 0 ? space : space.slice(0, at)
    if (prefix === 'meta') this.#sequences.reload()
    else this.#structures.get(this.#spaces.get(prefix) ?? prefix)?.index?.(space, key, record)
  }

  nextDueMs(nowMonotonicMs: number, atMs: number): number | undefined {
    let next = Infinity
    for (const structure of this.#structures.values()) {
      const endMs = structure.nextEndMs?.() ?? Infinity
      const inMs = Math.max(0, (structure.nextAtMs?.() ?? Infinity) - atMs)
      next = Math.min(next, Math.max(endMs, nowMonotonicMs), nowMonotonicMs + inMs)
    }
    return next === Infinity ? undefined : next
  }

  due(nowMonotonicMs: number, atMs: number, countMax: number, isLocked: IsLocked): readonly Operation[] {
    const out: StructureOperation[] = []
    for (const structure of this.#structures.values()) {
      out.push(...(structure.due?.(nowMonotonicMs, atMs, countMax - out.length, isLocked) ?? []))
    }
    return out
  }

  restartLeases(nowMonotonicMs: number): void {
    for (const structure of this.#structures.values()) structure.restartLeases?.(nowMonotonicMs)
  }

  /** Messages of a queue that may be taken here now. */
  ready(queue: string, atMs: number): number {
    return this.#queues.ready(queue, atMs)
  }

  /** Messages of all queues here. */
  get messageCount(): number {
    return this.#queues.messageCount
  }

  /** The same for each queue that has any. */
  readyCounts(atMs: number): ReadonlyMap<string, number> {
    return this.#queues.readyCounts(atMs)
  }

  #of({ kind }: Operation | Query): AnyStructure | undefined {
    // Asked several times for each operation, almost always of the same kind: a prefix made anew would be hashed anew.
    if (kind !== this.#lastKind) {
      this.#last = this.#structures.get(kind.slice(0, kind.indexOf('.')))
      this.#lastKind = kind
    }
    return this.#last
  }
}

function unknownKind({ kind }: Operation | Query): Refusal {
  return refusal('INVALID', `no structure knows ${kind}`)
}
