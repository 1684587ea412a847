/** Bodies of messages inside JSON: JSON as it is, text as text, anything else as base64 with a word that says so. */
import type { Content } from '../../grid/values.ts'
import { isJson, type Exchange } from './exchange.ts'
import { jsonBytesMax, parseJson } from './json.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The body of the request as content. What says it is JSON is held to it, up to a size. */
export async function contentOf(exchange: Exchange): Promise<Content> {
  const bytes = await exchange.bytes()
  const { contentType } = exchange
  if (isJson(contentType) && bytes.length <= jsonBytesMax) parseJson(bytes)
  return { contentType, bytes }
}

export interface ShownBody {
  readonly body: unknown
  readonly contentType: string
  /** Absent: as it is. */
  readonly encoding?: 'base64'
}

export function shownBody({ contentType, bytes }: Content): ShownBody {
  try {
    if (isJson(contentType)) return { body: JSON.parse(decoder.decode(bytes)), contentType }
    if (contentType.toLowerCase().startsWith('text/')) return { body: decoder.decode(bytes), contentType }
  } catch {
    // Says what it is not.
  }
  return { body: Buffer.from(bytes).toString('base64'), contentType, encoding: 'base64' }
}
