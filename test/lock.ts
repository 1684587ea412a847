/**
 * Completes package-lock.json with the optional packages of other platforms.
 *
 * npm leaves an optional package out of the lockfile if the registry at hand does not serve it (a mirror may hold those of one platform only), and
 * `npm ci` then refuses that lockfile everywhere. Each entry added has the exact version that its parent asks for and the platform that its name
 * says; without an integrity, as nobody here has seen the package.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Entry {
  version?: string
  dev?: true
  optional?: true
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

const path = join(import.meta.dirname, '..', 'package-lock.json')
const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, Entry> }
const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'wasi',
  'win32',
]
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']

const missing = Object.values(lock.packages).flatMap(parent =>
  Object.entries(parent.optionalDependencies ?? {})
    .filter(([name, version]) => /^\d+\.\d+\.\d+/.test(version) && !(`node_modules/${name}` in lock.packages))
    .map(([name, version]) => [`node_modules/${name}`, placeholder(name, version, parent.dev)] as const),
)
const { '': root = {}, ...installed } = lock.packages
const sorted = Object.entries({ ...installed, ...Object.fromEntries(missing) }).toSorted(([a], [b]) =>
  a.localeCompare(b, 'en'),
)
lock.packages = { '': root, ...Object.fromEntries(sorted) }
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`)
console.log(`${missing.length} packages of other platforms added`)

/** `@oxlint/binding-linux-arm-gnueabihf` -> os linux, cpu arm, libc glibc. */
function placeholder(name: string, version: string, dev: true | undefined): Entry {
  const os = systems.find(system => name.includes(system))
  const cpu = processors.find(processor => name.includes(processor))
  if (os === undefined || cpu === undefined) throw new Error(`no platform in the name ${name}`)
  const libc = name.includes('musl') ? ['musl'] : name.includes('gnu') ? ['glibc'] : undefined
  return { version, cpu: [cpu], ...(dev && { dev }), ...(libc && { libc }), optional: true, os: [os] }
}
