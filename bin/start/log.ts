/**
 * Log lines on stderr: pino's JSON with --json, else one short line each for people.
 *
 * A peer never waits for whoever reads them: lines are written beside its turns, and beyond `unwrittenBytesMax` they are
 * dropped and counted. A reader that stands still would else stop the peer, and its lease with it.
 */
import { pino, type DestinationStream } from 'pino'
import type { Emit } from '../../lib/base/machine.ts'

export interface Log {
  /** For people and machines alike: a sentence, and what it is about. */
  say(level: Emit['level'], text: string, fields?: Emit['fields']): void
  /** Everything that the peer emits. */
  event(event: Emit): void
}

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const

const unwrittenBytesMax = 1024 * 1024

/** `level`: the least that is shown. */
export function createLog(isJson: boolean, name: string, level: Emit['level'] = 'info'): Log {
  const lines = pino.destination({ dest: 2, sync: false, maxLength: unwrittenBytesMax })
  const say = isJson ? jsonLines(lines, name, level) : shortLines(lines, level)
  let dropped = 0
  lines.on('drop', () => void dropped++)
  lines.on('drain', () => {
    const count = dropped
    dropped = 0
    if (count > 0) say('warn', 'lines were dropped: stderr was not read', { count })
  })
  return { say, event: ({ level: at, event, fields }) => say(at, event, fields) }
}

/** SKEIN_LOG=debug|info|warn|error; anything else is info. */
export function logLevel(text: string | undefined): Emit['level'] {
  return text !== undefined && Object.hasOwn(levels, text) ? (text as Emit['level']) : 'info'
}

function jsonLines(lines: DestinationStream, name: string, level: Emit['level']): Log['say'] {
  const logger = pino({ level, base: { name } }, lines)
  return (at, text, fields = {}) => logger[at](fields, text)
}

function shortLines(lines: DestinationStream, level: Emit['level']): Log['say'] {
  return (at, text, fields = {}) => {
    if (levels[at] < levels[level]) return
    const time = new Date().toISOString().slice(11, 23)
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`)
    const mark = at === 'info' || at === 'debug' ? '' : ` ${at.toUpperCase()}`
    lines.write(`${time}${mark} ${text}${rest.join('')}\n`)
  }
}

function shown(value: string | number | boolean): string {
  const text = typeof value === 'string' ? value.replaceAll(/\p{Cc}/gu, ' ') : String(value)
  return text.includes(' ') ? JSON.stringify(text) : text
}
