/** What a server answers to the scripts of resp-body.ts: for each line the bytes of its reply, as latin1 text. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { splitInline } from '../../lib/gateway/resp/inline.ts'
import type { Script } from './resp-body.ts'

/** By script name: line and reply. */
export type Transcript = Readonly<Record<string, readonly (readonly [line: string, reply: string])[]>>

export async function transcriptOf(port: number, scripts: readonly Script[]): Promise<Transcript> {
  const out: Record<string, readonly (readonly [string, string])[]> = {}
  for (const script of scripts) out[script.name] = await play(port, script)
  return out
}

async function play(
  port: number,
  { lines = [], raw, isResp3 }: Script,
): Promise<readonly (readonly [string, string])[]> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const reader = new Reader(socket)
  const exchange = async (line: string): Promise<string> => {
    const words = (splitInline(Buffer.from(line, 'latin1')) ?? []).map(word => word.toString('latin1'))
    return await reader.exchange(request(words))
  }
  try {
    if (raw !== undefined) {
      socket.end(Buffer.from(raw, 'latin1'))
      return [[raw.slice(0, 80), await reader.rest()]]
    }
    await exchange('FLUSHALL')
    if (isResp3 === true) await exchange('HELLO 3')
    const replies: (readonly [string, string])[] = []
    for (const line of lines) replies.push([line, await exchange(line)])
    return replies
  } finally {
    socket.destroy()
  }
}

function request(words: readonly string[]): Buffer {
  return Buffer.from(`*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join('')}`, 'latin1')
}

export class Reader {
  readonly #socket: Socket
  #text = ''
  #isClosed = false
  #sentinel = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => (this.#text += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => (this.#isClosed = true))
    socket.on('end', () => (this.#isClosed = true))
  }

  /** The reply ends where that of an ECHO behind it begins, or with the connection. */
  async exchange(command: Buffer): Promise<string> {
    const word = `sentinel-${this.#sentinel++}`
    const echoed = `$${word.length}\r\n${word}\r\n`
    this.#socket.write(Buffer.concat([command, request(['ECHO', word])]))
    await this.#until(() => this.#text.endsWith(echoed))
    const reply = this.#text.endsWith(echoed) ? this.#text.slice(0, -echoed.length) : this.#text
    this.#text = ''
    return reply
  }

  destroy(): void {
    this.#socket.destroy()
  }

  async rest(): Promise<string> {
    await this.#until(() => false)
    return this.#text
  }

  async #until(isThere: () => boolean): Promise<void> {
    while (!isThere() && !this.#isClosed) {
      await new Promise<void>(resolve => {
        const look = (): void => {
          for (const event of ['data', 'close', 'end']) this.#socket.off(event, look)
          resolve()
        }
        for (const event of ['data', 'close', 'end']) this.#socket.once(event, look)
      })
    }
  }
}
