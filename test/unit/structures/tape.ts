/** A partition's log by hand: runs operations as replication does (check all, then execute all), and keeps them for a replay. */
import { expect } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import type { Operation, RefusalCode } from '../../../lib/replication/command.ts'
import type { StructureOperation, StructureQuery } from '../../../lib/structures/operations.ts'
import { Structures } from '../../../lib/structures/structures.ts'

export interface Entry {
  readonly epoch: number
  readonly atMs: number
  readonly session: string
  readonly operations: readonly Operation[]
  /** Instead of operations. */
  readonly isEnd?: boolean
}

/** `refused` names the code, so that a test reads `{ refused: 'FULL' }`. */
export type Ran = { readonly results: readonly Plain[] } | { readonly refused: RefusalCode; readonly detail: Plain }

export class Tape {
  machine: Structures = new Structures()
  readonly entries: Entry[] = []
  epoch = 1
  atMs = 1_000_000
  monotonicMs = 0
  session = 'goose#1'

  /** Both clocks go on. */
  wait(ms: number): void {
    this.atMs += ms
    this.monotonicMs += ms
  }

  /** Several operations as one command. */
  attempt(...operations: readonly Operation[]): Ran {
    return this.write({ epoch: this.epoch, atMs: this.atMs, session: this.session, operations })
  }

  /** The result of one operation that must not be refused. */
  run(operation: StructureOperation): Plain {
    const ran = this.attempt(operation)
    if ('refused' in ran) throw new Error(`${operation.kind} refused: ${ran.refused}`)
    return ran.results[0] as Plain
  }

  end(session: string): void {
    this.write({ epoch: this.epoch, atMs: this.atMs, session, operations: [], isEnd: true })
  }

  /** The result of a query; what is due is committed first, as an owner does. */
  ask(query: StructureQuery): Plain {
    for (let attempts = 0; attempts < 3; attempts++) {
      const answer = this.machine.query(query, this.atMs)
      if (answer.kind === 'found') return answer.result
      if (answer.kind === 'refused') throw new Error(`${query.kind} refused: ${answer.refusal.code}`)
      this.maintain(answer.operations)
    }
    throw new Error(`${query.kind} is due for ever`)
  }

  /** The owner's housekeeping, as far as it is due now; returns what was logged. */
  tend(): readonly Operation[] {
    const operations = this.machine.due(this.monotonicMs, this.atMs, 1_000, () => false)
    this.maintain(operations)
    return operations
  }

  maintain(operations: readonly Operation[]): void {
    if (operations.length > 0) this.write({ epoch: this.epoch, atMs: this.atMs, session: '', operations })
  }

  /** Another copy takes over: from a snapshot, with its own clock. */
  moveOver(monotonicMs = 0): void {
    const next = copyOf(this.machine)
    this.machine = next
    this.monotonicMs = monotonicMs
    this.epoch++
    next.restartLeases(monotonicMs)
  }

  write(entry: Entry): Ran {
    this.entries.push(entry)
    return apply(this.machine, entry, this.entries.length, this.monotonicMs)
  }
}

export function apply(machine: Structures, entry: Entry, index: number, monotonicMs: number): Ran {
  const { epoch, atMs, session, operations } = entry
  const context = { epoch, index, ordinal: 0, atMs, session, monotonicMs }
  if (entry.isEnd === true) {
    machine.endSession(session, context, () => false)
    return { results: [] }
  }
  for (const [ordinal, operation] of operations.entries()) {
    const refusal = machine.check(operation, { ...context, ordinal })
    if (refusal !== undefined) return { refused: refusal.code, detail: refusal.detail }
  }
  return { results: operations.map((operation, ordinal) => machine.execute(operation, { ...context, ordinal })) }
}

/** A machine restored from the other's snapshot. */
export function copyOf(machine: Structures): Structures {
  const copy = new Structures()
  for (const record of machine.snapshot()) copy.restore(record)
  return copy
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Bytes as text all the way down, null included: what a test reads. */
export function readable(value: Plain): unknown {
  if (value instanceof Uint8Array) return new TextDecoder().decode(value)
  if (Array.isArray(value)) return value.map(item => readable(item as Plain))
  return value
}

/** For the steps of a model: what it says must be what the machine says, in whatever branch. */
export function agree(actual: unknown, wanted: unknown): void {
  expect(actual).toEqual(wanted)
}
