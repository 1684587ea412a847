/** What `by` returns: text or a number, not empty, of bounded length. */
import { TerminalError } from '../errors.ts'

const keyLengthMax = 1_000

export function keyText(key: unknown, step: string): string {
  const text = typeof key === 'number' ? String(key) : key
  if (typeof text !== 'string' || text === '')
    throw new TerminalError(`${step}: the key of a message is ${text === '' ? 'empty' : `a ${typeof key}`}`)
  if (text.length > keyLengthMax)
    throw new TerminalError(`${step}: a key has ${text.length} characters, at most ${keyLengthMax} go`)
  return text
}
