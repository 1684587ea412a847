/**
 * Idempotent Receiver (Hohpe & Woolf, p. 528): a mark under the message's key, put in the commit that the message's unit
 * of work ends with, only if there is none; whoever comes second is acknowledged, counted and gone. So of two that run
 * at the same time one commits, and a mark never stands for work that was rolled back.
 *
 * Decision: a mark lies in the partition of its key up to the last '/', because then the marks `id/head` and `id/payload`
 * share a log with the aggregator's group `id`, and receive + mark + add is one command instead of a transaction.
 */
import type { StructureOperation } from '../../structures/operations.ts'
import type { AnyMessage } from '../message.ts'
import { keyText } from './key.ts'

export interface IdempotentReceiverNode {
  readonly kind: 'idempotent-receiver'
  readonly name: string
  readonly by: (message: AnyMessage) => string | number
  readonly rememberMs: number
}

/** Holds the first one's id, as text. */
export interface Mark {
  readonly map: string
  readonly key: string
  /** Chooses the partition. */
  readonly place: string
}

export function markOf(node: IdempotentReceiverNode, flow: string, message: AnyMessage): Mark {
  const key = keyText(node.by(message), node.name)
  return { map: `flow/${flow}/${node.name}`, key, place: placeOf(key) }
}

export function markOperation(node: IdempotentReceiverNode, { map, key }: Mark, id: string): StructureOperation {
  return { kind: 'map.put', map, key, value: encoder.encode(id), ttlMs: node.rememberMs, ifAbsent: true }
}

export function placeOf(key: string): string {
  const at = key.lastIndexOf('/')
  return at > 0 ? key.slice(0, at) : key
}

const encoder = new TextEncoder()
