import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DemoResult } from '../../bin/demo/run.ts'
import { Stage } from './stage.ts'

let stage: Stage
beforeEach(() => void (stage = new Stage()))
afterEach(() => stage.clear())

describe('skein demo', () => {
  test('loses nothing and doubles nothing over two deaths, as counted here anew', { timeout: 150_000 }, async () => {
    const run = stage.run('demo', '--messages', '800', '--json', '--out', 'out')
    const { code, stdout, stderr } = await run.ended()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    const result = JSON.parse(stdout) as DemoResult
    expect(result).toMatchObject({
      messages: 800,
      accepted: 1_600,
      failed: 0,
      lost: 0,
      writtenTwice: 0,
      isPassed: true,
    })
    expect(result.deaths.map(({ peer }) => peer)).toEqual(['goose-2', 'goose-1'])

    const accepted = linesOf('accepted.ndjson').map(line => JSON.parse(line) as { id: string; half: string })
    const heads = accepted.filter(({ half }) => half === 'head').map(({ id }) => id)
    const payloads = accepted.filter(({ half }) => half === 'payload').map(({ id }) => id)
    const written = readdirSync(join(stage.folder, 'out'))
      .filter(name => name.startsWith('deliveries') && name.endsWith('.ndjson'))
      .flatMap(linesOf)
      .map(line => (JSON.parse(line) as { id: string }).id)
    expect(new Set(heads).size).toBe(800)
    expect(payloads.toSorted(byText)).toEqual(heads.toSorted(byText))
    expect(written.toSorted(byText)).toEqual(heads.toSorted(byText))
  })

  test('delivers the lines of a file', { timeout: 150_000 }, async () => {
    const line = { event: 'push', payload: { action: 'mine', repository: { full_name: 'me/mine' } } }
    writeFileSync(join(stage.folder, 'input.ndjson'), `${JSON.stringify(line)}\n`)
    const { code } = await stage.run('demo', '--messages', '100', '--input', 'input.ndjson', '--out', 'out').ended()
    expect(code).toBe(0)
    const [first] = readdirSync(join(stage.folder, 'out'))
      .filter(name => name.startsWith('deliveries') && name.endsWith('.ndjson'))
      .flatMap(linesOf)
    expect(JSON.parse(first as string)).toMatchObject({ event: 'push', action: 'mine', repo: 'me/mine' })
  })

  test('touches no folder that holds something else', async () => {
    writeFileSync(join(stage.folder, 'mine.txt'), 'mine')
    const { code, stderr } = await stage.run('demo', '--out', '.').ended()
    expect(code).toBe(2)
    expect(stderr).toContain('holds mine.txt')
  })
})

function linesOf(name: string): readonly string[] {
  return readFileSync(join(stage.folder, 'out', name), 'utf8')
    .split('\n')
    .filter(Boolean)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1
}
