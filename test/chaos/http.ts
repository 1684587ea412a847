/** HTTP as a client speaks it: connections kept alive, a time limit, the answer's status and text. */
import { Agent, request } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/** Rejects where the connection fails, or nothing came in time. */
export function ask(
  base: string,
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
  timeoutMs = 15_000,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const call = request(base + path, { method, agent, headers: { ...headers, ...length } }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('end', () => {
        clearTimeout(timer)
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
      })
      response.on('error', fail)
    })
    const timer = setTimeout(() => call.destroy(new Error('no answer in time')), timeoutMs)
    function fail(error: Error): void {
      clearTimeout(timer)
      reject(error)
    }
    call.on('error', fail)
    call.end(body)
  })
}

export async function askJson<T>(base: string, method: string, path: string, body?: unknown): Promise<T> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const answer = await ask(base, method, path, text, text === undefined ? {} : { 'content-type': 'application/json' })
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`)
  return JSON.parse(answer.body) as T
}

/** Kept connections keep a process alive. */
export function hangUp(): void {
  agent.destroy()
}

export async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
