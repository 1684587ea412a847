/**
 * Everything that is checked before a release, in one command: the checks, the tests, and the packed package as a stranger would install it.
 *
 * Stops at the first step that fails, names it, and ends with its exit code.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** What the package may cost whoever installs it. */
const packageCountMax = 120
const installedMegabytesMax = 50

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')
const folder = mkdtempSync(join(tmpdir(), 'skein-verify-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

run('types, lint, format, dead code', root, 'npm', 'run', '--silent', 'check')
run('tests', root, 'npm', 'test')
run('build', root, 'npm', 'run', '--silent', 'build')
run('publint', root, 'publint', '--strict')

const tarball = join(
  folder,
  run('pack', root, 'npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', folder).trim(),
)
run('types of the package', root, 'attw', '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--', tarball)

const project = join(folder, 'project')
mkdirSync(project)
writeFileSync(join(project, 'package.json'), '{ "private": true }')
run('install', project, 'npm', 'install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', tarball)
measure(join(project, 'node_modules'))

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
expectText('skein --version', run('skein --version', project, 'npx', '--no', '--', 'skein', '--version'), version)
const names = `console.log(Object.keys(skein).toSorted().join() || 'nothing')`
const imported = run('import', project, 'node', '--input-type=module', '-e', `import * as skein from 'skein'; ${names}`)
expectText('require', run('require', project, 'node', '-e', `const skein = require('skein'); ${names}`), imported)
console.log(`verified ${version}: exports ${imported.trim()}`)

/** Runs a command with this project's tools first on the path; returns what it printed, or ends this process with its exit code. */
function run(step: string, cwd: string, command: string, ...args: readonly string[]): string {
  console.log(`--- ${step}`)
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` }
  const { status, stdout, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status === 0) return stdout
  fail(step, error?.message ?? stdout, status ?? 1)
}

function expectText(step: string, actual: string, expected: string): void {
  if (actual.trim() !== expected.trim()) fail(step, `printed ${actual.trim()} instead of ${expected.trim()}`, 1)
}

/** Checks number and size of the packages below `modules`. */
function measure(modules: string): void {
  const files = readdirSync(modules, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const packageCount = files.filter(
    ({ name, parentPath }) => name === 'package.json' && /node_modules\/(?:@[^/]+\/)?[^/@.][^/]*$/.test(parentPath),
  ).length
  const megabytes = files.reduce((sum, { name, parentPath }) => sum + statSync(join(parentPath, name)).size, 0) / 1e6
  console.log(`${packageCount} packages, ${megabytes.toFixed(1)} MB`)
  if (packageCount > packageCountMax) fail('install', `more than ${packageCountMax} packages`, 1)
  if (megabytes > installedMegabytesMax) fail('install', `more than ${installedMegabytesMax} MB`, 1)
}

function fail(step: string, reason: string, exitCode: number): never {
  console.error(`${reason}\n--- ${step} FAILED`)
  process.exit(exitCode)
}
