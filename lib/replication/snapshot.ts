/**
 * A partition's state as records: positional arrays, `[code, ...]`, in an order that restores to the same state. The
 * cursor holds references to immutable values, so that it shows one moment however long the transfer takes, and packs
 * only what each chunk needs.
 *
 * Order: one `applied` record that counts the rest, ended sessions, each session before its results, prepared
 * transactions, decisions, then the structures.
 */
import { plainBytes } from '../base/bytes.ts'
import { MalformedError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import { boolean, int, list, plain, record, string, uint, type Plain, type Shape } from '../base/shape.ts'
import { outcomeShape, type Operation, type Outcome, type TransactionId } from './command.ts'
import type { SessionImage } from './sessions.ts'
import type { SnapshotRecord, SnapshotRecords } from './state-machine.ts'
import type { Decision, Prepared } from './transactions.ts'

export interface Applied {
  /** Version of this format. */
  readonly version: number
  readonly epoch: number
  readonly index: number
  readonly atMs: number
  readonly hash: number
  /** Bytes of the whole state: a restored one must count the same. */
  readonly bytes: number
  /** Records after this one. */
  readonly recordCount: number
}

/** Everything by reference, at one moment. */
export interface StateImage {
  readonly applied: Omit<Applied, 'version' | 'recordCount'>
  readonly ended: readonly string[]
  readonly sessions: readonly SessionImage[]
  readonly prepared: readonly Prepared[]
  readonly decisions: readonly Decision[]
  readonly structures: SnapshotRecords
}

/** The state at the moment of `snapshot()`, however long it takes to read it. */
export interface SnapshotCursor {
  readonly appliedEpoch: number
  readonly appliedIndex: number
  /** The next records, about `bytesMax` together and at least one; undefined at the end. */
  next(bytesMax: number): readonly Plain[] | undefined
}

export type StateRecord =
  | { readonly kind: 'applied'; readonly applied: Applied }
  | { readonly kind: 'ended'; readonly session: string }
  | { readonly kind: 'session'; readonly session: string; readonly mark: number }
  | { readonly kind: 'result'; readonly session: string; readonly sequence: number; readonly outcome: Outcome }
  | { readonly kind: 'prepared'; readonly prepared: Prepared }
  | { readonly kind: 'decision'; readonly decision: Decision }
  | { readonly kind: 'structure'; readonly record: SnapshotRecord }

const version = 1
/** First field of each record; stable for ever. */
export const recordCodes = {
  applied: 0,
  ended: 1,
  session: 2,
  result: 3,
  prepared: 4,
  decision: 5,
  structure: 6,
} as const

const appliedShape = record<Applied>({
  version: uint,
  epoch: uint,
  index: uint,
  atMs: int,
  hash: uint,
  bytes: uint,
  recordCount: uint,
})
const transactionShape = record<TransactionId>({ session: string, sequence: uint, partition: uint })
const decisionShape = record<Decision>({
  transaction: transactionShape,
  commit: boolean,
  participants: list<PartitionId>(uint, 4096),
})

interface PreparedRecord {
  readonly transaction: TransactionId
  readonly packed: readonly Plain[]
  readonly keys: readonly string[]
  readonly atMs: number
  readonly isOrphan: boolean
}
const preparedShape = record<PreparedRecord>({
  transaction: transactionShape,
  packed: list(plain, 10_000),
  keys: list(string),
  atMs: int,
  isOrphan: boolean,
})

export function cursorOf(image: StateImage): SnapshotCursor {
  const records = recordsOf(image)
  let held = records.next()
  return {
    appliedEpoch: image.applied.epoch,
    appliedIndex: image.applied.index,
    next(bytesMax) {
      if (held.done === true) return undefined
      const chunk: Plain[] = []
      let chunkBytes = 0
      while (held.done !== true) {
        const recordBytes = plainBytes(held.value)
        if (chunk.length > 0 && chunkBytes + recordBytes > bytesMax) break
        chunk.push(held.value)
        chunkBytes += recordBytes
        held = records.next()
      }
      return chunk
    },
  }
}

function* recordsOf(image: StateImage): Generator<Plain, void> {
  const { ended, sessions, prepared, decisions, structures } = image
  let recordCount = ended.length + sessions.length + prepared.length + decisions.length + structures.length
  for (const session of sessions) recordCount += session.results.length
  yield [recordCodes.applied, appliedShape.pack({ version, ...image.applied, recordCount }) as Plain]
  for (const session of ended) yield [recordCodes.ended, session]
  for (const { session, mark, results } of sessions) {
    yield [recordCodes.session, session, mark]
    for (const [sequence, outcome] of results) {
      yield [recordCodes.result, session, sequence, outcomeShape.pack(outcome) as Plain]
    }
  }
  for (const part of prepared) yield [recordCodes.prepared, preparedShape.pack(part) as Plain]
  for (const decision of decisions) yield [recordCodes.decision, decisionShape.pack(decision) as Plain]
  for (const [space, key, value] of structures) yield [recordCodes.structure, space, key, value]
}

/** One record back. Throws MalformedError. */
export function unpackRecord(raw: Plain, operationShape: Shape<Operation>): StateRecord {
  const fields = Array.isArray(raw) ? (raw as readonly Plain[]) : []
  switch (fields[0]) {
    case recordCodes.applied:
      return { kind: 'applied', applied: ofVersion(appliedShape.unpack(fields[1], 'applied')) }
    case recordCodes.ended:
      return { kind: 'ended', session: string.unpack(fields[1], 'ended') }
    case recordCodes.session:
      return { kind: 'session', session: string.unpack(fields[1], 'session'), mark: uint.unpack(fields[2], 'mark') }
    case recordCodes.result: {
      const session = string.unpack(fields[1], 'session')
      const sequence = uint.unpack(fields[2], 'sequence')
      return { kind: 'result', session, sequence, outcome: outcomeShape.unpack(fields[3], 'outcome') }
    }
    case recordCodes.prepared: {
      const part = preparedShape.unpack(fields[1], 'prepared')
      const operations = part.packed.map((operation, at) => operationShape.unpack(operation, `prepared[${at}]`))
      return { kind: 'prepared', prepared: { ...part, operations } }
    }
    case recordCodes.decision:
      return { kind: 'decision', decision: decisionShape.unpack(fields[1], 'decision') }
    case recordCodes.structure: {
      const value = plain.unpack(fields[3])
      return { kind: 'structure', record: [string.unpack(fields[1], 'space'), string.unpack(fields[2], 'key'), value] }
    }
    default:
      throw new MalformedError('snapshot: expected a known record')
  }
}

function ofVersion(applied: Applied): Applied {
  if (applied.version !== version) throw new MalformedError(`snapshot: version ${applied.version} is not ${version}`)
  return applied
}
