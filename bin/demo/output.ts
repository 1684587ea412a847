/**
 * Watches the published output while it grows, to know when each delivery was there, and counts it anew from the disk at
 * the end. Both read the files alone, as any other program could.
 */
import { createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const lookMs = 400
const pieceBytes = 1024 * 1024

export class Output {
  readonly #folder: string
  /** When the output was first seen to hold a delivery, in ms of this process' clock. */
  readonly seenMs: Map<string, number> = new Map()
  /** Up to where a file was read, by inode, which stays when a file is renamed. */
  readonly #offsets = new Map<number, number>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.look()
        .catch(() => undefined)
        .finally(() => (this.#looking = undefined))
    }, lookMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async look(): Promise<void> {
    for (const name of await outputFiles(this.#folder)) await this.#readOn(join(this.#folder, name))
  }

  async #readOn(path: string): Promise<void> {
    const { ino, size } = await stat(path)
    let offset = this.#offsets.get(ino) ?? 0
    if (size <= offset) return
    const file = await open(path)
    try {
      while (offset < size) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, offset)
        const end = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1
        if (end === 0) return
        this.#saw(buffer.toString('utf8', 0, end))
        offset += end
        this.#offsets.set(ino, offset)
      }
    } finally {
      await file.close()
    }
  }

  #saw(lines: string): void {
    const nowMs = performance.now()
    for (const line of lines.split('\n')) {
      const id = idOf(line)
      if (id !== undefined && !this.seenMs.has(id)) this.seenMs.set(id, nowMs)
    }
  }
}

export interface Recount {
  /** Requests that got a 2xx. */
  readonly accepted: number
  /** Deliveries of which both halves were accepted. */
  readonly whole: number
  /** Different deliveries in the output. */
  readonly written: number
  /** Whole, and not in the output. */
  readonly lost: number
  /** Lines beyond the first of their delivery. */
  readonly writtenTwice: number
  /** Lines that are no JSON, or of no accepted delivery. */
  readonly strange: number
}

/** From `accepted.ndjson` and `deliveries*.ndjson` alone. */
export async function recount(folder: string): Promise<Recount> {
  const halves = new Map<string, Set<string>>()
  let accepted = 0
  for await (const line of linesIn(join(folder, 'accepted.ndjson'))) {
    const { id, half } = JSON.parse(line) as { readonly id: string; readonly half: string }
    const have = halves.get(id) ?? new Set()
    halves.set(id, have.add(half))
    accepted++
  }
  const lineCounts = new Map<string, number>()
  let strange = 0
  for (const name of await outputFiles(folder))
    for await (const line of linesIn(join(folder, name))) {
      const id = idOf(line)
      if (id === undefined || !halves.has(id)) strange++
      else lineCounts.set(id, (lineCounts.get(id) ?? 0) + 1)
    }
  const whole = [...halves].filter(([, have]) => have.size === 2).map(([id]) => id)
  const lost = whole.filter(id => !lineCounts.has(id)).length
  const writtenTwice = [...lineCounts.values()].reduce((sum, count) => sum + count - 1, 0)
  return { accepted, whole: whole.length, written: lineCounts.size, lost, writtenTwice, strange }
}

async function outputFiles(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter(name => /^deliveries.*\.ndjson$/.test(name)).toSorted()
}

async function* linesIn(path: string): AsyncIterable<string> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    if (line !== '') yield line
}

function idOf(line: string): string | undefined {
  if (line === '') return undefined
  try {
    const { id } = JSON.parse(line) as { readonly id?: unknown }
    return typeof id === 'string' ? id : undefined
  } catch {
    return undefined
  }
}
