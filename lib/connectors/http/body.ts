/** The body of a request as a value: bounded before it is buffered, decoded by its media type. */
import type { IncomingMessage } from 'node:http'
import { FailedError } from '../../base/errors.ts'

export class BodyError extends FailedError {
  readonly retryable = false
  readonly code: string
  readonly status: number

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export interface ReadBody {
  readonly value: unknown
  readonly contentType: string
}

const jsonType = /^application\/(?:[\w.+-]*\+)?json\b/i
const decoder = new TextDecoder('utf-8', { fatal: true })

/** `isTyped`: a schema waits for it, so it must be JSON, text or a form. Rejects with BodyError. */
export async function readBody(request: IncomingMessage, bytesMax: number, isTyped: boolean): Promise<ReadBody> {
  const declared = request.headers['content-type']
  const contentType = declared ?? 'application/json'
  const bytes = await readBytes(request, bytesMax)
  if (bytes.length === 0) return { value: null, contentType }
  if (jsonType.test(contentType)) return { value: jsonOf(bytes), contentType }
  if (/^text\//i.test(contentType)) return { value: textOf(bytes), contentType }
  if (/^application\/x-www-form-urlencoded\b/i.test(contentType))
    return { value: Object.fromEntries(new URLSearchParams(textOf(bytes))), contentType }
  if (isTyped) throw new BodyError(415, 'UNSUPPORTED_MEDIA_TYPE', `${contentType} is not taken here: send JSON`)
  return { value: new Uint8Array(bytes), contentType }
}

async function readBytes(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const tooLarge = (): BodyError => new BodyError(413, 'TOO_LARGE', `a body has at most ${bytesMax} bytes here`)
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  return await new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > bytesMax) {
        request.pause()
        return reject(tooLarge())
      }
      chunks.push(chunk)
    })
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
    request.on('error', () => reject(new BodyError(400, 'ABORTED', 'the request ended before its body did')))
    request.on('close', () => reject(new BodyError(400, 'ABORTED', 'the request ended before its body did')))
  })
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes)) as unknown
  } catch {
    throw new BodyError(400, 'MALFORMED', 'the body is not JSON')
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new BodyError(400, 'MALFORMED', 'the body is not UTF-8')
  }
}
