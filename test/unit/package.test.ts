import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

test('the library loads by require, so nothing in it awaits at the top level', () => {
  const { status, stderr } = spawnSync(process.execPath, ['-e', `require('./lib/index.ts')`], {
    cwd: root,
    encoding: 'utf8',
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

test('the launcher prints the version', () => {
  const { status, stdout } = spawnSync(process.execPath, ['bin/skein.ts', '--version'], { cwd: root, encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 0, stdout: '0.1.0\n' })
})

test('the launcher answers wrong usage with exit code 2', () => {
  const { status } = spawnSync(process.execPath, ['bin/skein.ts', 'no-such-verb'], { cwd: root, encoding: 'utf8' })
  expect(status).toBe(2)
})
