/**
 * What the last peer of a cluster leaves behind, so that a full stop loses nothing: `.skein/<cluster>-<name>.<time>.spool`
 * in the working folder, readable by its owner alone; `grid.spool()` has the checksums. The next start in that folder
 * loads each spool of its cluster, once, and deletes it. A damaged one is refused, not skipped: what it holds was accepted.
 */
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidError, MalformedError } from '../../lib/base/errors.ts'
import type { Grid } from '../../lib/grid/handles.ts'

export const spoolFolder = '.skein'

/** Without anything between them nothing is stored. */
const headerAndEnd = 2

/** Resolves with the path once the bytes are on the disk; undefined where nothing is stored. */
export async function writeSpool(grid: Grid, folder: string = spoolFolder): Promise<string | undefined> {
  const path = join(folder, `${grid.clusterName}-${grid.name}.${grid.now().wallMs}.spool`)
  const draft = `${path}.part`
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = await open(draft, 'wx', 0o600)
  let chunkCount = 0
  try {
    for await (const chunk of grid.spool()) {
      await file.writeFile(chunk)
      chunkCount++
    }
    await file.sync()
  } finally {
    await file.close()
  }
  if (chunkCount === headerAndEnd) {
    await rm(draft)
    return undefined
  }
  await rename(draft, path)
  return path
}

/** Loads what earlier stops of this cluster left in the folder. Resolves with the number of records. */
export async function loadSpools(grid: Grid, folder: string = spoolFolder): Promise<number> {
  let recordCount = 0
  for (const name of (await readdir(folder).catch((): string[] => [])).toSorted()) {
    if (!name.startsWith(`${grid.clusterName}-`) || !name.endsWith('.spool')) continue
    const path = join(folder, name)
    try {
      recordCount += await grid.load(createReadStream(path))
    } catch (error) {
      // Another peer of this folder was faster.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      if (!(error instanceof MalformedError)) throw error
      throw new InvalidError(`${path}: ${error.message}; move it away to start without what it holds`, { cause: error })
    }
    await rm(path, { force: true })
  }
  return recordCount
}
