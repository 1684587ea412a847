/** `/v1/maps/{map}/{key}`: the body is the value, its version the ETag. */
import type { GridMap } from '../../grid/handles.ts'
import { contentCodec, type Content } from '../../grid/values.ts'
import type { Version } from '../../structures/cases.ts'
import { gateOf } from '../byte-gate.ts'
import { contentOf } from './content.ts'
import type { Answer, Exchange, Route } from './exchange.ts'
import { etagOf, HttpRefusal, preconditionFailed } from './refusal.ts'

const ttlMsMax = 100 * 365 * 86_400_000
const path = '/v1/maps/:map/:key'

export const mapRoutes: readonly Route[] = [
  { method: 'GET', path, run: get },
  { method: 'PUT', path, query: ['ttlMs'], run: put },
  { method: 'DELETE', path, run: remove },
]

async function get(exchange: Exchange): Promise<Answer> {
  const entry = await mapOf(exchange).entry(exchange.name('key'))
  if (entry === undefined) throw absent(exchange)
  const etag = etagOf(entry.version) as string
  const headers = {
    etag,
    ...(entry.remainingMs !== undefined && { 'skein-remaining-ms': String(Math.ceil(entry.remainingMs)) }),
  }
  const unless = exchange.header('if-none-match')
  if (unless !== undefined && (unless === '*' || tagsOf(unless).includes(etag))) return { status: 304, headers }
  const only = exchange.header('if-match')
  if (only !== undefined && only !== '*' && !tagsOf(only).includes(etag))
    throw new HttpRefusal('PRECONDITION_FAILED', 'the entry has another version', { etag })
  const { contentType, bytes } = entry.value
  return { status: 200, headers: { ...headers, 'content-type': contentType }, bytes }
}

async function put(exchange: Exchange): Promise<Answer> {
  refuseOwn(exchange)
  const ttl = exchange.uint('ttlMs', 1, ttlMsMax)
  const conditions = conditionsOf(exchange)
  const value = await contentOf(exchange)
  try {
    const options = { ...conditions, ttl, ...exchange.write }
    const begin = (): Promise<Version> => mapOf(exchange).put(exchange.name('key'), value, options)
    const version = await gateOf(exchange.grid).pass(value.bytes.length, begin)
    return { status: 200, headers: { etag: etagOf(version) as string }, json: { version: version.join('.') } }
  } catch (error) {
    throw preconditionFailed(error)
  }
}

async function remove(exchange: Exchange): Promise<Answer> {
  refuseOwn(exchange)
  const { ifVersion, ifPresent, ifAbsent } = conditionsOf(exchange)
  if (ifAbsent === true) throw new HttpRefusal('INVALID', 'If-None-Match makes no sense in a DELETE')
  let existed: boolean
  try {
    existed = await mapOf(exchange).delete(exchange.name('key'), { ifVersion, ...exchange.write })
  } catch (error) {
    throw preconditionFailed(error)
  }
  if (existed) return { status: 204 }
  if (ifPresent === true) throw new HttpRefusal('PRECONDITION_FAILED', 'there is no such entry')
  throw absent(exchange)
}

interface Conditions {
  readonly ifVersion?: Version
  readonly ifPresent?: boolean
  readonly ifAbsent?: boolean
}

function conditionsOf(exchange: Exchange): Conditions {
  const only = exchange.header('if-match')
  const unless = exchange.header('if-none-match')
  if (unless !== undefined && unless !== '*')
    throw new HttpRefusal('INVALID', 'If-None-Match of a write is *: write only what is absent')
  if (unless !== undefined && only !== undefined)
    throw new HttpRefusal('INVALID', 'If-Match and If-None-Match exclude each other')
  if (unless !== undefined) return { ifAbsent: true }
  if (only === undefined) return {}
  return only === '*' ? { ifPresent: true } : { ifVersion: versionOf(only) }
}

/**
 * '"3.17.0"' -> [3, 17, 0]. Tags that this API never gave, and weak ones, match nothing (RFC 9110, 13.1.1). Of its own
 * there is one, so that the comparison is part of the write.
 */
function versionOf(header: string): Version {
  const tags = header.split(',').map(tag => tag.trim())
  if (!tags.every(tag => /^(?:W\/)?"[^"]*"$/.test(tag)))
    throw new HttpRefusal('INVALID', `If-Match ${header.slice(0, 60)} is no list of ETags`)
  const [version, ...more] = tags.flatMap(tag => {
    const match = /^"(\d{1,15})\.(\d{1,15})\.(\d{1,15})"$/.exec(tag)
    return match === null ? [] : [[Number(match[1]), Number(match[2]), Number(match[3])] as const]
  })
  if (more.length > 0) throw new HttpRefusal('INVALID', 'If-Match of a write names one version')
  if (version === undefined) throw new HttpRefusal('PRECONDITION_FAILED', 'no entry has an ETag of If-Match')
  return version
}

function tagsOf(header: string): readonly string[] {
  return header.split(',').map(tag => tag.trim().replace(/^W\//, ''))
}

function mapOf(exchange: Exchange): GridMap<Content> {
  return exchange.grid.map(exchange.name('map'), { codec: contentCodec })
}

/** What the doors themselves remember is not for writing. */
function refuseOwn(exchange: Exchange): void {
  if (exchange.name('map').startsWith('skein.'))
    throw new HttpRefusal('INVALID', 'maps whose names begin with skein. are for reading only')
}

function absent(exchange: Exchange): HttpRefusal {
  return new HttpRefusal('NOT_FOUND', `map ${exchange.name('map')} has no such key`)
}
