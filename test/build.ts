/** Compiles lib, bin and sim into a fresh dist/, so that a file deleted from the source never lives on in a package. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
rmSync(join(root, 'dist'), { recursive: true, force: true })
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const { status } = spawnSync(process.execPath, [tsc, '-p', 'test/tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
chmodSync(join(root, 'dist', 'bin', 'skein.js'), 0o755)
for (const name of ['webhooks.ndjson', 'webhooks.LICENSE'])
  copyFileSync(join(root, 'bin', 'demo', name), join(root, 'dist', 'bin', 'demo', name))
