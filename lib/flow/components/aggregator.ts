/**
 * Aggregator (Hohpe & Woolf, p. 268): pieces with equal keys wait in a group until it is complete or its time is over;
 * then they are merged and go on as one message. The group lives in the grid, its deadline a field of it. Merging is
 * the caller's: pieces are read, merged here, and what came of it is committed with the group's release, which only one
 * commit can do; so a group goes on once and whole, and whoever lost the race has done nothing.
 *
 * Groups belong to the flow and the step, not to the plan's version: pieces that came in before and after a deployment
 * meet. They are merged by the version of the last piece.
 */
import { InvalidError } from '../../base/errors.ts'
import type { CollectedGroup } from '../../grid/group-handles.ts'
import type { StructureOperation } from '../../structures/operations.ts'
import { decodeEnvelope, encodeEnvelope, messageOf, withBody, type Envelope } from '../envelope.ts'
import type { AnyMessage, StepContext } from '../message.ts'
import { keyText } from './key.ts'

export type OnTimeout = 'dead-letter' | 'release' | 'discard'
export type OnLate = 'discard' | 'dead-letter'

export interface AggregatorNode {
  readonly kind: 'aggregator'
  readonly name: string
  readonly by: (message: AnyMessage) => string | number
  readonly complete: CompleteWhen
  readonly timeoutMs: number | undefined
  readonly onTimeout: OnTimeout
  readonly onLate: OnLate
  readonly rememberMs: number
  readonly piecesMax: number
  /** Sources of the flow that may come here: each counts once with `each`, as often as it comes otherwise. */
  readonly sources: readonly string[]
  readonly merge: (input: unknown, key: string, context: StepContext) => unknown
}

export type CompleteWhen =
  | { readonly each: readonly string[] }
  | { readonly size: number }
  | { readonly test: (messages: readonly AnyMessage[]) => unknown }

/** Pieces are kept under this and beside it, in the partition of `place`. */
export interface GroupAddress {
  readonly group: string
  readonly key: string
  readonly place: string
}

export function groupName(flow: string, step: string): string {
  return `flow/${flow}/${step}`
}

/** What was given up once and is replayed meets under a key of its own, since its first key is remembered as over. */
export function groupOf(node: AggregatorNode, flow: string, envelope: Envelope, message: AnyMessage): GroupAddress {
  const place = keyText(node.by(message), node.name)
  const key = envelope.redo === undefined ? place : `${place}\u0000${envelope.redo}`
  return { group: groupName(flow, node.name), key, place }
}

export function addOperation(
  node: AggregatorNode,
  { group, key }: GroupAddress,
  envelope: Envelope,
): StructureOperation {
  const { complete, rememberMs, piecesMax } = node
  return {
    kind: 'group.add',
    group,
    key,
    source: envelope.source,
    id: envelope.id,
    body: encodeEnvelope(envelope),
    complete: 'test' in complete ? {} : complete,
    ...(!('each' in complete) && { lists: listsOf(node, envelope) }),
    ...(node.timeoutMs !== undefined && { deadlineMs: node.timeoutMs }),
    rememberMs,
    piecesMax,
    ...(node.onLate === 'dead-letter' && { surplus: 'refuse' as const }),
  }
}

function listsOf(node: AggregatorNode, envelope: Envelope): readonly string[] {
  return node.sources.includes(envelope.source) ? node.sources : [...node.sources, envelope.source]
}

/** The pieces as they were sent, in order of arrival. */
export function piecesOf(group: Pick<CollectedGroup, 'pieces'>): readonly Envelope[] {
  return group.pieces.map(piece => decodeEnvelope(piece.body))
}

/** The message that goes on: the last piece's version, all pieces as parents, the same id at each try. */
export async function merged(
  node: AggregatorNode,
  group: CollectedGroup,
  pieces: readonly Envelope[],
  context: StepContext,
): Promise<Envelope> {
  const [key = group.key] = group.key.split('\u0000')
  const found = node.merge(mergeInput(node, pieces), key, context)
  const body = found instanceof Promise ? await found : found
  const last = pieces.at(-1) as Envelope
  const first = pieces[0] as Envelope
  const { group: _, expiresAt: __, lastError: ___, redo: ____, ...rest } = withBody(last, body)
  return {
    ...rest,
    id: mergedId(node, group),
    source: node.name,
    params: {},
    contentType: 'application/json',
    headers: traced(first),
    correlation: key,
    acceptedAt: first.acceptedAt,
    parents: pieces.map(piece => piece.id),
  }
}

export function mergedId(node: AggregatorNode, { partition, generation }: CollectedGroup): string {
  return `${node.name}-${partition}.${generation}`
}

function mergeInput(node: AggregatorNode, pieces: readonly Envelope[]): unknown {
  if (!('each' in node.complete)) return pieces.map(piece => messageOf(piece, node.name, { attempt: 1 }))
  // No prototype: a source may be named like one of its fields.
  const parts = Object.create(null) as Record<string, unknown>
  for (const piece of pieces) parts[piece.source] = piece.body
  return parts
}

function traced({ headers }: Envelope): Envelope['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name === 'traceparent' || name === 'tracestate'))
}

/** For replays: the next group of this key that they meet in. */
export function givenUp(envelope: Envelope): Envelope {
  return { ...envelope, redo: (envelope.redo ?? 0) + 1 }
}

/** Throws InvalidError. */
export function checkedAggregator(node: AggregatorNode): AggregatorNode {
  const { complete, name } = node
  if ('each' in complete && complete.each.length === 0) throw new InvalidError(`${name}: 'each' names no source`)
  if ('each' in complete)
    for (const source of complete.each)
      if (!node.sources.includes(source))
        throw new InvalidError(
          `${name}: no message that comes here has source '${source}'; ${node.sources.join(', ')} do`,
        )
  if ('size' in complete && !(Number.isSafeInteger(complete.size) && complete.size >= 1))
    throw new InvalidError(`${name}: size is ${complete.size}; give a whole number from 1`)
  return node
}
