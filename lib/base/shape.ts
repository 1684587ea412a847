/**
 * The shape of what crosses the wire or lies in a log: a typed value on one side, positional arrays of plain values on
 * the other (no key names travel, nothing depends on shared tables). `unpack` is the one validation of bytes from
 * outside: it throws `MalformedError` naming the path, and trusts no length, type or key name.
 *
 * Decision: hand-rolled combinators instead of a schema library, because they give the compact positional form, the
 * TypeScript type and the validation in one place, and cost about as much as the array literal itself.
 *
 * Evolution: fields are only ever appended, each new one `optional`; a reader ignores surplus fields.
 */
import { MalformedError } from './errors.ts'

export interface Shape<T> {
  /** To arrays, numbers, strings, booleans, null and Uint8Array only. */
  readonly pack: (value: T) => unknown
  /** Throws MalformedError. */
  readonly unpack: (raw: unknown, path?: string) => T
}

export type ShapeOf<S> = S extends Shape<infer T> ? T : never

/** An integer 0 .. 2^53 - 1. */
export const uint: Shape<number> = primitive(
  'an unsigned integer',
  (raw): raw is number => Number.isSafeInteger(raw) && (raw as number) >= 0,
)
/** Any safe integer. */
export const int: Shape<number> = primitive('an integer', (raw): raw is number => Number.isSafeInteger(raw))
/** Any finite number. */
export const number: Shape<number> = primitive(
  'a number',
  (raw): raw is number => typeof raw === 'number' && Number.isFinite(raw),
)
export const string: Shape<string> = primitive('a string', (raw): raw is string => typeof raw === 'string')
export const boolean: Shape<boolean> = primitive('a boolean', (raw): raw is boolean => typeof raw === 'boolean')
export const bytes: Shape<Uint8Array> = primitive('bytes', (raw): raw is Uint8Array => raw instanceof Uint8Array)

/** What msgpack carries as it is. Not validated further: for results and details that only the caller interprets. */
export type Plain = null | boolean | number | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain }
export const plain: Shape<Plain> = { pack: value => value, unpack: raw => (raw === undefined ? null : raw) as Plain }

/** One of a fixed set of words, sent as its position. Words are only ever appended. */
export function oneOf<const Words extends readonly string[]>(...words: Words): Shape<Words[number]> {
  return {
    pack: value => words.indexOf(value),
    unpack: (raw, path) => (typeof raw === 'number' && words[raw]) || malformed(path, `one of ${words.join(', ')}`),
  }
}

/** Absent becomes null. */
export function optional<T>(inner: Shape<T>): Shape<T | undefined> {
  return {
    pack: value => (value === undefined ? null : inner.pack(value)),
    unpack: (raw, path) => (raw === null || raw === undefined ? undefined : inner.unpack(raw, path)),
  }
}

export function list<T>(inner: Shape<T>, lengthMax = 1_000_000): Shape<readonly T[]> {
  return {
    pack: value => value.map(item => inner.pack(item)),
    unpack: (raw, path) => {
      if (!Array.isArray(raw) || raw.length > lengthMax) return malformed(path, `a list of at most ${lengthMax}`)
      // A copy has its final length: an array that grows takes room for sixteen more.
      const out: T[] = raw.slice()
      let at = 0
      try {
        for (; at < raw.length; at++) out[at] = inner.unpack(raw[at])
      } catch (error) {
        throw within(within(error, `[${at}]`), path)
      }
      return out
    },
  }
}

type Fields<T> = { readonly [K in keyof T]-?: Shape<T[K]> }

/** How records and variants make one object, without a copy in between. */
interface RecordShape<T> extends Shape<T> {
  readonly fill: (out: Partial<T>, raw: unknown, path: string | undefined) => void
}

/** An object as a positional array in the order of the fields. A field whose shape is `optional` is left out when undefined. */
export function record<T extends object>(fields: Fields<T>): Shape<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  const shapes = names.map(name => fields[name] as Shape<unknown>)
  const count = names.length
  const fill = (out: Partial<T>, raw: unknown, path: string | undefined): void => {
    if (!Array.isArray(raw)) return malformed(path, 'a record')
    let i = 0
    try {
      for (; i < count; i++) {
        const value = (shapes[i] as Shape<unknown>).unpack(raw[i])
        if (value !== undefined) out[names[i] as keyof T & string] = value as T[keyof T & string]
      }
    } catch (error) {
      throw within(within(error, names[i]), path)
    }
  }
  const shape: RecordShape<T> = {
    pack: value => {
      const out: unknown[] = names.slice()
      for (let i = 0; i < count; i++) out[i] = (shapes[i] as Shape<unknown>).pack(value[names[i] as keyof T & string])
      return out
    },
    unpack: (raw, path) => {
      const out: Partial<T> = {}
      fill(out, raw, path)
      return out as T
    },
    fill,
  }
  return shape
}

/**
 * A discriminated union on `kind`: `[code, fields...]`. Codes are stable for ever.
 * `variants<Message>({ append: [1, record<Append>({...})] })`; the record must not list `kind` itself.
 */
export function variants<U extends { readonly kind: string }>(cases: {
  readonly [K in U['kind']]: readonly [code: number, shape: Shape<Omit<Extract<U, { readonly kind: K }>, 'kind'>>]
}): Shape<U> {
  type Case = readonly [kind: string, code: number, shape: Shape<object> & Partial<RecordShape<object>>]
  const byCode: (Case | undefined)[] = []
  const byKind = new Map<string, Case>()
  for (const [kind, each] of Object.entries(cases)) {
    const [code, shape] = each as readonly [number, Shape<object>]
    byCode[code] = [kind, code, shape]
    byKind.set(kind, [kind, code, shape])
  }
  return {
    pack: value => {
      const [, code, shape] = byKind.get(value.kind) as Case
      return [code, shape.pack(value)]
    },
    unpack: (raw, path) => {
      const code: unknown = Array.isArray(raw) && raw.length === 2 ? raw[0] : undefined
      const found = typeof code === 'number' ? byCode[code] : undefined
      if (found === undefined) return malformed(path, 'a known kind')
      const [kind, , shape] = found
      try {
        if (shape.fill === undefined) return { kind, ...shape.unpack((raw as unknown[])[1]) } as unknown as U
        const out = { kind }
        shape.fill(out, (raw as unknown[])[1], undefined)
        return out as unknown as U
      } catch (error) {
        throw within(within(error, kind), path)
      }
    },
  }
}

/** A text that mostly equals the one before, e.g. a session: one instance stands for all of them, and is hashed once. */
export function recurring(): Shape<string> {
  let last = ''
  return {
    pack: value => value,
    unpack: (raw, path) => {
      if (raw !== last) last = string.unpack(raw, path)
      return last
    },
  }
}

/** Built at first use, for shapes that refer to one another. */
export function lazy<T>(make: () => Shape<T>): Shape<T> {
  let made: Shape<T> | undefined
  const shape = (): Shape<T> => (made ??= make())
  return { pack: value => shape().pack(value), unpack: (raw, path) => shape().unpack(raw, path) }
}

function primitive<T>(what: string, is: (raw: unknown) => raw is T): Shape<T> {
  return { pack: value => value, unpack: (raw, path) => (is(raw) ? raw : malformed(path, what)) }
}

/** Names where it was on the way out: a path that every call carried in would cost as much as the rest. */
class Misfit extends MalformedError {
  readonly path: string | undefined
  readonly wanted: string

  constructor(path: string | undefined, wanted: string) {
    super(`${path ?? 'message'}: expected ${wanted}`)
    this.path = path
    this.wanted = wanted
  }
}

/** For shapes made elsewhere. */
export function malformed(path: string | undefined, wanted: string): never {
  throw new Misfit(path, wanted)
}

function within(error: unknown, outer: string | undefined): unknown {
  if (!(error instanceof Misfit) || outer === undefined) return error
  const { path, wanted } = error
  return new Misfit(path === undefined ? outer : path.startsWith('[') ? outer + path : `${outer}.${path}`, wanted)
}
