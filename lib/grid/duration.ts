/**
 * Durations as people write them, alike in TypeScript, YAML and flags: '250ms', '5s', '1.5m', '24h', '7d', or a number
 * of milliseconds.
 */
import { InvalidError } from '../base/errors.ts'

export type DurationText = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`
/** A text such as '5m', or milliseconds. */
export type Duration = DurationText | number

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** A hundred years: more is a slip of the pen. */
const durationMsMax = 100 * 365 * 86_400_000

/** Whole milliseconds, rounded up. `what` names the setting in the InvalidError, e.g. 'ttl'. */
export function durationMs(duration: number | string, what = 'duration'): number {
  const ms = typeof duration === 'number' ? duration : parsed(duration)
  if (!(ms >= 0 && ms <= durationMsMax))
    throw new InvalidError(`${what}: '${duration}' is not a duration; write for example 250ms, 5s, 1.5m, 24h or 7d`)
  return Math.ceil(ms)
}

function parsed(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  return match === null ? NaN : Number(match[1]) * (unitMs[match[2] as string] as number)
}
