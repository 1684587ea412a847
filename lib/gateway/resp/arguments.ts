/**
 * Arguments as Redis reads them: 64-bit decimals without leading zeros or blanks, options by name in any case. Keys are
 * bytes to clients and text to the grid: each byte is one character (latin1), so nothing is lost and order is kept.
 */
import { notInteger, RespError } from './refusals.ts'

const int64Max = 2n ** 63n - 1n
const int64Min = -(2n ** 63n)
const safeMax = BigInt(Number.MAX_SAFE_INTEGER)

export function keyOf(argument: Buffer): string {
  return argument.toString('latin1')
}

export function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'latin1')
}

/** A copy: what is stored must not pin what came in with it. */
export function valueOf(argument: Buffer): Uint8Array {
  return new Uint8Array(argument)
}

/** For a refusal: as C reads it, up to a zero byte. */
export function quotable(argument: Buffer, lengthMax: number = argument.length): string {
  return (argument.toString('latin1').split('\0', 1)[0] as string).slice(0, lengthMax)
}

/** Options and subcommands. */
export function wordOf(argument: Buffer): string {
  return argument.toString('latin1', 0, 64).toUpperCase()
}

export function int64Of(argument: Buffer): bigint | undefined {
  if (argument.length > 20) return undefined
  const text = argument.toString('latin1')
  if (!/^(?:0|-?[1-9]\d*)$/.test(text)) return undefined
  const value = BigInt(text)
  return value >= int64Min && value <= int64Max ? value : undefined
}

/** Throws RespError with `refusal` unless it is a 64-bit integer. */
export function integer(argument: Buffer, refusal: ConstructorParameters<typeof RespError>[0] = notInteger): bigint {
  const value = int64Of(argument)
  if (value === undefined) throw new RespError(refusal)
  return value
}

/** As `strtold` of C reads it, all of it: decimals, hexadecimals, infinities. NaN if it is no number. */
export function realOf(argument: Buffer): number {
  const text = argument.toString('latin1').toLowerCase()
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(text))
    // What is too small for a number here is not nothing.
    return Number(text) || (/^\+?[.0]*[1-9]/.test(text) ? Number.MIN_VALUE : 0)
  const [, sign, digits, fraction = '', exponent = '0'] =
    /^([+-]?)0x(?=\.?[\da-f])([\da-f]*)\.?([\da-f]*)(?:p([+-]?\d+))?$/.exec(text) ?? []
  if (digits !== undefined) {
    const value = Number.parseInt(`0${digits}${fraction}`, 16) * 2 ** (Number(exponent) - 4 * fraction.length)
    return sign === '-' ? -value : value
  }
  return /^[+-]?inf(?:inity)?$/.test(text) ? Number(text.startsWith('-') ? -Infinity : Infinity) : NaN
}

/** The nearest safe integer: for indices and counts, where everything beyond is the same. */
export function clamped(value: bigint): number {
  return Number(value > safeMax ? safeMax : value < -safeMax ? -safeMax : value)
}

export const int64: { readonly max: bigint; readonly min: bigint } = { max: int64Max, min: int64Min }
