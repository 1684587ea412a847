/** Log lines on stderr: pino's JSON with --json, else one short line each for people. */
import { pino } from 'pino'
import type { Emit } from '../../lib/base/machine.ts'

export interface Log {
  /** For people and machines alike: a sentence, and what it is about. */
  say(level: Emit['level'], text: string, fields?: Emit['fields']): void
  /** Everything that the peer emits. */
  event(event: Emit): void
}

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const

/** `level`: the least that is shown. */
export function createLog(isJson: boolean, name: string, level: Emit['level'] = 'info'): Log {
  const say = isJson ? jsonLines(name, level) : shortLines(level)
  return { say, event: ({ level: at, event, fields }) => say(at, event, fields) }
}

/** SKEIN_LOG=debug|info|warn|error; anything else is info. */
export function logLevel(text: string | undefined): Emit['level'] {
  return text !== undefined && Object.hasOwn(levels, text) ? (text as Emit['level']) : 'info'
}

function jsonLines(name: string, level: Emit['level']): Log['say'] {
  const logger = pino({ level, base: { name } }, pino.destination({ dest: 2, sync: true }))
  return (at, text, fields = {}) => logger[at](fields, text)
}

function shortLines(level: Emit['level']): Log['say'] {
  return (at, text, fields = {}) => {
    if (levels[at] < levels[level]) return
    const time = new Date().toISOString().slice(11, 23)
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`)
    const mark = at === 'info' || at === 'debug' ? '' : ` ${at.toUpperCase()}`
    process.stderr.write(`${time}${mark} ${text}${rest.join('')}\n`)
  }
}

function shown(value: string | number | boolean): string {
  const text = typeof value === 'string' ? value.replaceAll(/\p{Cc}/gu, ' ') : String(value)
  return text.includes(' ') ? JSON.stringify(text) : text
}
