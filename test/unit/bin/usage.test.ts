import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { main } from '../../../bin/cli.ts'
import { loadFlows } from '../../../bin/start/flow-files.ts'
import { InvalidError } from '../../../lib/base/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'skein-usage-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const half = file('half.ts', 'export default {')

describe('wrong usage ends with 2 and one line that says what is wrong:', () => {
  test.for<[args: readonly string[], said: RegExp]>([
    [['stop'], /say --all/],
    [['sim', '--nodes', '0'], /--nodes.*from 1 to 50/],
    [['status', '--http', 'http://[x'], /--http http:\/\/\[x is no address/],
    [['status', '--access-token-file', join(folder, 'none')], /--access-token-file .*none cannot be read/],
    [['demo', '--out', half], /--out .*half\.ts: EEXIST/],
    [['demo', '--out', folder], /--out .* holds .*\.ts/],
  ])('%j', async ([args, said]) => {
    let text = ''
    const write = vi.spyOn(process.stderr, 'write').mockImplementation(chunk => {
      text += String(chunk)
      return true
    })
    try {
      expect(await main(args)).toBe(2)
    } finally {
      write.mockRestore()
    }
    expect(text).toMatch(said)
    expect(text.trim().split('\n')).toHaveLength(1)
  })
})

describe('a file that holds no flow is refused, and it is said why:', () => {
  test.for<[path: string, said: RegExp]>([
    [folder, /is no file/],
    [join(folder, 'none.ts'), /none\.ts: no such file/],
    [half, /half\.ts cannot be loaded: [^]*half\.ts:1/],
    [file('seven.ts', 'export default 7'), /seven\.ts exports number by default, and must end in/],
    [file('nothing.ts', 'export const x = 7'), /nothing\.ts exports nothing by default, and must end in/],
  ])('%s', async ([path, said]) => {
    const refusal = await loadFlows([path]).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(InvalidError)
    expect((refusal as InvalidError).message).toMatch(said)
  })
})
