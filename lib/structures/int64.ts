/** Integers as Redis reads and writes them: decimal text, 64 bits, no sign but minus, no leading zeros, no blanks. */
const min = -(2n ** 63n)
const max = 2n ** 63n - 1n
const digitsMax = 20

/** Undefined unless the text is such an integer. */
export function parseInt64(text: string): bigint | undefined {
  if (text.length > digitsMax || !/^(?:0|-?[1-9][0-9]*)$/.test(text)) return undefined
  const value = BigInt(text)
  return isInt64(value) ? value : undefined
}

export function isInt64(value: bigint): boolean {
  return value >= min && value <= max
}

/** Undefined for what is too long to be an integer. */
export function asciiOf(bytes: Uint8Array): string | undefined {
  return bytes.length > digitsMax ? undefined : String.fromCharCode(...bytes)
}

export function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, character => character.charCodeAt(0))
}
