import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { refusal } from '../../../bin/engine.ts'
import { importsOf } from '../../tidy/source.ts'

const bin = join(import.meta.dirname, '..', '..', '..', 'bin')

describe('the launcher', () => {
  test.for(['20.20.2', '22.17.9', '18.0.0', '6.17.1'])('refuses Node %s', version => {
    expect(refusal(version, [])).toMatch(/^skein needs Node 22\.18 or newer, this is /)
  })

  test.for(['22.18.0', '22.20.1', '24.0.0', '26.1.0', '25.0.0-nightly'])('accepts Node %s', version => {
    expect(refusal(version, [])).toBeUndefined()
  })

  test('names the command to run instead, demo if there was none', () => {
    const remedy = 'skein needs Node 22.18 or newer, this is 20.20; run: npx -p node@24 -p skein skein'
    expect(refusal('20.20.2', [])).toBe(`${remedy} demo`)
    expect(refusal('20.20.2', ['start', 'flows/a.ts', '--join', '127.0.0.1:7400'])).toBe(
      `${remedy} start flows/a.ts --join 127.0.0.1:7400`,
    )
  })

  test('quotes arguments for a shell and prints one line only', () => {
    expect(refusal('20.20.2', ['init', "goose's; rm x", 'a\nb\u001b[2J'])).toMatch(
      /skein init 'goose'\\''s; rm x' 'ab\[2J'$/,
    )
  })

  test('loads nothing but the version check until that has passed', () => {
    const launcher = readFileSync(join(bin, 'skein.ts'), 'utf8')
    expect(importsOf(launcher.replaceAll(/await import\(.*\)/g, ''))).toEqual(['./engine.ts'])
    expect(importsOf(readFileSync(join(bin, 'engine.ts'), 'utf8'))).toEqual([])
  })
})
