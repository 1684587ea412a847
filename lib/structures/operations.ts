/**
 * Every operation and query of the structures, and their shapes for the wire and the log. The doc comment of each says what
 * it returns and refuses; results are positional where they are hot. Kinds are `structure.verb`, codes are stable for ever.
 *
 * The operations of one command are all checked in the state before it, then executed in order: a condition (ifVersion,
 * ifAbsent, a token) is judged before the command. So replication refuses a second change of the same key, but for appends
 * to one group of a queue. What is impossible all the same by the time it runs does nothing and returns null.
 */
import { lazy, list, plain, record, string, uint, variants, type Plain, type Shape } from '../base/shape.ts'
import { groupOperations, groupQueries, type GroupOperation, type GroupQuery } from './group-operations.ts'
import {
  keyspaceOperations,
  keyspaceQueries,
  type FreeOperation,
  type KeyspaceOperation,
  type KeyspaceQuery,
} from './keyspace-operations.ts'
import { counterOperations, counterQueries, lockOperations, lockQueries } from './lock-operations.ts'
import type { CounterOperation, CounterQuery, LockOperation, LockQuery } from './lock-operations.ts'
import { mapOperations, mapQueries, type MapOperation, type MapQuery } from './map-operations.ts'
import { deadOperations, queueOperations, queueQueries } from './queue-operations.ts'
import type { DeadOperation, QueueOperation, QueueQuery } from './queue-operations.ts'

/** In one `once.run`. */
const operationsMax = 1_000

export type OnceOperation =
  /**
   * -> [isRepeat, results]. Runs `operations` if `key` was not seen within `rememberMs`, else answers what they returned
   * then. A refusal of one of them refuses the whole and is not remembered. Not nested. FULL at 100,000 remembered keys.
   */
  | {
      readonly kind: 'once.run'
      readonly key: string
      readonly rememberMs: number
      readonly operations: readonly StructureOperation[]
    }
  /** -> whether it is news. As if operations under `key` had returned `results`; where 100,000 keys are remembered it does nothing. */
  | {
      readonly kind: 'once.remember'
      readonly key: string
      readonly rememberMs: number
      readonly results: readonly Plain[]
    }
  /** Housekeeping -> whether it went. */
  | { readonly kind: 'once.forget'; readonly key: string }

export type OnceQuery =
  /** -> null | the remembered results. */
  { readonly kind: 'once.get'; readonly key: string }

export type StructureOperation =
  | MapOperation
  | QueueOperation
  | DeadOperation
  | LockOperation
  | CounterOperation
  | GroupOperation
  | KeyspaceOperation
  | FreeOperation
  | OnceOperation

export type StructureQuery = MapQuery | QueueQuery | LockQuery | CounterQuery | GroupQuery | KeyspaceQuery | OnceQuery

export const operationShape: Shape<StructureOperation> = variants<StructureOperation>({
  ...mapOperations,
  ...queueOperations,
  ...deadOperations,
  ...lockOperations,
  ...counterOperations,
  ...groupOperations,
  ...keyspaceOperations,
  'once.run': [
    100,
    record({
      key: string,
      rememberMs: uint,
      operations: list(
        lazy(() => operationShape),
        operationsMax,
      ),
    }),
  ],
  'once.forget': [101, record({ key: string })],
  'once.remember': [102, record({ key: string, rememberMs: uint, results: list(plain, operationsMax) })],
})

export const queryShape: Shape<StructureQuery> = variants<StructureQuery>({
  ...mapQueries,
  ...queueQueries,
  ...lockQueries,
  ...counterQueries,
  ...groupQueries,
  ...keyspaceQueries,
  'once.get': [100, record({ key: string })],
})
