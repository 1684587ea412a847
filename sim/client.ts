/**
 * What a workload may ask of the cluster under test, and nothing more: it runs inside one process of it, as an
 * application does, and dies with it. Backed by `Peer` (sim/cluster.ts); the workloads' own tests back it by a toy.
 */
import type { PartitionId } from '../lib/base/ids.ts'
import type { Plain } from '../lib/base/shape.ts'
import type { Outcome } from '../lib/replication/command.ts'
import type { StructureOperation, StructureQuery } from '../lib/structures/operations.ts'

export type Settled =
  | Outcome
  /** Not done for want of an owner, a quorum, a lease: it did not happen. */
  | { readonly kind: 'unavailable'; readonly message: string }

export interface Part {
  readonly partition: PartitionId
  readonly operations: readonly StructureOperation[]
}

export interface Client {
  /** Machines of the cluster; a workload names them by 0 .. nodeCount - 1. */
  readonly nodeCount: number
  readonly partitionCount: number
  /** False while nothing runs on the machine: a call settles as unavailable at once. */
  isRunning(node: number): boolean
  /** `settle` is called once: with what happened, or with indeterminate when the process of that machine dies first. */
  call(
    node: number,
    partition: PartitionId,
    operations: readonly StructureOperation[],
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void
  ask(
    node: number,
    partition: PartitionId,
    query: StructureQuery,
    deadlineMs: number,
    settle: (outcome: Settled) => void,
  ): void
  transact(node: number, parts: readonly Part[], deadlineMs: number, settle: (outcome: Settled) => void): void
}

/**
 * What a caller knows of its call, in the three kinds that a checker tells apart: `done`, `failed` (certainly did not
 * happen) and `unknown`.
 */
export type Known =
  | { readonly kind: 'done'; readonly results: readonly Plain[] }
  | { readonly kind: 'failed'; readonly code: string; readonly detail: Plain }
  | { readonly kind: 'unknown' }

export function knownOf(outcome: Settled): Known {
  switch (outcome.kind) {
    case 'done':
      return outcome
    case 'refused':
      return { kind: 'failed', code: outcome.code, detail: outcome.detail }
    case 'unavailable':
      return { kind: 'failed', code: 'UNAVAILABLE', detail: null }
    case 'retry':
      return { kind: 'failed', code: outcome.reason, detail: null }
    case 'indeterminate':
      return { kind: 'unknown' }
  }
}

/** Text as the bytes of a value, and back: workloads write words, so that a history can be read. */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text)
}

export function textOf(value: unknown): string {
  return value instanceof Uint8Array ? decoder.decode(value) : ''
}
