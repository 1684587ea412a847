/**
 * The shape of what crosses the wire or lies in a log: a typed value on one side, positional arrays of plain values on
 * the other (no key names travel, nothing depends on shared tables). `unpack` is the one validation of bytes from
 * outside: it throws `MalformedError` naming the path, and trusts no length, type or key name.
 *
 * Decision: hand-rolled combinators instead of a schema library, because they give the compact positional form, the
 * TypeScript type and the validation in one place, and cost about as much as the array literal itself.
 * Evolution: fields are only ever appended, each new one `optional`; a reader ignores surplus fields.
 */
import { MalformedError } from './errors.ts'
import type { MsgpackReader } from './msgpack-reader.ts'
import type { MsgpackWriter } from './msgpack-writer.ts'

export interface Shape<T> {
  /** To arrays, numbers, strings, booleans, null and Uint8Array only. */
  readonly pack: (value: T) => unknown
  /** Throws MalformedError. */
  readonly unpack: (raw: unknown, path?: string) => T
  /** The bytes of `pack`, without making it. Shapes made by hand may leave the three out. */
  readonly write?: (value: T, to: MsgpackWriter) => void
  /** The value of `unpack`, without making what it takes. Throws MalformedError. */
  readonly read?: (from: MsgpackReader) => T
  /** Throws MalformedError unless `unpack` would take what `pack` makes of the value. */
  readonly check?: (value: unknown) => void
  /** Where it is the last of a record and undefined, it need not be written at all. */
  readonly isOptional?: boolean
}

type Full<T> = Required<Omit<Shape<T>, 'isOptional'>> & Pick<Shape<T>, 'isOptional'>

export type ShapeOf<S> = S extends Shape<infer T> ? T : never

/** An integer 0 .. 2^53 - 1. */
export const uint: Shape<number> = primitive(
  'an unsigned integer',
  (raw): raw is number => Number.isSafeInteger(raw) && (raw as number) >= 0,
  (value, to) => to.number(value),
  from => from.number(),
)
/** Any safe integer. */
export const int: Shape<number> = primitive(
  'an integer',
  (raw): raw is number => Number.isSafeInteger(raw),
  (value, to) => to.number(value),
  from => from.number(),
)
/** Any finite number. */
export const number: Shape<number> = primitive(
  'a number',
  (raw): raw is number => typeof raw === 'number' && Number.isFinite(raw),
  (value, to) => to.number(value),
  from => from.number(),
)
export const string: Shape<string> = primitive(
  'a string',
  (raw): raw is string => typeof raw === 'string',
  (value, to) => to.text(value),
  from => from.text(),
)
export const boolean: Shape<boolean> = primitive(
  'a boolean',
  (raw): raw is boolean => typeof raw === 'boolean',
  (value, to) => to.boolean(value),
  from => from.boolean(),
)
export const bytes: Shape<Uint8Array> = primitive(
  'bytes',
  (raw): raw is Uint8Array => raw instanceof Uint8Array,
  (value, to) => to.bytes(value),
  from => from.bytes(),
)

/** What msgpack carries as it is. Not validated further: for results and details that only the caller interprets. */
export type Plain = null | boolean | number | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain }
export const plain: Shape<Plain> = {
  pack: value => value,
  unpack: raw => (raw === undefined ? null : raw) as Plain,
  write: (value, to) => to.plain(value),
  read: from => from.plain(),
  check: () => undefined,
}

/** One of a fixed set of words, sent as its position. Words are only ever appended. */
export function oneOf<const Words extends readonly string[]>(...words: Words): Shape<Words[number]> {
  const wanted = `one of ${words.join(', ')}`
  const shape: Full<Words[number]> = {
    pack: value => words.indexOf(value),
    unpack: (raw, path) => (typeof raw === 'number' && words[raw]) || malformed(path, wanted),
    write: (value, to) => to.number(words.indexOf(value)),
    read: from => words[from.number() ?? -1] ?? malformed(undefined, wanted),
    check: value => (words.includes(value as string) ? undefined : malformed(undefined, wanted)),
  }
  return shape
}

/** Absent becomes null. */
export function optional<T>(inner: Shape<T>): Shape<T | undefined> {
  const { pack, unpack, write, read, check } = full(inner)
  const shape: Full<T | undefined> = {
    pack: value => (value === undefined ? null : pack(value)),
    unpack: (raw, path) => (raw === null || raw === undefined ? undefined : unpack(raw, path)),
    write: (value, to) => (value === undefined ? to.nil() : write(value, to)),
    read: from => (from.takeNil() ? undefined : read(from)),
    check: value => (value === undefined || value === null ? undefined : check(value)),
    isOptional: true,
  }
  return shape
}

export function list<T>(inner: Shape<T>, lengthMax = 1_000_000): Shape<readonly T[]> {
  const { pack, unpack, write, read, check } = full(inner)
  const wanted = `a list of at most ${lengthMax}`
  const shape: Full<readonly T[]> = {
    pack: value => value.map(item => pack(item)),
    unpack: (raw, path) => {
      if (!Array.isArray(raw) || raw.length > lengthMax) return malformed(path, wanted)
      // A copy has its final length: an array that grows takes room for sixteen more.
      const out: T[] = raw.slice()
      let at = 0
      try {
        for (; at < raw.length; at++) out[at] = unpack(raw[at])
      } catch (error) {
        throw within(within(error, `[${at}]`), path)
      }
      return out
    },
    write: (value, to) => {
      to.array(value.length)
      for (let at = 0; at < value.length; at++) write(value[at] as T, to)
    },
    read: from => {
      const length = from.array()
      if (length === undefined || length > lengthMax) return malformed(undefined, wanted)
      const out: T[] = []
      let at = 0
      try {
        for (; at < length; at++) out.push(read(from))
      } catch (error) {
        throw within(error, `[${at}]`)
      }
      return out
    },
    check: value => {
      if (!Array.isArray(value) || value.length > lengthMax) return malformed(undefined, wanted)
      let at = 0
      try {
        for (; at < value.length; at++) check(value[at])
      } catch (error) {
        throw within(error, `[${at}]`)
      }
    },
  }
  return shape
}

type Fields<T> = { readonly [K in keyof T]-?: Shape<T[K]> }

/** How records and variants make one object, without a copy in between. */
interface RecordShape<T> extends Full<T> {
  readonly fill: (out: Partial<T>, raw: unknown, path: string | undefined) => void
  readonly readInto: (out: Partial<T>, from: MsgpackReader) => void
}

/**
 * An object as a positional array in the order of the fields. A field whose shape is `optional` is left out when
 * undefined; the last ones of the bytes as well.
 */
export function record<T extends object>(fields: Fields<T>): Shape<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  const shapes = names.map(name => full(fields[name] as Shape<unknown>))
  const count = names.length
  let requiredCount = count
  while (requiredCount > 0 && shapes[requiredCount - 1]?.isOptional === true) requiredCount--
  const fill = (out: Partial<T>, raw: unknown, path: string | undefined): void => {
    if (!Array.isArray(raw)) return malformed(path, 'a record')
    let i = 0
    try {
      for (; i < count; i++) {
        const value = (shapes[i] as Full<unknown>).unpack(raw[i])
        if (value !== undefined) out[names[i] as keyof T & string] = value as T[keyof T & string]
      }
    } catch (error) {
      throw within(within(error, names[i]), path)
    }
  }
  const readInto = (out: Partial<T>, from: MsgpackReader): void => {
    const length = from.array()
    if (length === undefined) return malformed(undefined, 'a record')
    let i = 0
    try {
      for (; i < count; i++) {
        const shape = shapes[i] as Full<unknown>
        if (i >= length && i >= requiredCount) return
        const value = i < length ? shape.read(from) : shape.unpack(undefined)
        if (value !== undefined) out[names[i] as keyof T & string] = value as T[keyof T & string]
      }
    } catch (error) {
      throw within(error, names[i])
    }
    for (; i < length; i++) from.plain()
  }
  const shape: RecordShape<T> = {
    pack: value => {
      const out: unknown[] = names.slice()
      for (let i = 0; i < count; i++) out[i] = (shapes[i] as Full<unknown>).pack(value[names[i] as keyof T & string])
      return out
    },
    unpack: (raw, path) => {
      const out: Partial<T> = {}
      fill(out, raw, path)
      return out as T
    },
    write: (value, to) => {
      let length = count
      while (length > requiredCount && value[names[length - 1] as keyof T & string] === undefined) length--
      to.array(length)
      for (let i = 0; i < length; i++) (shapes[i] as Full<unknown>).write(value[names[i] as keyof T & string], to)
    },
    read: from => {
      const out: Partial<T> = {}
      readInto(out, from)
      return out as T
    },
    check: value => {
      if (typeof value !== 'object' || value === null) return malformed(undefined, 'a record')
      let i = 0
      try {
        for (; i < count; i++) (shapes[i] as Full<unknown>).check((value as T)[names[i] as keyof T & string])
      } catch (error) {
        throw within(error, names[i])
      }
    },
    fill,
    readInto,
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
  type Case = readonly [kind: string, code: number, shape: Full<object> & Partial<RecordShape<object>>]
  const byCode: (Case | undefined)[] = []
  const byKind = new Map<string, Case>()
  for (const [kind, each] of Object.entries(cases)) {
    const [code, shape] = each as readonly [number, Shape<object>]
    const found: Case = [kind, code, full(shape)]
    byCode[code] = found
    byKind.set(kind, found)
  }
  const shape: Full<U> = {
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
    write: (value, to) => {
      const [, code, shape] = byKind.get(value.kind) as Case
      to.array(2)
      to.number(code)
      shape.write(value, to)
    },
    read: from => {
      const found = from.array() === 2 ? byCode[from.number() ?? -1] : undefined
      if (found === undefined) return malformed(undefined, 'a known kind')
      const [kind, , shape] = found
      try {
        if (shape.readInto === undefined) return { kind, ...shape.read(from) } as unknown as U
        const out = { kind }
        shape.readInto(out, from)
        return out as unknown as U
      } catch (error) {
        throw within(error, kind)
      }
    },
    check: value => {
      const kind = (value as Partial<U> | null | undefined)?.kind
      const found = kind === undefined ? undefined : byKind.get(kind)
      if (found === undefined) return malformed(undefined, 'a known kind')
      try {
        found[2].check(value)
      } catch (error) {
        throw within(error, found[0])
      }
    },
  }
  return shape
}

/** A text that mostly equals the one before, e.g. a session: one instance stands for all of them, and is hashed once. */
export function recurring(): Shape<string> {
  let last = ''
  const shape: Full<string> = {
    ...(string as Full<string>),
    unpack: (raw, path) => {
      if (raw !== last) last = string.unpack(raw, path)
      return last
    },
    read: from => (last = from.text(last) ?? malformed(undefined, 'a string')),
  }
  return shape
}

/** Built at first use, for shapes that refer to one another. */
export function lazy<T>(make: () => Shape<T>): Shape<T> {
  let made: Full<T> | undefined
  const inner = (): Full<T> => (made ??= full(make()))
  const shape: Full<T> = {
    pack: value => inner().pack(value),
    unpack: (raw, path) => inner().unpack(raw, path),
    write: (value, to) => inner().write(value, to),
    read: from => inner().read(from),
    check: value => inner().check(value),
  }
  return shape
}

export function writeShape<T>(shape: Shape<T>, value: T, to: MsgpackWriter): void {
  full(shape).write(value, to)
}

/** Throws MalformedError. */
export function readShape<T>(shape: Shape<T>, from: MsgpackReader): T {
  return full(shape).read(from)
}

/** Throws MalformedError unless the value is one of the shape. */
export function checkShape<T>(shape: Shape<T>, value: unknown): void {
  full(shape).check(value)
}

/** With the long way for what a shape leaves out. */
function full<T>(shape: Shape<T>): Full<T> {
  if (shape.write !== undefined && shape.read !== undefined && shape.check !== undefined) return shape as Full<T>
  return {
    ...shape,
    write: shape.write ?? ((value, to) => to.plain(shape.pack(value) as Plain)),
    read: shape.read ?? (from => shape.unpack(from.plain())),
    check: shape.check ?? (value => void shape.unpack(shape.pack(value as T))),
  }
}

function primitive<T>(
  what: string,
  is: (raw: unknown) => raw is T,
  write: (value: T, to: MsgpackWriter) => void,
  next: (from: MsgpackReader) => unknown,
): Shape<T> {
  const shape: Full<T> = {
    pack: value => value,
    unpack: (raw, path) => (is(raw) ? raw : malformed(path, what)),
    write,
    read: from => {
      const value = next(from)
      return is(value) ? value : malformed(undefined, what)
    },
    check: value => (is(value) ? undefined : malformed(undefined, what)),
  }
  return shape
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
