/** Which version this is. */
import { readFile } from 'node:fs/promises'

/** The version in the nearest package.json: two folders up from the emitted file, one from the source. */
export async function version(): Promise<string> {
  for (const path of ['../package.json', '../../package.json']) {
    const text = await readFile(new URL(path, import.meta.url), 'utf8').catch(() => undefined)
    if (text !== undefined) return (JSON.parse(text) as { version: string }).version
  }
  throw new Error('no package.json beside the program')
}
