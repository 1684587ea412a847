import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const launcher = join(root, 'bin', 'skein.ts')

/** Contents of the fenced blocks of a language. */
function blocks(language: string): readonly string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code]) => code as string,
  )
}

/** What runs each command of the README. `npm install` is how this very test came to run. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'npm install': [],
  'npx skein demo': ['demo', '--messages', '300'],
  'npx skein sim --seed 7': ['sim', '--seed', '7'],
}

describe('the README', () => {
  let folder: string
  beforeAll(() => {
    // Below the project, so that packages resolve as they do for a user.
    mkdirSync(join(root, 'node_modules', '.cache'), { recursive: true })
    folder = mkdtempSync(join(root, 'node_modules', '.cache', 'readme-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('has commands that this test knows, and no others', () => {
    const listed = blocks('sh').flatMap(block => block.trim().split('\n'))
    expect(listed).toEqual(Object.keys(commands))
  })

  test.for(Object.entries(commands).filter(([, args]) => args.length > 0))(
    'says %s, and that succeeds',
    { timeout: 120_000 },
    ([, args]) => {
      const run = spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', timeout: 110_000 })
      const { status, stdout, stderr } = run
      expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' })
    },
  )

  test('has code that compiles as it stands', () => {
    const files = blocks('ts').map((code, at) => {
      const path = join(folder, `block-${at}.ts`)
      writeFileSync(path, code)
      return path
    })
    expect(files.length).toBeGreaterThanOrEqual(2)
    const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as {
      compilerOptions: Record<string, unknown>
    }
    // A user's project emits no declarations of its flows.
    const own = {
      ...compilerOptions,
      isolatedDeclarations: false,
      declaration: false,
      skipLibCheck: true,
      types: ['node'],
    }
    const paths = { skein: [join(root, 'lib', 'index.ts')] }
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...own, paths, allowImportingTsExtensions: true }, files }),
    )
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  }, 60_000)

  test('names files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path as string)
    expect(links.length).toBeGreaterThan(10)
    expect(links.filter(path => !existsSync(join(root, path)))).toEqual([])
  })
})
