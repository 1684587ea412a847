/**
 * A partition's data as operations that make it anew in another cluster: what a spool holds. Versions, fences and
 * tokens are the old cluster's and are left behind, as are locks and leases; messages keep their order and their count of
 * attempts, keys of requests their results, so that who asks again after the stop is not served twice; a group that timed
 * out comes back as closed by hand.
 */
import type { Plain } from '../base/shape.ts'
import type { SnapshotRecord } from '../replication/state-machine.ts'
import type { ClosedGroup, OpenGroup, Piece } from '../structures/group-operations.ts'
import type { StructureOperation, StructureQuery } from '../structures/operations.ts'

/** The part of `Structures` that is read. */
export interface SpooledState {
  snapshot(): Iterable<SnapshotRecord>
  query(query: StructureQuery, atMs: number): { readonly kind: string; readonly result?: Plain }
}

/** In an order that keeps that of messages. */
export function* operationsOf(state: SpooledState, nowMs: number): Iterable<StructureOperation> {
  const records = [...state.snapshot()].sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
  for (const [space, key, record] of records) {
    const at = space.indexOf(':')
    const [kind, name] = at < 0 ? [space, ''] : [space.slice(0, at), space.slice(at + 1)]
    yield* recordOperations({ state, nowMs }, kind, name, key, record)
  }
}

interface Reading {
  readonly state: SpooledState
  readonly nowMs: number
}

function* recordOperations(
  reading: Reading,
  kind: string,
  name: string,
  key: string,
  record: Plain,
): Iterable<StructureOperation> {
  const { nowMs } = reading
  switch (kind) {
    case 'map': {
      const [value, , expiresAtMs] = record as unknown as readonly [Uint8Array, Plain, number]
      if (expiresAtMs === 0 || expiresAtMs > nowMs)
        yield { kind: 'map.put', map: name, key, value, ttlMs: leftMs(expiresAtMs, nowMs) }
      return
    }
    case 'queue':
      return yield messageOperation(name, record, nowMs)
    case 'counter':
      return yield { kind: 'counter.add', counter: key, by: record as number }
    case 'dead':
      return yield deadOperation(name, record)
    case 'keyspace':
      return yield* keyspaceOperations(reading, key, record)
    case 'group':
      return yield* openGroupOperations(reading, name, key, record)
    case 'once': {
      const [forgetAtMs, results] = record as unknown as readonly [number, readonly Plain[]]
      if (forgetAtMs > nowMs) yield { kind: 'once.remember', key, rememberMs: Math.ceil(forgetAtMs - nowMs), results }
      return
    }
    case 'closed':
      return yield* closedGroupOperations(reading, name, Number(key))
    default:
      return
  }
}

function messageOperation(queue: string, record: Plain, nowMs: number): StructureOperation {
  const [id, body, headers, group, , notBeforeMs, expiresAtMs, attempt] = record as unknown as readonly [
    string,
    Uint8Array,
    Plain,
    string | null,
    number,
    number,
    number,
    number,
  ]
  const delayMs = notBeforeMs > nowMs ? Math.ceil(notBeforeMs - nowMs) : undefined
  const rest = { headers, group: group ?? undefined, delayMs, expiresMs: leftMs(expiresAtMs, nowMs), attempt }
  return { kind: 'queue.put', queue, id, body, ...rest }
}

function deadOperation(dead: string, record: Plain): StructureOperation {
  const [id, queue, body, headers, group, attempt, reason] = record as unknown as readonly [
    string,
    string,
    Uint8Array,
    Plain,
    string | null,
    number,
    string,
  ]
  return { kind: 'dead.put', dead, queue, id, body, reason, headers, group: group ?? undefined, attempt }
}

function* keyspaceOperations({ state, nowMs }: Reading, key: string, record: Plain): Iterable<StructureOperation> {
  const [type, expiresAtMs, value] = record as readonly [string, number, Plain]
  if (expiresAtMs !== 0 && expiresAtMs <= nowMs) return
  const atMs = expiresAtMs === 0 ? undefined : expiresAtMs
  if (type === 'string') return yield { kind: 'keyspace.set', key, value: value as Uint8Array, atMs }
  const values = answer(state, { kind: 'keyspace.range', key, start: 0, stop: -1 }, nowMs) as readonly Uint8Array[]
  yield { kind: 'keyspace.push', key, side: 'right', values }
  if (atMs !== undefined) yield { kind: 'keyspace.expire', key, atMs }
}

function* openGroupOperations(
  { state, nowMs }: Reading,
  group: string,
  key: string,
  record: Plain,
): Iterable<StructureOperation> {
  const [, , missing, size, deadlineAtMs, rememberMs] = record as unknown as readonly [
    number,
    number,
    readonly string[],
    number,
    number,
    number,
  ]
  const found = answer(state, { kind: 'group.get', group, key }, nowMs) as OpenGroup | null
  if (found === null) return
  const pieces = found[2]
  const sources = [...new Set(pieces.map(([source]) => source))]
  const lists = sources.filter(source => pieces.filter(piece => piece[0] === source).length > 1)
  const complete = {
    each: missing.length > 0 ? [...sources, ...missing] : undefined,
    size: size > 0 ? size : undefined,
  }
  const deadlineMs = leftMs(deadlineAtMs, nowMs)
  for (const piece of pieces) yield addOperation(group, key, piece, { complete, lists, deadlineMs, rememberMs })
}

function* closedGroupOperations(
  { state, nowMs }: Reading,
  group: string,
  generation: number,
): Iterable<StructureOperation> {
  const found = answer(state, { kind: 'group.closed', group, generation }, nowMs) as ClosedGroup | null
  if (found === null) return
  const [key, reason, , pieces] = found
  const lists = [...new Set(pieces.map(([source]) => source))]
  const complete = reason === 'complete' ? { size: pieces.length } : {}
  for (const piece of pieces) yield addOperation(group, key, piece, { complete, lists })
  if (reason !== 'complete') yield { kind: 'group.close', group, key }
}

function addOperation(
  group: string,
  key: string,
  [source, id, body, headers]: Piece,
  rest: Pick<Extract<StructureOperation, { kind: 'group.add' }>, 'complete' | 'lists' | 'deadlineMs' | 'rememberMs'>,
): StructureOperation {
  return { kind: 'group.add', group, key, source, id, body, headers, ...rest }
}

function answer(state: SpooledState, query: StructureQuery, nowMs: number): Plain | null {
  return state.query(query, nowMs).result ?? null
}

/** At least 1; undefined: for ever. */
function leftMs(untilMs: number, nowMs: number): number | undefined {
  return untilMs === 0 ? undefined : Math.max(1, Math.ceil(untilMs - nowMs))
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
