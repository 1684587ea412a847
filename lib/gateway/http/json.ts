/** JSON from outside: its size and depth are bounded before it is parsed, and refusals say what is wrong. */
import { HttpRefusal } from './refusal.ts'

export const jsonBytesMax: number = 1024 * 1024
const depthMax = 64

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Throws HttpRefusal INVALID or TOO_LARGE. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length > jsonBytesMax) throw new HttpRefusal('TOO_LARGE', `JSON has at most ${jsonBytesMax} bytes here`)
  if (depthOf(bytes) > depthMax) throw new HttpRefusal('INVALID', `JSON is at most ${depthMax} levels deep here`)
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch (error) {
    throw new HttpRefusal('INVALID', `the body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const quote = 34
const backslash = 92

/** Brackets outside of strings. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let isText = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (isText) {
      if (byte === backslash) at++
      else if (byte === quote) isText = false
    } else if (byte === quote) isText = true
    else if (byte === 91 || byte === 123) deepest = Math.max(deepest, ++depth)
    else if (byte === 93 || byte === 125) depth--
  }
  return deepest
}
