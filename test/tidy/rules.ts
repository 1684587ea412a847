/**
 * The style rules that no tool knows, each a function from a tree to what breaks it. Layers and their purity are listed here and nowhere else.
 */
import { posix } from 'node:path'
import { codeOf, importsOf } from './source.ts'
import type { Tree } from './tree.ts'

export interface Violation {
  /** Path from the root. */
  readonly path: string
  /** What is wrong, for example `imports lib/grid/map.ts`. */
  readonly reason: string
}

export interface Rule {
  /** The rule as a sentence. */
  readonly name: string
  readonly check: (tree: Tree) => readonly Violation[]
}

/** The folders of lib, foundation first: an import points only to the same folder or one named before it. */
const layers = [
  'base',
  'transport',
  'membership',
  'consensus',
  'placement',
  'replication',
  'structures',
  'peer',
  'grid',
  'flow',
  'connectors',
  'gateway',
]
const pureLayers = new Set(['base', 'membership', 'consensus', 'placement', 'replication', 'structures'])
const linesMax = 400

const topLevel = new Set(
  'lib bin sim test package.json package-lock.json tsconfig.json vitest.config.ts README.md LICENSE CHANGELOG.md'.split(
    ' ',
  ),
)
const wordsToAvoid = new Set([
  'manager',
  'util',
  'utils',
  'helper',
  'helpers',
  'data',
  'info',
  'handle',
  'process',
  'do',
])

/** What pure code must not say: it would not replay, or would wait. */
const impure =
  /\b(?:Date|Math\.random|performance|crypto|process|console|Promise|async|await|setTimeout|setInterval|setImmediate|queueMicrotask|structuredClone|fetch|Buffer|WeakRef|FinalizationRegistry|Intl)\b(?!\s*\??:)/g
/** What the rest of lib takes from its ports. */
const ambient = /\b(?:Date\.now\b|Math\.random\b|performance\.now\b|new Date\(\s*\))/g
/** Names of one person's machine, or of a place packages come from. */
const machine =
  /(?:^|[\s'"`(=:])(?:\/(?:home|root|Users|work)\/\w|[A-Z]:\\Users\\)|\bregistry\.npmjs\.org\b|\blocalhost:4873\b/

export const rules: readonly Rule[] = [
  {
    name: 'an import in lib points to its own layer or one below, and never to bin, sim or test',
    check: tree => eachImport(tree, 'lib/', upwards),
  },
  {
    name: 'pure code imports pure code only',
    check: tree => eachImport(tree, 'lib/', (from, to) => isPure(from) && !isPure(to)),
  },
  {
    name: 'sim imports lib and itself only',
    check: tree => eachImport(tree, 'sim/', (_, to) => /^(?:bin|test)\//.test(to)),
  },
  {
    name: 'shipped code imports no test',
    check: tree => eachImport(tree, 'bin/', (_, to) => to.startsWith('test/')),
  },
  {
    name: 'only lib/index.ts gathers exports',
    check: tree =>
      each(
        tree,
        path => /^(?:lib|bin|sim)\/.*\bindex\.ts$/.test(path) && path !== 'lib/index.ts',
        () => ['is a barrel'],
      ),
  },
  {
    name: 'every folder of lib is a layer',
    check: tree =>
      each(
        tree,
        path => path.startsWith('lib/') && path.split('/').length > 2,
        path => (layers.includes(layerOf(path)) ? [] : [`${layerOf(path)} has no place in the list of layers`]),
      ),
  },
  {
    name: 'pure code has no clock, randomness, promise or I/O',
    check: tree =>
      each(
        tree,
        path => isSource(path) && isPure(path),
        (_, text) => codeOf(text).match(impure) ?? [],
      ),
  },
  {
    name: 'lib takes time and randomness from its ports',
    check: tree =>
      each(
        tree,
        path => isSource(path) && path.startsWith('lib/') && !path.startsWith('lib/peer/'),
        (_, text) => codeOf(text).match(ambient) ?? [],
      ),
  },
  {
    name: 'the simulator has no clock and no randomness but its own',
    check: tree =>
      each(
        tree,
        path => isSource(path) && path.startsWith('sim/'),
        (_, text) => codeOf(text).match(ambient) ?? [],
      ),
  },
  {
    name: `a source file has at most ${linesMax} lines`,
    check: tree =>
      each(tree, isSource, (_, text) => {
        const lineCount = text.trimEnd().split('\n').length
        return lineCount > linesMax ? [`has ${lineCount} lines`] : []
      }),
  },
  {
    name: 'a source file says what it is',
    check: tree =>
      each(
        tree,
        path => isSource(path) && !path.startsWith('test/'),
        (_, text) => (text.includes('/**') ? [] : ['has no doc comment']),
      ),
  },
  {
    name: 'a file is named by a noun in kebab-case',
    check: tree =>
      each(tree, isSource, path => {
        const stem = posix.basename(path).replace(/(?:\.(?:test|bench|config|d|test-d))?\.ts$/, '')
        if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(stem)) return ['is not kebab-case']
        return stem.split('-').filter(word => wordsToAvoid.has(word))
      }),
  },
  {
    name: 'the top level holds what tools demand and nothing else',
    check: tree =>
      each(
        tree,
        path => !path.startsWith('.') && !topLevel.has(path.split('/')[0] ?? ''),
        () => ['has no place at the top level'],
      ),
  },
  {
    name: 'nothing names a machine or a registry',
    check: tree =>
      each(
        tree,
        () => true,
        (_, text) => text.match(machine)?.slice(0, 1) ?? [],
      ),
  },
  {
    name: 'dependencies are pinned exactly',
    check: tree =>
      each(
        tree,
        path => path === 'package.json',
        (_, text) => unpinned(JSON.parse(text) as Record<string, Record<string, string>>),
      ),
  },
]

function upwards(from: string, to: string): boolean {
  if (!to.startsWith('lib/')) return /^(?:bin|sim|test)\//.test(to)
  if (from === 'lib/index.ts') return false
  return to === 'lib/index.ts' || layers.indexOf(layerOf(to)) > layers.indexOf(layerOf(from))
}

function unpinned(manifest: Record<string, Record<string, string>>): string[] {
  return ['dependencies', 'devDependencies', 'optionalDependencies']
    .flatMap(group => Object.entries(manifest[group] ?? {}))
    .filter(([, range]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(range))
    .map(([name, range]) => `${name} is ${range}`)
}

/** `lib/base/hash.ts` -> `base`. */
function layerOf(path: string): string {
  return path.split('/')[1] ?? ''
}

function isPure(path: string): boolean {
  return path.startsWith('lib/') && pureLayers.has(layerOf(path))
}

function isSource(path: string): boolean {
  return /^(?:lib|bin|sim|test)\/.*\.ts$/.test(path)
}

function each(
  tree: Tree,
  applies: (path: string) => boolean,
  reasons: (path: string, text: string) => readonly string[],
): Violation[] {
  return [...tree]
    .filter(([path]) => applies(path))
    .flatMap(([path, text]) => [...new Set(reasons(path, text))].map(reason => ({ path, reason })))
}

/** One violation for each import in the sources below `folder` for which `isWrong(importer, imported)`; a package keeps its bare name. */
function eachImport(tree: Tree, folder: string, isWrong: (from: string, to: string) => boolean): Violation[] {
  return each(
    tree,
    path => isSource(path) && path.startsWith(folder),
    (path, text) =>
      importsOf(text)
        .map(name => (name.startsWith('.') ? posix.join(posix.dirname(path), name) : name))
        .filter(name => isWrong(path, name))
        .map(name => `imports ${name}`),
  )
}
