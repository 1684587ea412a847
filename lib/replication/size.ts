/**
 * Byte accounting of what replication keeps beside the structures: a formula over the value, not a measurement of the
 * heap, so that every copy counts the same. Reads: 8 per number or fixed word, the length of texts and bytes plus 16,
 * 24 per list or object plus their members.
 */
import type { Plain } from '../base/shape.ts'
import type { Outcome } from './command.ts'

/** Bytes of a plain value. Cost: proportional to its parts, not to the length of its bytes. */
export function plainBytes(value: Plain): number {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return 8
  if (typeof value === 'string') return 16 + value.length
  if (value instanceof Uint8Array) return 16 + value.byteLength
  let sum = 24
  if (isList(value)) for (let i = 0; i < value.length; i++) sum += plainBytes(value[i] as Plain)
  else for (const key of Object.keys(value)) sum += 16 + key.length + plainBytes(value[key] as Plain)
  return sum
}

/** Bytes of a recorded outcome: 32 and its values. */
export function outcomeBytes(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'done':
      return 32 + plainBytes(outcome.results)
    case 'refused':
      return 32 + plainBytes(outcome.message) + plainBytes(outcome.detail)
    case 'indeterminate':
      return 32 + plainBytes(outcome.message)
    case 'retry':
      return 32
  }
}

function isList(value: object): value is readonly Plain[] {
  return Array.isArray(value)
}
