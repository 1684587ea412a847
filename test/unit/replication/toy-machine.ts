/**
 * The smallest state machine that shows what replication must keep: lists of tags by key, so that each time an operation
 * is executed stays visible. `toy.free` commutes (no key is locked), `toy.own` is released with its session.
 */
import { plainBytes } from '../../../lib/base/bytes.ts'
import { record, string, uint, variants, type Plain, type Shape } from '../../../lib/base/shape.ts'
import type { Operation, Query } from '../../../lib/replication/command.ts'
import type {
  ApplyContext,
  QueryResult,
  Refusal,
  SnapshotRecord,
  StateMachine,
} from '../../../lib/replication/state-machine.ts'

export type ToyOperation =
  | { readonly kind: 'toy.add'; readonly key: string; readonly tag: string }
  | { readonly kind: 'toy.free'; readonly key: string; readonly tag: string }
  /** Refused with CONFLICT unless the key has that many tags. */
  | { readonly kind: 'toy.addIf'; readonly key: string; readonly tag: string; readonly count: number }
  | { readonly kind: 'toy.check'; readonly key: string; readonly count: number }
  | { readonly kind: 'toy.own'; readonly key: string }
  | { readonly kind: 'toy.clear'; readonly key: string }

export interface ToyQuery extends Query {
  readonly kind: 'toy.get'
  readonly key: string
}

const tagged = { key: string, tag: string }

export const toyShape: Shape<Operation> = variants<ToyOperation>({
  'toy.add': [1, record(tagged)],
  'toy.free': [2, record(tagged)],
  'toy.addIf': [3, record({ ...tagged, count: uint })],
  'toy.check': [4, record({ key: string, count: uint })],
  'toy.own': [5, record({ key: string })],
  'toy.clear': [6, record({ key: string })],
}) as unknown as Shape<Operation>

export class ToyMachine implements StateMachine {
  readonly tags: Map<string, readonly string[]> = new Map()
  readonly owners: Map<string, string> = new Map()
  /** What `due` returns next. */
  dueNext: Operation[] = []
  restartedAtMs: number | undefined

  get bytes(): number {
    let sum = 0
    for (const entry of [...this.tags, ...this.owners]) sum += plainBytes(entry)
    return sum
  }

  locks(subject: Operation | Query): readonly string[] {
    const { kind, key } = subject as ToyOperation
    return kind === 'toy.free' ? [] : [key]
  }

  grows(operation: Operation): boolean {
    return operation.kind !== 'toy.clear' && operation.kind !== 'toy.check'
  }

  check(operation: Operation, _context: ApplyContext): Refusal | undefined {
    const toy = operation as ToyOperation
    if (toy.kind !== 'toy.addIf' && toy.kind !== 'toy.check') return undefined
    const count = this.tags.get(toy.key)?.length ?? 0
    return count === toy.count ? undefined : { code: 'CONFLICT', message: `${toy.key} has ${count}`, detail: count }
  }

  execute(operation: Operation, context: ApplyContext): Plain {
    const toy = operation as ToyOperation
    switch (toy.kind) {
      case 'toy.add':
      case 'toy.free':
      case 'toy.addIf': {
        const tags = [...(this.tags.get(toy.key) ?? []), toy.tag]
        this.tags.set(toy.key, tags)
        return [context.epoch, context.index, context.ordinal, tags.length]
      }
      case 'toy.check':
        return null
      case 'toy.own':
        this.owners.set(toy.key, context.session)
        return context.atMs
      case 'toy.clear':
        return this.tags.delete(toy.key)
    }
  }

  query(query: Query, _atMs: number): QueryResult {
    return { kind: 'found', result: this.tags.get((query as ToyQuery).key) ?? null }
  }

  endSession(session: string): void {
    for (const [key, owner] of this.owners) if (owner === session) this.owners.delete(key)
  }

  snapshot(): readonly SnapshotRecord[] {
    return [
      ...[...this.tags].map(([key, tags]) => ['tags', key, tags] as const),
      ...[...this.owners].map(([key, owner]) => ['owners', key, owner] as const),
    ]
  }

  restore([space, key, value]: SnapshotRecord): void {
    if (space === 'tags') this.tags.set(key, value as readonly string[])
    else this.owners.set(key, value as string)
  }

  nextDueMs(nowMonotonicMs: number): number | undefined {
    return this.dueNext.length > 0 ? nowMonotonicMs : undefined
  }

  due(_nowMonotonicMs: number, _atMs: number, countMax: number): readonly Operation[] {
    return this.dueNext.slice(0, countMax)
  }

  restartLeases(nowMonotonicMs: number): void {
    this.restartedAtMs = nowMonotonicMs
  }
}
