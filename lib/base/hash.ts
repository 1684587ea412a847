/**
 * 32-bit hashes for placement, queues' groups and state comparison: FNV-1a with murmur3's finalizer. Stable for ever:
 * keys live where it says. Not for secrets and not against an adversary.
 */
export const hashSeed = 0x811c9dc5

/** Folds a string's UTF-16 units. */
export function hashText(text: string, seed: number = hashSeed): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return finish(hash)
}

/** Folds bytes. */
export function hashBytes(bytes: Uint8Array, seed: number = hashSeed): number {
  let hash = seed
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  return finish(hash)
}

/** Folds a number exactly (integers by value, others by their decimal text). */
export function hashNumber(value: number, seed: number = hashSeed): number {
  if (!Number.isSafeInteger(value)) return hashText(String(value), seed)
  const low = value | 0
  const high = Math.floor(value / 0x1_0000_0000) | 0
  return finish(Math.imul(Math.imul(seed ^ low, 0x01000193) ^ high, 0x01000193))
}

/** Folds any plain value: null, boolean, number, string, bytes, arrays, objects in their own key order. */
export function hashValue(value: unknown, seed: number = hashSeed): number {
  if (value === null || value === undefined) return hashNumber(value === null ? 1 : 2, seed)
  switch (typeof value) {
    case 'boolean':
      return hashNumber(value ? 3 : 4, seed)
    case 'number':
      return hashNumber(value, seed)
    case 'string':
      return hashText(value, seed)
    case 'object': {
      if (value instanceof Uint8Array) return hashBytes(value, seed)
      let hash = hashNumber(Array.isArray(value) ? value.length : 5, seed)
      if (Array.isArray(value)) for (const item of value) hash = hashValue(item, hash)
      else
        for (const key of Object.keys(value))
          hash = hashValue((value as Record<string, unknown>)[key], hashText(key, hash))
      return hash
    }
    default:
      return hashText(String(value), seed)
  }
}

function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
