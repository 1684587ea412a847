import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readSettings } from '../../../bin/start/flags.ts'
import { InvalidError } from '../../../lib/base/errors.ts'

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'skein-flags-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function config(content: unknown): string {
  const path = join(folder, 'skein.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

describe('the settings of skein start', () => {
  test('are those of flags, over variables, over the file', () => {
    const path = config({ copies: 3, minCopies: 2, zone: 'file', cluster: 'file' })
    const env = { SKEIN_CONFIG: path, SKEIN_ZONE: 'variable', SKEIN_CLUSTER: 'variable' }
    const { settings } = readSettings({ cluster: 'flag' }, [], env)
    expect(settings).toMatchObject({ copies: 3, minCopies: 2, zone: 'variable', cluster: 'flag' })
  })

  test('are refused by the name that they were given by', () => {
    const refusal = (given: object, env: Record<string, string> = {}) => {
      return (): unknown => readSettings({ ...given }, [], env)
    }
    const path = config({ copies: 9 })
    expect(refusal({ copies: '9' }, { SKEIN_CONFIG: path })).toThrow(/^--copies "9"/)
    expect(refusal({}, { SKEIN_CONFIG: path, SKEIN_COPIES: '9' })).toThrow(/^SKEIN_COPIES "9"/)
    expect(refusal({ config: path })).toThrow(`copies in ${path} 9`)
  })

  test('take peers to join by --join, SKEIN_JOIN and join in the file', () => {
    const seeds = ['10.0.0.7:7400', '10.0.0.8:7400']
    const secret = { SKEIN_SECRET: 'long enough' }
    expect(readSettings({ seeds: seeds.join() }, [], secret).settings.seeds).toEqual(seeds)
    expect(readSettings({}, [], { ...secret, SKEIN_JOIN: seeds.join() }).settings.seeds).toEqual(seeds)
    expect(readSettings({ config: config({ join: seeds }) }, [], secret).settings.seeds).toEqual(seeds)
  })

  test('take flows from the arguments, else from the file', () => {
    const path = config({ flows: ['a.ts'] })
    expect(readSettings({ config: path }, [], {}).flowFiles).toEqual(['a.ts'])
    expect(readSettings({ config: path }, ['b.ts'], {}).flowFiles).toEqual(['b.ts'])
  })

  test('name a peer that nobody named', () => {
    expect(readSettings({}, [], {}).settings.name).toMatch(/^goose-[0-9a-f]{4}$/)
  })

  test('leave doors closed that nobody asked for', () => {
    const { settings } = readSettings({}, [], {})
    expect([settings.http, settings.resp]).toEqual([undefined, undefined])
  })

  test('read an address of the admin door as the admin verbs do', () => {
    expect(readSettings({}, [], { SKEIN_HTTP: 'http://127.0.0.1:7480/' }).settings.http).toBe('127.0.0.1:7480')
  })

  test.for([
    ['{ "copies": ', 'is not JSON'],
    ['[1]', 'must hold one JSON object'],
    ['{ "flows": "a.ts" }', 'must be a list'],
    ['{ "constructor": 3 }', /constructor in .* is not a setting/],
    ['{ "http": 8080 }', /http in .* 8080/],
    ['{ "copys": 3 }', /copys in .* is not a setting; there are name, /],
  ] as const)('refuse the file %s', ([text, reason]) => {
    const read = (): unknown => readSettings({ config: config(text) }, [], {})
    expect(read).toThrow(InvalidError)
    expect(read).toThrow(reason)
  })
})
