/** The building blocks of the structures' wire shapes: cases of a union that `operations.ts` puts together. */
import { malformed, record, uint, type Shape } from '../base/shape.ts'

/** The argument of `variants`: a stable code and a shape for each kind. */
export type Cases<U extends { readonly kind: string }> = {
  readonly [K in U['kind']]: readonly [code: number, shape: Shape<Omit<Extract<U, { readonly kind: K }>, 'kind'>>]
}

type Body<U extends { readonly kind: string }, K extends U['kind']> = Omit<Extract<U, { readonly kind: K }>, 'kind'>

/** The cases of a union from the shapes of their fields: `cases<CounterQuery>({ 'counter.get': [50, { counter: string }] })`. */
export function cases<U extends { readonly kind: string }>(fields: {
  readonly [K in U['kind']]: readonly [
    code: number,
    fields: { readonly [F in keyof Body<U, K>]-?: Shape<Body<U, K>[F]> },
  ]
}): Cases<U> {
  const out: Record<string, readonly [number, Shape<object>]> = {}
  const byKind = fields as Readonly<Record<string, readonly [number, Readonly<Record<never, never>>]>>
  for (const kind of Object.keys(byKind)) {
    const [code, shapes] = byKind[kind] as readonly [number, object]
    out[kind] = [code, record<object>(shapes)]
  }
  return out as unknown as Cases<U>
}

/** Names one write for ever: the entry that made it and the operation's place in it. Never repeated, also after delete and re-create. */
export type Version = readonly [epoch: number, index: number, ordinal: number]

export const version: Shape<Version> = {
  pack: value => value,
  unpack: (raw, path) => {
    if (!Array.isArray(raw) || raw.length !== 3) return malformed(path, 'three numbers')
    const [epoch, index, ordinal] = raw.map(number => uint.unpack(number, path))
    return [epoch as number, index as number, ordinal as number]
  },
}

/** Whose lease it is: of the caller's session (ends with it, and by time if a duration is given) or of nobody (ends by time alone: HTTP). */
export type Holder = 'session' | 'time'
