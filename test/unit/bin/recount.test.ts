import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Output, recount } from '../../../bin/demo/output.ts'

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'skein-recount-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, ...lines: readonly unknown[]): void {
  const text = lines.map(line => (typeof line === 'string' ? line : JSON.stringify(line)))
  writeFileSync(join(folder, name), text.map(line => `${line}\n`).join(''))
}

function halves(...ids: readonly string[]): readonly unknown[] {
  return ids.flatMap(id => [
    { id, half: 'head' },
    { id, half: 'payload' },
  ])
}

describe('the recount', () => {
  test('finds nothing wrong where each whole delivery is there once, in whichever file', async () => {
    write('accepted.ndjson', ...halves('a', 'b'))
    write('deliveries.1.ndjson', { id: 'a' })
    write('deliveries.2.7.ndjson', { id: 'b' })
    write('deliveries.2.8.part', { id: 'b' })
    expect(await recount(folder)).toEqual({ accepted: 4, whole: 2, written: 2, lost: 0, writtenTwice: 0, strange: 0 })
  })

  test('counts what was accepted whole and is nowhere as lost', async () => {
    write('accepted.ndjson', ...halves('a', 'b'), { id: 'c', half: 'head' })
    write('deliveries.ndjson', { id: 'a' })
    expect(await recount(folder)).toMatchObject({ whole: 2, lost: 1 })
  })

  test('counts each further line of a delivery as written twice', async () => {
    write('accepted.ndjson', ...halves('a'))
    write('deliveries.1.ndjson', { id: 'a' }, { id: 'a' })
    write('deliveries.2.ndjson', { id: 'a' })
    expect(await recount(folder)).toMatchObject({ written: 1, writtenTwice: 2 })
  })

  test('counts lines that are cut off, or of nothing that was accepted', async () => {
    write('accepted.ndjson', ...halves('a'))
    write('deliveries.ndjson', { id: 'a' }, '{"id":"a', { id: 'x' })
    expect(await recount(folder)).toMatchObject({ lost: 0, strange: 2 })
  })
})

describe('the watched output', () => {
  test('sees each delivery once its line is whole', async () => {
    const output = new Output(folder)
    writeFileSync(join(folder, 'deliveries.ndjson'), '{"id":"a"}\n{"id":"b')
    await output.look()
    expect([...output.seenMs.keys()]).toEqual(['a'])
    writeFileSync(join(folder, 'deliveries.ndjson'), '{"id":"a"}\n{"id":"b"}\n')
    await output.look()
    expect([...output.seenMs.keys()]).toEqual(['a', 'b'])
  })
})
