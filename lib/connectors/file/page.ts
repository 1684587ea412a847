/**
 * What one member writes to a file target from one partition, while it is its writer: a part, to which lines go before
 * they count, and a published file, to which they go once they do. How far they count is a record in the partition, replaced
 * in the same commit as the messages' acknowledgement; its version is the fence: a writer that was taken over is refused.
 *
 * Invariant: published bytes are the first ones of the part, at the same places, and no more than were committed. So
 * whoever publishes, the writer or a successor, or both at once, writes the same bytes to the same places, and a writer that
 * was stopped in between does no harm when it wakes.
 */
import type { PartitionId } from '../../base/ids.ts'
import type { Plain } from '../../base/shape.ts'
import type { Grid } from '../../grid/handles.ts'
import { values, type ValueCodec } from '../../grid/values.ts'
import type { Written } from '../../flow/ports.ts'
import type { Version } from '../../structures/cases.ts'
import type { StructureOperation } from '../../structures/operations.ts'
import type { FileSystem, OpenFile } from './system.ts'

/** `fence` 0: that of the record's own version, since nothing was committed after it was opened. */
export interface PageRecord {
  readonly fence: number
  /** Bytes of the part that count. */
  readonly length: number
  /**
   * Whose fences these are: each founding begins them anew, and a full stop carries the record into another cluster. Files
   * of two eras lie beside each other, and a fence of both names two of them.
   */
  readonly era: string
}

export interface PageTerms {
  readonly grid: Grid
  readonly files: FileSystem
  /** Of the records. */
  readonly map: string
  readonly partition: PartitionId
  /** 'never', 'publish': before a part is let go of, 'commit': before each commit. */
  readonly sync: 'never' | 'publish' | 'commit'
  /** A part that is longer is closed, and the next one begun. */
  readonly bytesMax: number
  part(era: string, fence: number): string
  published(era: string, fence: number): string
  /** There are committed bytes to publish. */
  changed(page: Page): void
}

export const pageRecords: ValueCodec<PageRecord> = values<PageRecord>()

interface Open {
  readonly key: string
  readonly era: string
  readonly fence: number
  readonly file: OpenFile
  /** Undefined: nothing was published yet. */
  out: OpenFile | undefined
  version: Version
  /** Committed. */
  length: number
  /** published <= length. */
  published: number
  /** Committed and not yet published, in order. */
  waiting: Uint8Array[]
}

export class Page {
  readonly #terms: PageTerms
  #open: Open | undefined
  /** Its record may stand for bytes that are not published. */
  #isAbandoned = false
  /** Whoever wants to write stands in line. */
  #line: Promise<void> = Promise.resolve()

  constructor(terms: PageTerms) {
    this.#terms = terms
  }

  /** Writes behind what is committed. The page is this caller's until the commit's fate is told. */
  async write(bytes: Uint8Array): Promise<Written> {
    const release = await this.#enter()
    try {
      const open = (this.#open ??= await this.#begin())
      await open.file.write(bytes, open.length)
      if (this.#terms.sync === 'commit') await open.file.sync()
      return this.#written(open, bytes, release)
    } catch (error) {
      await this.#abandon()
      release()
      throw error
    }
  }

  /** Brings out what was committed. */
  async publish(): Promise<void> {
    const release = await this.#enter()
    try {
      if (this.#open === undefined) return
      await this.#flush(this.#open)
      if (this.#open.length >= this.#terms.bytesMax) await this.#finish(this.#open)
    } finally {
      release()
    }
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** Publishes what was committed before this page was abandoned. */
  async recover(): Promise<void> {
    const release = await this.#enter()
    try {
      if (this.#open !== undefined || !this.#isAbandoned) return
      const { grid, map, partition } = this.#terms
      const key = grid.member
      const found = await readRecord(grid, map, partition, key)
      if (found !== undefined) await takeOver(this.#terms, key, found)
      this.#isAbandoned = false
    } finally {
      release()
    }
  }

  /** Everything committed is published, and nothing is left to take over. */
  async close(): Promise<void> {
    const release = await this.#enter()
    try {
      if (this.#open !== undefined) await this.#finish(this.#open)
    } finally {
      release()
    }
  }

  #written(open: Open, bytes: Uint8Array, release: () => void): Written {
    const length = open.length + bytes.length
    return {
      operation: putRecord(
        this.#terms.map,
        open.key,
        { fence: open.fence, length, era: open.era },
        { ifVersion: open.version },
      ),
      committed: result => {
        open.version = versionOf(result)
        open.length = length
        open.waiting.push(bytes)
        release()
        this.#terms.changed(this)
      },
      refused: async () => {
        if (!(await this.#isMine(open))) await this.#abandon()
        release()
      },
      unknown: async () => {
        // The next writer of this page begins a new part with a commit of its own, which settles the fate of this one.
        await this.#abandon()
        release()
      },
    }
  }

  async #begin(): Promise<Open> {
    const { grid, files, map, partition } = this.#terms
    const key = grid.member
    const before = await readRecord(grid, map, partition, key)
    if (before !== undefined) await takeOver(this.#terms, key, before)
    const record = putRecord(map, key, { fence: 0, length: 0, era: '' }, { ifAbsent: true })
    const [result] = await grid.partitions.run(partition, [record])
    const version = versionOf(result)
    const fence = fenceOf(version)
    const era = eraOf(grid)
    const file = await files.open(this.#terms.part(era, fence), 'create')
    this.#isAbandoned = false
    return { key, era, fence, file, out: undefined, version, length: 0, published: 0, waiting: [] }
  }

  async #isMine(open: Open): Promise<boolean> {
    const { grid, map, partition } = this.#terms
    try {
      const found = await readRecord(grid, map, partition, open.key)
      return found !== undefined && fenceOf(found.version) === fenceOf(open.version)
    } catch {
      return false
    }
  }

  /** What is committed and not published is left to whoever takes the record over: this member, at its next write. */
  async #abandon(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    this.#isAbandoned = true
    await open?.file.close()
    await open?.out?.close()
  }

  async #finish(open: Open): Promise<void> {
    const { files, grid, map, partition, sync } = this.#terms
    await this.#flush(open)
    if (sync !== 'never') await open.out?.sync()
    await grid.partitions.run(partition, [{ kind: 'map.delete', map, key: open.key, ifVersion: open.version }])
    await this.#abandon()
    this.#isAbandoned = false
    await files.remove(this.#terms.part(open.era, open.fence))
  }

  async #flush(open: Open): Promise<void> {
    const { waiting } = open
    if (waiting.length === 0) return
    open.out ??= await this.#terms.files.open(this.#terms.published(open.era, open.fence), 'create')
    const bytes = waiting.length === 1 ? (waiting[0] as Uint8Array) : Buffer.concat(waiting)
    await open.out.write(bytes, open.published)
    open.waiting = []
    open.published += bytes.length
  }

  async #enter(): Promise<() => void> {
    const before = this.#line
    let release = (): void => undefined
    this.#line = new Promise(resolve => (release = resolve))
    await before
    return release
  }
}

export interface FoundRecord extends PageRecord {
  readonly version: Version
}

/**
 * Ends another writer's tenure and publishes what it had committed: the rest of its part counts for nothing. May be called
 * for a writer that still lives; its next commit is refused. Nothing happens if the record has changed meanwhile.
 */
export async function takeOver(terms: PageTerms, key: string, found: FoundRecord): Promise<void> {
  const { grid, files, map, partition } = terms
  const isUnused = found.fence === 0
  const fence = isUnused ? fenceOf(found.version) : found.fence
  const era = isUnused ? eraOf(grid) : found.era
  // First the fence, then the bytes: from here on the length is final.
  const sealed = putRecord(map, key, { fence, length: found.length, era }, { ifVersion: found.version })
  const [result] = await grid.partitions.run(partition, [sealed])
  await publishRest(terms, era, fence, found.length)
  await grid.partitions.run(partition, [{ kind: 'map.delete', map, key, ifVersion: versionOf(result) }])
  await files.remove(terms.part(era, fence))
}

async function publishRest(terms: PageTerms, era: string, fence: number, length: number): Promise<void> {
  const { files, sync } = terms
  const path = terms.published(era, fence)
  const published = (await files.stat(path))?.size ?? 0
  if (published >= length) return
  const part = await files.open(terms.part(era, fence), 'existing')
  const out = await files.open(path, 'create')
  try {
    for (let at = published; at < length;) {
      const bytes = await part.read(at, Math.min(length - at, copyBytes))
      if (bytes.length === 0) throw new Error(`${terms.part(era, fence)} ends at ${at}, ${length} bytes of it count`)
      await out.write(bytes, at)
      at += bytes.length
    }
    if (sync !== 'never') await out.sync()
  } finally {
    await part.close()
    await out.close()
  }
}

const copyBytes = 1 << 20

export async function readRecord(
  grid: Grid,
  map: string,
  partition: PartitionId,
  key: string,
): Promise<FoundRecord | undefined> {
  const found = await grid.partitions.ask(partition, { kind: 'map.get', map, key })
  if (found === null) return undefined
  const [value, version] = found as unknown as readonly [Uint8Array, Version]
  return { ...pageRecords.decode(value), version }
}

function putRecord(
  map: string,
  key: string,
  record: PageRecord,
  condition: { readonly ifVersion: Version } | { readonly ifAbsent: true },
): StructureOperation {
  return { kind: 'map.put', map, key, value: pageRecords.encode(record), ...condition }
}

function versionOf(result: Plain | undefined): Version {
  return (result as unknown as readonly [Version])[0]
}

/** Of the cluster that this member belongs to now: the head of its id. */
function eraOf(grid: Grid): string {
  return grid.status().cluster.slice(0, eraLength)
}

/** Of 36 signs each: two foundings of one folder that agree are never seen. */
const eraLength = 8

/** One growing number, as tokens are: the epoch above, the entry below. Entries of one command never make two. */
export function fenceOf([epoch, index]: Version): number {
  return epoch * 2 ** 32 + index
}
