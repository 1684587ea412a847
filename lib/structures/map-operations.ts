/** What a map can be told and asked. Values are opaque bytes; keys and names are text. */
import { boolean, bytes, optional, recurring, string, uint, type Shape } from '../base/shape.ts'
import { cases, version, type Cases, type Version } from './cases.ts'

export type MapOperation =
  /** -> [version, previous value | null]; `previous` only if asked for. CONFLICT (detail: version | null) if a condition does not hold. Without `ttlMs` it stays for ever. */
  | {
      readonly kind: 'map.put'
      readonly map: string
      readonly key: string
      readonly value: Uint8Array
      readonly ttlMs?: number | undefined
      readonly ifVersion?: Version | undefined
      readonly ifAbsent?: boolean | undefined
      readonly ifPresent?: boolean | undefined
      readonly returnPrevious?: boolean | undefined
    }
  /** -> [existed, previous value | null]. CONFLICT as above. */
  | {
      readonly kind: 'map.delete'
      readonly map: string
      readonly key: string
      readonly ifVersion?: Version | undefined
      readonly returnPrevious?: boolean | undefined
    }
  /** -> existed. Gives the entry a new life of `ttlMs` from now, or for ever; the version stays. */
  | { readonly kind: 'map.touch'; readonly map: string; readonly key: string; readonly ttlMs?: number | undefined }
  /** -> true; CONFLICT unless the entry has this version (undefined: is absent). For transactions: what was read still holds. */
  | { readonly kind: 'map.check'; readonly map: string; readonly key: string; readonly version?: Version | undefined }
  /** Housekeeping -> whether it went. No-op unless the entry still has this version and is due. */
  | { readonly kind: 'map.expire'; readonly map: string; readonly key: string; readonly version: Version }

export type MapQuery =
  /** -> null | [value, version, remaining ms | -1]. */
  | { readonly kind: 'map.get'; readonly map: string; readonly key: string }
  /** -> [[key, value, version][], next `after` | null], by key in UTF-16 order, at most `max` (1..1,000). What stays during the whole scan is seen once. */
  | { readonly kind: 'map.entries'; readonly map: string; readonly after?: string | undefined; readonly max: number }
  /** -> number of entries of this map in this partition; a due one counts until its expiry is committed. */
  | { readonly kind: 'map.size'; readonly map: string }

export type MapPutResult = readonly [version: Version, previous: Uint8Array | null]
export type MapGetResult = readonly [value: Uint8Array, version: Version, remainingMs: number] | null

const map: Shape<string> = recurring()

export const mapOperations: Cases<MapOperation> = cases<MapOperation>({
  'map.put': [
    1,
    {
      map,
      key: string,
      value: bytes,
      ttlMs: optional(uint),
      ifVersion: optional(version),
      ifAbsent: optional(boolean),
      ifPresent: optional(boolean),
      returnPrevious: optional(boolean),
    },
  ],
  'map.delete': [2, { map, key: string, ifVersion: optional(version), returnPrevious: optional(boolean) }],
  'map.touch': [3, { map, key: string, ttlMs: optional(uint) }],
  'map.check': [4, { map, key: string, version: optional(version) }],
  'map.expire': [5, { map, key: string, version }],
})

export const mapQueries: Cases<MapQuery> = cases<MapQuery>({
  'map.get': [1, { map, key: string }],
  'map.entries': [2, { map, after: optional(string), max: uint }],
  'map.size': [3, { map }],
})
