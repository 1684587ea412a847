/**
 * What a log entry counts for in the memory budget, by formula and not by measuring the heap: 96 bytes for the entry
 * and 16 for each value in its command, plus bytes of binary values and two per UTF-16 unit of texts and key names.
 * Equal on every copy.
 */
import type { LogEntry } from './command.ts'

const entryBytes = 96
const valueBytes = 16

/** Bytes of one entry as it lies in a log; at least 112. */
export function sizeOfEntry(entry: LogEntry): number {
  return entryBytes + sizeOfValue(entry.command)
}

/** Bytes of any plain value. */
export function sizeOfValue(value: unknown): number {
  if (typeof value === 'string') return valueBytes + 2 * value.length
  if (typeof value !== 'object' || value === null) return valueBytes
  if (value instanceof Uint8Array) return valueBytes + value.length
  let bytes = valueBytes
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) bytes += sizeOfValue(value[i])
  else for (const key in value) bytes += 2 * key.length + sizeOfValue((value as Record<string, unknown>)[key])
  return bytes
}
