/** The rules of style as tests: this tree keeps them, and each checker still finds the violation planted for it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { codeOf, importsOf } from './tidy/source.ts'
import { rules } from './tidy/rules.ts'
import { readTree } from './tidy/tree.ts'

const root = join(import.meta.dirname, '..')
const tree = readTree(root)

/** For each rule, by its name, files that break it and one that comes close and does not. */
const planted: Record<string, { readonly bad: Record<string, string>; readonly good: Record<string, string> }> = {
  'an import in lib points to its own layer or one below, and never to bin, sim or test': {
    bad: {
      'lib/base/a.ts': `import type { B } from '../placement/b.ts'`,
      'lib/grid/b.ts': `export { c } from '../../sim/c.ts'`,
      'lib/grid/c.ts': `import {\n  a,\n  b,\n} from '../../bin/c.ts'`,
      'lib/peer/d.ts': `const late = await import('../gateway/d.ts')`,
      'lib/peer/e.ts': `import '../index.ts'`,
    },
    good: {
      'lib/grid/a.ts': `// from '../gateway/a.ts'\nimport { b } from '../base/b.ts'\nimport { c } from './c.ts'`,
    },
  },
  'pure code imports pure code only': {
    bad: {
      'lib/consensus/a.ts': `import { readFile } from 'node:fs'`,
      'lib/base/b.ts': `import { pack } from 'msgpackr'`,
      'lib/structures/c.ts': `import type { Network } from '../transport/network.ts'`,
    },
    good: { 'lib/peer/a.ts': `import { readFile } from 'node:fs'` },
  },
  'sim imports lib and itself only': {
    bad: { 'sim/world.ts': `import { main } from '../bin/cli.ts'` },
    good: { 'sim/world.ts': `import { hash } from '../lib/base/hash.ts'` },
  },
  'shipped code imports no test': {
    bad: { 'bin/cli.ts': `import '../test/build.ts'` },
    good: { 'bin/cli.ts': `import '../sim/world.ts'` },
  },
  'only lib/index.ts gathers exports': { bad: { 'lib/base/index.ts': '' }, good: { 'lib/index.ts': '' } },
  'every folder of lib is a layer': { bad: { 'lib/shared/a.ts': '' }, good: { 'lib/grid/a.ts': '' } },
  'pure code has no clock, randomness, promise or I/O': {
    bad: {
      'lib/base/a.ts': 'const now = Date.now()',
      'lib/base/b.ts': 'const x = 1 / 2 // half\nsetTimeout(go, 1 / 3)',
      'lib/base/c.ts': 'export async function go() {}',
      'lib/base/d.ts': `const isBad = /'/.test(s) || Math.random() > 1 // '`,
    },
    good: {
      'lib/base/a.ts': `/** Never calls Date.now. */\nconst text = 'await'\nconst quote = /'/\nconst shape: { process: 1 } = p`,
    },
  },
  'lib takes time and randomness from its ports': {
    bad: { 'lib/grid/a.ts': 'const now = Date.now()', 'lib/flow/b.ts': 'const now = new Date()' },
    good: { 'lib/peer/clock.ts': 'const now = Date.now()', 'lib/grid/a.ts': 'const at = new Date(wallMs)' },
  },
  'the simulator has no clock and no randomness but its own': {
    bad: { 'sim/world.ts': 'const x = Math.random()' },
    good: { 'sim/world.ts': 'const x = prng.next()' },
  },
  'a source file has at most 400 lines': {
    bad: { 'sim/long.ts': 'x\n'.repeat(401) },
    good: { 'sim/long.ts': 'x\n'.repeat(400) },
  },
  'a source file says what it is': { bad: { 'lib/grid/a.ts': '// a' }, good: { 'lib/grid/a.ts': '/** A. */' } },
  'a file is named by a noun in kebab-case': {
    bad: { 'lib/base/orSet.ts': '', 'lib/base/hash-utils.ts': '' },
    good: { 'lib/base/or-set.ts': '', 'test/unit/or-set.test.ts': '' },
  },
  'the top level holds what tools demand and nothing else': {
    bad: { 'notes.md': '', 'scripts/a.sh': '' },
    good: { 'README.md': '', '.gitignore': '' },
  },
  'nothing names a machine or a registry': {
    bad: {
      'README.md': ['see ', 'home', 'ann', 'skein'].join('/'),
      'bin/a.ts': ['registry', 'npmjs', 'org'].join('.'),
    },
    good: { 'README.md': 'GET /v1/work/items, ./home/x' },
  },
  'dependencies are pinned exactly': {
    bad: { 'package.json': '{ "devDependencies": { "vitest": "^5.0.0" } }' },
    good: { 'package.json': '{ "dependencies": { "libp2p": "3.3.11" } }' },
  },
}

describe('this tree', () => {
  test.for(rules.map(rule => [rule.name, rule.check] as const))('%s', ([, check]) => {
    expect(check(tree)).toEqual([])
  })
})

describe('a planted violation is found', () => {
  test('for every rule', () => {
    expect(Object.keys(planted).toSorted()).toEqual(rules.map(rule => rule.name).toSorted())
  })

  test.for(rules.map(rule => [rule.name, rule.check] as const))('%s', ([name, check]) => {
    for (const [path, text] of Object.entries(planted[name]?.bad ?? {})) {
      expect(check(new Map([[path, text]])), path).toMatchObject([{ path }])
    }
    expect(check(new Map(Object.entries(planted[name]?.good ?? {})))).toEqual([])
  })
})

describe('the reader of sources', () => {
  test('tells comments, strings, templates and regular expressions from code', () => {
    const text = `a /* b */ + 'c' + "d" // e\nf(/g'/) / h + \`i\n\${j}\` + k`
    expect(codeOf(text).replaceAll(/\s+/g, '')).toBe('a++f()/h++k')
    expect(codeOf(text).split('\n')).toHaveLength(3)
  })

  test('finds every form of import', () => {
    const text = `import a from 'a'\nimport { b } from "b"\nimport type { C } from 'c'\nexport * from 'd'\nimport 'e'\nf(await import('f'))\nconst g = "import 'g'"`
    expect(importsOf(text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'].slice(0, 6))
  })
})

describe('tools', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-tidy-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const path of ['package.json', 'tsconfig.json', '.oxlintrc.json', 'test/tsconfig.pure.json', 'test/pure.d.ts']) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    copyFileSync(join(root, path), join(folder, path))
  }

  /** Writes `text` as the file `path` of the planted tree and runs a tool there; resolves to what it printed and its exit code. */
  function run(
    files: Record<string, string>,
    tool: string,
    args: readonly string[],
  ): { status: number | null; output: string } {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    const { status, stdout, stderr } = spawnSync(join(root, 'node_modules', '.bin', tool), args, {
      cwd: folder,
      encoding: 'utf8',
    })
    for (const path of Object.keys(files)) rmSync(join(folder, path))
    return { status, output: stdout + stderr }
  }

  test.for([
    [
      'node:*',
      `import { readFileSync } from 'node:fs'\nexport const text: string = readFileSync('x', 'utf8')`,
      'TS2591|TS2307',
    ],
    ['timers', 'setTimeout(() => {}, 1)', 'TS2304'],
    ['process', 'export const pid: number = process.pid', 'TS2580|TS2304|TS2591'],
    ['crypto', 'export const id: string = crypto.randomUUID()', 'TS2304'],
    ['console', `console.log('x')`, 'TS2584'],
    ['an import from outside', `export { x } from '../peer/x.ts'`, 'TS6307'],
    ['an enum', 'export enum Kind { a }', 'TS1294'],
    ['an inferred public type', 'export const x = Math.max(1, 2)', 'TS9010'],
  ] as const)('the compiler rejects %s in pure code', ([, text, code]) => {
    const files = { 'lib/base/planted.ts': text, 'lib/peer/x.ts': 'export const x: number = 1' }
    expect(run(files, 'tsc', ['-p', 'test/tsconfig.pure.json', '--pretty', 'false']).output).toMatch(
      new RegExp(`planted.ts.*error (${code})`),
    )
  })

  test('the compiler accepts pure code', () => {
    const text = 'export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)'
    expect(run({ 'lib/base/planted.ts': text }, 'tsc', ['-p', 'test/tsconfig.pure.json'])).toEqual({
      status: 0,
      output: '',
    })
  })

  test.for([
    ['lib/base/planted.ts', 'export const now: number = Date.now()', 'no-restricted-globals'],
    ['lib/base/planted.ts', 'setTimeout(() => {}, 1)', 'no-restricted-globals'],
    ['lib/base/planted.ts', 'export const x: object = structuredClone({})', 'no-restricted-globals'],
    ['lib/base/planted.ts', 'export const x: string = `${Math.random()}`', 'no-restricted-properties'],
    [
      'lib/base/planted.ts',
      `import { pack } from 'msgpackr'\nexport const x: unknown = pack(1)`,
      'no-restricted-imports',
    ],
    ['lib/base/planted.ts', `export const x: number = 'a'.localeCompare('b')`, 'no-restricted-properties'],
    ['lib/grid/planted.ts', 'export const now: number = Date.now()', 'no-restricted-properties'],
    ['sim/planted.ts', 'export const now: number = performance.now()', 'no-restricted-properties'],
    ['sim/planted.ts', 'setTimeout(() => {}, 1)', 'no-restricted-globals'],
    ['test/unit/base/planted.ts', 'setTimeout(() => {}, 1)', 'no-restricted-globals'],
    ['lib/grid/planted.ts', 'export default 1', 'no-default-export'],
    ['lib/grid/planted.ts', 'export const x: any = 1', 'no-explicit-any'],
    ['lib/grid/planted.ts', 'declare namespace A { const x: 1 }\nexport const y: number = A.x', 'no-namespace'],
    ['lib/grid/planted.ts', 'async function go(): Promise<void> {}\ngo()', 'no-floating-promises'],
    ['lib/grid/planted.ts', `export function go(): never {\n  throw 'x'\n}`, 'only-throw-error'],
    [
      'lib/grid/planted.ts',
      `export const f = (k: 'a' | 'b'): void => {\n  switch (k) {\n    case 'a':\n      break\n  }\n}`,
      'switch-exhaustiveness-check',
    ],
    ['test/planted.test.ts', `import { test } from 'vitest'\ntest.skip('x', () => {})`, 'no-disabled-tests'],
    ['test/planted.test.ts', `import { test } from 'vitest'\ntest.only('x', () => {})`, 'no-focused-tests'],
  ] as const)('oxlint rejects in %s: %s', ([path, text, rule]) => {
    expect(run({ [path]: text }, 'oxlint', ['--type-aware', '--deny-warnings', path])).toMatchObject({
      status: 1,
      output: expect.stringContaining(rule) as string,
    })
  })
})
