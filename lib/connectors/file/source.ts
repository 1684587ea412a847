/**
 * Files as a source: `file.lines('inbox/*.ndjson')`, `file.each('inbox/*.xml')`. One member at a time looks through the
 * folder; how far it read each file is committed together with the messages that it read, so that a failover neither
 * skips nor repeats a line. A file is whole once it has not changed for a while; then it is kept, moved or removed, after
 * the commit that says it is done: what is done is never read again, also if its removal failed.
 */
import { basename, dirname, join } from 'node:path'
import { InvalidError } from '../../base/errors.ts'
import { InvalidMessageError, reasonOf } from '../../flow/errors.ts'
import type { Arrival, Source, SourceHost } from '../../flow/ports.ts'
import type { Schema } from '../../flow/schema.ts'
import { sleep } from '../../flow/pause.ts'
import { durationMs, type Duration } from '../../grid/duration.ts'
import { values } from '../../grid/values.ts'
import type { StructureOperation } from '../../structures/operations.ts'
import type { Version } from '../../structures/cases.ts'
import { nodeFiles, type FileStat, type FileSystem } from './system.ts'
import { openOnOneMember, type Held } from '../one-member.ts'

export interface FileSourceOptions<Body> {
  readonly body?: Schema<Body> | undefined
  /** Default 'json' for lines and '.json' files, else 'text'. */
  readonly format?: 'json' | 'text' | undefined
  /** Between looks. Default '1s'. */
  readonly poll?: Duration | undefined
  /** A file that has not changed for so long is whole. Default '2s'. */
  readonly settle?: Duration | undefined
  /** What becomes of a file that is done: 'keep' (default), 'remove', or a folder to move it to. */
  readonly after?: 'keep' | 'remove' | { readonly move: string } | undefined
  /** A line, or a file of `each`, that is longer is skipped, and reported once by an error in the log. Default 1 MiB. */
  readonly bytesMax?: number | undefined
  readonly files?: FileSystem | undefined
}

interface Settings {
  readonly pattern: string
  readonly isLines: boolean
  readonly isJson: boolean
  readonly pollMs: number
  readonly settleMs: number
  readonly after: NonNullable<FileSourceOptions<unknown>['after']>
  readonly bytesMax: number
}

/** How far a file was read. */
interface Reached {
  readonly inode: number
  readonly size: number
  readonly modifiedMs: number
  readonly offset: number
  readonly isDone: boolean
}

/** Lines of one commit. */
const linesMax = 500
/** Read at once where the end of a line is looked for that is too long. */
const searchBytes = 1 << 20
const codec = values<Reached>()
const decoder = new TextDecoder()

export function fileSource<Body = unknown>(
  pattern: string,
  isLines: boolean,
  options: FileSourceOptions<Body> = {},
): Source<Body> {
  const { body, format, poll = '1s', settle = '2s', after = 'keep', bytesMax = 1 << 20, files = nodeFiles } = options
  if (dirname(pattern).includes('*')) throw new InvalidError(`'${pattern}': only the file's name may have a '*'`)
  const settings: Settings = {
    pattern,
    isLines,
    isJson: (format ?? (isLines || pattern.endsWith('.json') ? 'json' : 'text')) === 'json',
    pollMs: durationMs(poll, 'poll'),
    settleMs: durationMs(settle, 'settle'),
    after,
    bytesMax,
  }
  return {
    edge: 'source',
    kind: 'file',
    settings: { ...settings },
    schema: body,
    open: host =>
      openOnOneMember(host, pattern, name => {
        const reader = new FolderReader(host, name, settings, files)
        return held => reader.run(held)
      }),
  }
}

class FolderReader {
  readonly #host: SourceHost
  readonly #name: string
  readonly #settings: Settings
  readonly #files: FileSystem
  readonly #matches: RegExp

  constructor(host: SourceHost, name: string, settings: Settings, files: FileSystem) {
    this.#host = host
    this.#name = name
    this.#settings = settings
    this.#files = files
    const escaped = basename(settings.pattern).replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    this.#matches = new RegExp(`^${escaped.replaceAll('*', '.*')}$`)
  }

  async run(held: Held): Promise<void> {
    const folder = dirname(this.#settings.pattern)
    while (!held.signal.aborted) {
      if (!this.#host.isPaused)
        for (const name of (await this.#files.list(folder)).filter(each => this.#matches.test(each)))
          if (!held.signal.aborted) await this.#look(held, join(folder, name))
      await sleep(this.#host.env, this.#settings.pollMs, held.signal)
    }
  }

  async #look(held: Held, path: string): Promise<void> {
    const stat = await this.#files.stat(path)
    if (stat === undefined || !stat.isFile) return
    const found = await this.#reached(path)
    const reached = found !== undefined && isSame(found.value, stat) ? found.value : undefined
    if (reached?.isDone === true && !hasGrown(reached, stat, this.#settings)) return await this.#dispose(path, found)
    const isSettled = this.#host.env.now().wallMs - stat.modifiedMs >= this.#settings.settleMs
    if (this.#settings.isLines)
      await this.#readLines(held, path, stat, { found, from: reached?.offset ?? 0, isSettled })
    else if (isSettled) await this.#readWhole(held, path, stat, found)
  }

  async #readLines(
    held: Held,
    path: string,
    stat: FileStat,
    { found, from, isSettled }: { found: Found | undefined; from: number; isSettled: boolean },
  ): Promise<void> {
    let before = found
    for (let offset = from; !held.signal.aborted;) {
      const file = await this.#files.open(path, 'existing')
      const bytes = await file.read(offset, this.#settings.bytesMax + 1).finally(() => file.close())
      const isEnd = offset + bytes.length >= stat.size
      const isTooLong = bytes.length > this.#settings.bytesMax && bytes.indexOf(10) < 0
      const lines = isTooLong ? [] : splitLines(bytes, isEnd && isSettled, linesMax)
      if (lines.length === 0 && !isTooLong && !(isEnd && isSettled)) return
      const length = lines.reduce((sum, line) => sum + line.length, 0)
      const next = isTooLong ? await this.#lineEnd(held, path, stat, offset + bytes.length) : offset + length
      // Its end is still to be written: it is looked for again.
      if (isTooLong && next === stat.size && !isSettled) return
      if (isTooLong)
        this.#host.log('error', 'file.line-too-long', { path, offset, bytes: next - offset, ...this.#limit })
      const isDone = isSettled && next >= stat.size
      const arrivals: Arrival[] = []
      for (let at = offset, i = 0; i < lines.length; at += (lines[i] as Uint8Array).length, i++)
        arrivals.push(...(await this.#arrivals(path, stat, decoder.decode(lines[i]).replace(/\r?\n$/, ''), at)))
      before = await this.#commit(held, path, arrivals, before, { ...reachedAt(stat, next), isDone })
      offset = next
      if (isDone) return await this.#dispose(path, before)
      if (isEnd || next >= stat.size) return
    }
  }

  get #limit(): { readonly bytesMax: number } {
    return { bytesMax: this.#settings.bytesMax }
  }

  /** Behind the end of the line that goes on at an offset, or the end of the file. */
  async #lineEnd(held: Held, path: string, stat: FileStat, from: number): Promise<number> {
    const file = await this.#files.open(path, 'existing')
    try {
      for (let offset = from; offset < stat.size;) {
        held.signal.throwIfAborted()
        const bytes = await file.read(offset, Math.min(searchBytes, stat.size - offset))
        const at = bytes.indexOf(10)
        if (at >= 0) return offset + at + 1
        if (bytes.length === 0) break
        offset += bytes.length
      }
      return stat.size
    } finally {
      await file.close()
    }
  }

  async #readWhole(held: Held, path: string, stat: FileStat, found: Found | undefined): Promise<void> {
    const file = await this.#files.open(path, 'existing')
    const bytes = await file.read(0, this.#settings.bytesMax + 1).finally(() => file.close())
    let arrivals: readonly Arrival[] = []
    if (bytes.length <= this.#settings.bytesMax) arrivals = await this.#arrivals(path, stat, decoder.decode(bytes), 0)
    else this.#host.log('error', 'file.too-large', { path, ...this.#limit })
    const after = await this.#commit(held, path, arrivals, found, { ...reachedAt(stat, stat.size), isDone: true })
    await this.#dispose(path, after)
  }

  /** Empty for a blank line, and for what cannot be read: that is reported, and the rest of the file goes on. */
  async #arrivals(path: string, stat: FileStat, text: string, offset: number): Promise<readonly Arrival[]> {
    if (text.trim() === '') return []
    try {
      const value: unknown = this.#settings.isJson ? JSON.parse(text) : text
      const body = await this.#host.validated(value)
      const id = `${this.#host.flow}/${this.#host.source}/${basename(path)}/${stat.inode}.${Math.trunc(stat.modifiedMs)}`
      const file = { file: basename(path), offset: String(offset) }
      const isLine = this.#settings.isLines
      return [
        {
          id: isLine ? `${this.#host.flow}/${this.#host.source}/${basename(path)}/${stat.inode}@${offset}` : id,
          params: file,
          body,
        },
      ]
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof InvalidMessageError)) throw error
      this.#host.log('error', 'file.unreadable', { path, offset, reason: reasonOf(error) })
      return []
    }
  }

  async #commit(
    held: Held,
    path: string,
    arrivals: readonly Arrival[],
    before: Found | undefined,
    reached: Reached,
  ): Promise<Found> {
    const { partitions } = this.#host.grid
    const partition = partitions.of(this.#name)
    const condition = before === undefined ? { ifAbsent: true } : { ifVersion: before.version }
    const operations: StructureOperation[] = [
      { kind: 'lock.verify', lock: this.#name, token: held.fence },
      { kind: 'map.put', map: this.#name, key: basename(path), value: codec.encode(reached), ...condition },
    ]
    await this.#host.acceptAll(arrivals, { partition, operations })
    const found = await this.#reached(path)
    if (found === undefined) throw new Error('what was just committed is not there')
    return found
  }

  /** Done: what is to become of it, becomes of it; then its record goes too, unless the file stays. */
  async #dispose(path: string, found: Found | undefined): Promise<void> {
    const { after } = this.#settings
    if (after === 'keep' || found === undefined) return
    if (after === 'remove') await this.#files.remove(path)
    else {
      await this.#files.makeFolder(after.move)
      await this.#files.rename(path, join(after.move, basename(path)))
    }
    const { partitions } = this.#host.grid
    const operation = { kind: 'map.delete', map: this.#name, key: basename(path), ifVersion: found.version } as const
    await partitions.run(partitions.of(this.#name), [operation])
  }

  async #reached(path: string): Promise<Found | undefined> {
    const { partitions } = this.#host.grid
    const query = { kind: 'map.get', map: this.#name, key: basename(path) } as const
    const found = await partitions.ask(partitions.of(this.#name), query)
    if (found === null) return undefined
    const [value, version] = found as unknown as readonly [Uint8Array, Version]
    return { value: codec.decode(value), version }
  }
}

interface Found {
  readonly value: Reached
  readonly version: Version
}

function reachedAt(stat: FileStat, offset: number): Omit<Reached, 'isDone'> {
  return { inode: stat.inode, size: stat.size, modifiedMs: stat.modifiedMs, offset }
}

/** Not another file under the same name, nor one that was cut. */
function isSame(reached: Reached, stat: FileStat): boolean {
  return reached.inode === stat.inode && stat.size >= reached.offset
}

function hasGrown(reached: Reached, stat: FileStat, { isLines }: Settings): boolean {
  return isLines ? stat.size > reached.offset : stat.modifiedMs !== reached.modifiedMs
}

/** Whole lines with their ends, at most so many; the rest too if nothing will follow it. */
function splitLines(bytes: Uint8Array, isWhole: boolean, countMax: number): readonly Uint8Array[] {
  const lines: Uint8Array[] = []
  let from = 0
  while (lines.length < countMax) {
    const at = bytes.indexOf(10, from)
    if (at < 0) break
    lines.push(bytes.subarray(from, at + 1))
    from = at + 1
  }
  if (isWhole && from < bytes.length && lines.length < countMax && bytes.indexOf(10, from) < 0)
    lines.push(bytes.subarray(from))
  return lines
}
