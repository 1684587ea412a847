/**
 * Lines to files, exactly once on one file system (file-page.ts says how). `file('out/deliveries.ndjson')` publishes
 * `out/deliveries.<era>.<partition>.<fence>.ndjson`, each with whole committed lines alone, growing while its writer lives;
 * together they are the output, read them as `deliveries*.ndjson`. Beside them lie `.part` files, which are not output.
 *
 * Decision: several files instead of one, because one file has one writer, and whoever takes over from a writer that only
 * seems dead must be sure of what it finds. Order across files is not kept; within a message group it is, where the group's
 * partition stays with its writer.
 */
import { basename, dirname, extname, join } from 'node:path'
import type { MemberId, PartitionId } from '../../base/ids.ts'
import { ConflictError } from '../../base/errors.ts'
import { durationMs, type Duration } from '../../grid/duration.ts'
import type { AnyMessage, Message } from '../../flow/message.ts'
import type { Departure, OpenJournal, Target, TargetHost, Written } from '../../flow/ports.ts'
import { reasonOf } from '../../flow/errors.ts'
import { Page, pageRecords, takeOver, type FoundRecord, type PageTerms } from './page.ts'
import { isMissing, nodeFiles, type FileSystem } from './system.ts'
import type { Version } from '../../structures/cases.ts'

export interface FileTargetOptions<Body> {
  /** One record, with its line end. Default: the body as a line of JSON. */
  readonly format?: ((message: Message<Body>) => string | Uint8Array) | undefined
  /** When bytes are forced to the disk: 'publish' before a part is let go of (default), 'commit' before each commit, 'never'. A killed process loses nothing in any case, a machine without power may. */
  readonly sync?: PageTerms['sync'] | undefined
  /** How long committed lines may wait to be published. Default '500ms'. */
  readonly publish?: Duration | undefined
  /** A longer file is finished and another begun. Default 64 MiB. */
  readonly bytesMax?: number | undefined
  readonly files?: FileSystem | undefined
}

const bytesMaxDefault = 64 * 1024 * 1024
/** Records looked at by one sweep of a partition. */
const recordsMax = 100
const encoder = new TextEncoder()

export function fileTarget<Body>(path: string, options: FileTargetOptions<Body> = {}): Target<Body> {
  const { format, sync = 'publish', publish = '500ms', bytesMax = bytesMaxDefault, files = nodeFiles } = options
  const publishMs = durationMs(publish, 'publish')
  return {
    edge: 'target',
    kind: 'file',
    style: 'journal',
    settings: { path, sync, publishMs, bytesMax, format: String(format) },
    open: async host => {
      await files.makeFolder(dirname(path))
      const formatted = (format ?? jsonLine) as (message: AnyMessage) => string | Uint8Array
      return new FileJournal(host, { path, sync, publishMs, bytesMax, files, format: formatted })
    },
  }
}

interface Settings {
  readonly path: string
  readonly sync: PageTerms['sync']
  readonly publishMs: number
  readonly bytesMax: number
  readonly files: FileSystem
  readonly format: (message: AnyMessage) => string | Uint8Array
}

class FileJournal implements OpenJournal {
  readonly #host: TargetHost
  readonly #settings: Settings
  readonly #map: string
  readonly #pages = new Map<PartitionId, Page>()
  readonly #changed = new Set<Page>()
  #isPublishAsked = false
  #isSweeping = false

  constructor(host: TargetHost, settings: Settings) {
    this.#host = host
    this.#settings = settings
    this.#map = `file/${settings.path}`
  }

  async write(partition: PartitionId, departures: readonly Departure[]): Promise<Written> {
    const lines = departures.map(({ message }) => {
      const line = this.#settings.format(message)
      return typeof line === 'string' ? encoder.encode(line) : line
    })
    return await this.#page(partition).write(lines.length === 1 ? (lines[0] as Uint8Array) : Buffer.concat(lines))
  }

  /** Publishes what writers that are gone had committed. */
  async sweep(): Promise<void> {
    if (this.#isSweeping) return
    this.#isSweeping = true
    try {
      const { grid } = this.#host
      const live = new Set(grid.status().members.flatMap(each => (each.state === 'silent' ? [] : [each.member])))
      await Promise.all(grid.partitions.owned.map(partition => this.#sweepPartition(partition, live)))
      for (const page of this.#pages.values()) if (page.isAbandoned) await page.recover().catch(() => undefined)
    } finally {
      this.#isSweeping = false
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pages].map(([partition, page]) => this.#closePage(partition, page)))
    this.#pages.clear()
  }

  /** What cannot be published now is committed all the same: whoever owns the partition then publishes it. */
  async #closePage(partition: PartitionId, page: Page): Promise<void> {
    try {
      await page.close()
    } catch (error) {
      // A conflict: somebody has taken it over, and published it.
      if (!(error instanceof ConflictError))
        this.#host.log('warn', 'file.close-failed', { partition, reason: reasonOf(error) })
    }
  }

  async #sweepPartition(partition: PartitionId, live: ReadonlySet<MemberId>): Promise<void> {
    const { grid } = this.#host
    try {
      const query = { kind: 'map.entries', map: this.#map, max: recordsMax } as const
      const [entries] = (await grid.partitions.ask(partition, query)) as unknown as readonly [
        readonly (readonly [key: string, value: Uint8Array, version: Version])[],
      ]
      for (const [key, value, version] of entries) {
        if (live.has(key)) continue
        const found: FoundRecord = { ...pageRecords.decode(value), version }
        await takeOver(this.#terms(partition), key, found)
        this.#host.log('info', 'file.part-taken-over', { partition, from: key, bytes: found.length })
      }
    } catch (error) {
      // It moved, another was quicker, there is no quorum: the next sweep looks again.
      if (isMissing(error))
        this.#host.log('error', 'file.part-missing', { partition, path: this.#settings.path, reason: reasonOf(error) })
    }
  }

  #page(partition: PartitionId): Page {
    let page = this.#pages.get(partition)
    if (page === undefined) this.#pages.set(partition, (page = new Page(this.#terms(partition))))
    return page
  }

  #terms(partition: PartitionId): PageTerms {
    const { path, sync, files, bytesMax } = this.#settings
    const extension = extname(path)
    const stem = join(dirname(path), basename(path, extension))
    return {
      grid: this.#host.grid,
      files,
      map: this.#map,
      partition,
      sync,
      bytesMax,
      part: (era, fence) => `${stem}.${era}.${partition}.${fence}.part`,
      published: (era, fence) => `${stem}.${era}.${partition}.${fence}${extension}`,
      changed: page => this.#publishSoon(page),
    }
  }

  #publishSoon(page: Page): void {
    this.#changed.add(page)
    if (this.#isPublishAsked) return
    this.#isPublishAsked = true
    const { env } = this.#host
    env.at(env.now().monotonicMs + this.#settings.publishMs, () => {
      this.#isPublishAsked = false
      const pages = [...this.#changed]
      this.#changed.clear()
      for (const each of pages)
        each.publish().catch((error: unknown) => {
          this.#host.log('error', 'file.publish-failed', { path: this.#settings.path, reason: reasonOf(error) })
          this.#publishSoon(each)
        })
    })
  }
}

function jsonLine({ body }: AnyMessage): string {
  return `${JSON.stringify(body)}\n`
}
