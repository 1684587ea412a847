/**
 * What values take in memory, by formula and not by measuring the heap, so that every copy counts the same: the one
 * account of the structures' records, of log entries, of recorded results, and of what is on its way. Measured with Node
 * 24 on 64 bits it errs upwards, by up to a third: a Uint8Array takes 200 bytes beside what is in it.
 *
 *   text     = 16 + 2 * length
 *   bytes    = 240 + byteLength
 *   array    = 48 + sum(8 + item)
 *   object   = 48 + sum(8 + 2 * length of the name + item)   (names are shared)
 *   number, boolean, null = 8
 */

/** Bytes of any plain value; what is undefined counts as null. Cost: proportional to its parts, not to the length of its bytes. */
export function plainBytes(value: unknown): number {
  if (typeof value === 'string') return textBytes(value)
  if (typeof value !== 'object' || value === null) return 8
  if (value instanceof Uint8Array) return 240 + value.byteLength
  let sum = 48
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      // Most are numbers: a call for each would be most of the cost.
      sum += 8 + (typeof item === 'number' ? 8 : plainBytes(item))
    }
  } else {
    const fields = value as Readonly<Record<string, unknown>>
    // Plain values have own fields alone, and V8 keeps their names at hand for this loop.
    for (const name in fields) sum += 8 + 2 * name.length + plainBytes(fields[name])
  }
  return sum
}

export function textBytes(text: string): number {
  return 16 + 2 * text.length
}
