/** A source tree as text: what the style rules look at, be it this repository or a planted one. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Path from the root, with `/`, to its text: `lib/base/hash.ts` -> `export function ...`. In the order of the paths. */
export type Tree = ReadonlyMap<string, string>

/** What tools write and git ignores. */
const ignored = new Set(['.git', 'node_modules', 'dist', 'coverage'])
/** The only files whose text is not looked at: nothing in them was written by hand. */
const opaque = /\.(png|gif|ico|woff2|tgz|tsbuildinfo)$/

/** Reads the tree at `root`. */
export function readTree(root: string): Tree {
  const paths = readdirSync(root, { withFileTypes: true })
    .filter(entry => !ignored.has(entry.name))
    .flatMap(entry => (entry.isDirectory() ? filesBelow(root, entry.name) : [entry.name]))
    .filter(path => !opaque.test(path))
  return new Map(paths.toSorted().map(path => [path, readFileSync(join(root, path), 'utf8')]))
}

function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? filesBelow(root, path) : [path]
  })
}
