/**
 * What a workload on the promise-based handles may ask of the cluster: to run code inside a process, as an application
 * does. A promise of a process that dies never settles; its obituary settles the run.
 */
import { IndeterminateError } from '../lib/base/errors.ts'
import type { MemberGrid } from '../lib/grid/grid.ts'
import type { Settled } from './client.ts'

export type Ran<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The process died first: whatever was under way may have happened. */
  | { readonly kind: 'died' }

export interface Grids {
  run<T>(node: number, work: (grid: MemberGrid) => Promise<T>, settle: (ran: Ran<T>) => void): void
  /** For each process that runs now, and for each one that starts later. */
  whenStarted(started: (node: number, grid: MemberGrid) => void): void
}

/** In the words of a call: done, certainly not done, or unknown. */
export function settledOf(ran: Ran<unknown>): Settled {
  if (ran.kind === 'done') return { kind: 'done', results: [] }
  if (ran.kind === 'died') return { kind: 'indeterminate', message: 'the process died' }
  const message = String(ran.error)
  return ran.error instanceof IndeterminateError ? { kind: 'indeterminate', message } : { kind: 'unavailable', message }
}

/** For runs whose machines have none. */
export const noGrids: Grids = { run: (_node, _work, settle) => settle({ kind: 'died' }), whenStarted: () => {} }
