/** The smallest state machine: named cells that hold texts. `cell.put` writes, `cell.get` reads; a put of '' with `ttlMs` is due at once after that time. */
import type { Plain } from '../../../lib/base/shape.ts'
import { plain, type Shape } from '../../../lib/base/shape.ts'
import type { Operation, Query } from '../../../lib/replication/command.ts'
import type { QueryResult, Refusal, SnapshotRecord, StateMachine } from '../../../lib/replication/state-machine.ts'

interface Put extends Operation {
  readonly cell: string
  readonly value: string
  readonly expiresAtMs?: number
}

export const put = (cell: string, value: string, expiresAtMs?: number): Put =>
  expiresAtMs === undefined ? { kind: 'cell.put', cell, value } : { kind: 'cell.put', cell, value, expiresAtMs }
export const get = (cell: string): Query & { readonly cell: string } => ({ kind: 'cell.get', cell })
export const cellShape: Shape<Operation> = plain as unknown as Shape<Operation>

export class Cells implements StateMachine {
  readonly cells: Map<string, { readonly value: string; readonly expiresAtMs: number | null }> = new Map<
    string,
    { readonly value: string; readonly expiresAtMs: number | null }
  >()

  get bytes(): number {
    let sum = 0
    for (const [cell, { value }] of this.cells) sum += cell.length + value.length
    return sum
  }
  locks(operation: Operation | Query): readonly string[] {
    return [(operation as Put).cell]
  }
  grows(operation: Operation): boolean {
    return operation.kind === 'cell.put'
  }
  validate({ kind }: Operation): Refusal | undefined {
    return kind.startsWith('cell.') ? undefined : { code: 'INVALID', message: kind, detail: null }
  }
  check(): undefined {}
  execute(operation: Operation): Plain {
    const { kind, cell, value, expiresAtMs } = operation as Put
    if (kind === 'cell.expire') this.cells.delete(cell)
    else this.cells.set(cell, { value, expiresAtMs: expiresAtMs ?? null })
    return value ?? null
  }
  query(query: Query, atMs: number): QueryResult {
    const { cell } = query as ReturnType<typeof get>
    const found = this.cells.get(cell)
    const isDue = found !== undefined && found.expiresAtMs !== null && found.expiresAtMs <= atMs
    if (isDue) return { kind: 'due', operations: [{ kind: 'cell.expire', cell } as Operation] }
    return { kind: 'found', result: found?.value ?? null }
  }
  endSession(): void {}
  snapshot(): readonly SnapshotRecord[] {
    return [...this.cells].map(([cell, { value, expiresAtMs }]) => ['cells', cell, [value, expiresAtMs]])
  }
  restore([, cell, record]: SnapshotRecord): void {
    const [value, expiresAtMs] = record as [string, number | null]
    this.cells.set(cell, { value, expiresAtMs })
  }
  nextDueMs(nowMonotonicMs: number, atMs: number): number | undefined {
    let dueMs: number | undefined
    for (const { expiresAtMs } of this.cells.values()) {
      if (expiresAtMs !== null) dueMs = Math.min(dueMs ?? Infinity, nowMonotonicMs + expiresAtMs - atMs)
    }
    return dueMs
  }
  due(_now: number, atMs: number, countMax: number, isLocked: (key: string) => boolean): readonly Operation[] {
    return [...this.cells]
      .filter(([cell, { expiresAtMs }]) => expiresAtMs !== null && expiresAtMs <= atMs && !isLocked(cell))
      .slice(0, countMax)
      .map(([cell]) => ({ kind: 'cell.expire', cell }) as Operation)
  }
  restartLeases(): void {}
}
