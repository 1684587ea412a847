import { describe, expect, it } from 'vitest'
import { ConflictError } from '../../../lib/base/errors.ts'
import type { Plain } from '../../../lib/base/shape.ts'
import { Page, readRecord, takeOver, type FoundRecord, type PageTerms } from '../../../lib/connectors/file/page.ts'
import type { Written } from '../../../lib/flow/ports.ts'
import type { MemberGrid } from '../../../lib/grid/grid.ts'
import { FlowCluster } from '../flow/cluster.ts'
import { MemoryFiles } from './memory-files.ts'

const partition = 5
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

class Desk {
  readonly cluster: FlowCluster = new FlowCluster('a', 'b')
  readonly files: MemoryFiles
  readonly page: Page

  constructor(files: MemoryFiles = new MemoryFiles()) {
    this.files = files
    this.page = new Page(this.terms(0))
  }

  terms(peer: number): PageTerms {
    return {
      grid: this.cluster.grids[peer] as MemberGrid,
      files: this.files,
      map: 'file/out',
      partition,
      sync: 'publish',
      bytesMax: 1_000,
      part: (era, fence) => `out.${era}.${fence}.part`,
      published: (era, fence) => `out.${era}.${fence}.txt`,
      changed: () => undefined,
    }
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    return await this.cluster.env.until(promise)
  }

  async commit(written: Written): Promise<void> {
    const [result] = await this.send(written)
    written.committed(result as Plain)
  }

  async send({ operation }: Written): Promise<readonly Plain[]> {
    return await this.wait((this.cluster.grids[0] as MemberGrid).partitions.run(partition, [operation]))
  }

  async takeOver(): Promise<void> {
    const grid = this.cluster.grids[1] as MemberGrid
    const found = (await this.wait(readRecord(grid, 'file/out', partition, 'a'))) as FoundRecord
    await this.wait(takeOver(this.terms(1), 'a', found))
  }

  get published(): readonly (string | undefined)[] {
    return this.files.paths.filter(path => path.endsWith('.txt')).map(path => this.files.text(path))
  }
}

describe('a page of a file target', () => {
  it('counts what was committed, and nothing of what was only written', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('one\n'))))
    await desk.wait(desk.page.write(bytes('two, never committed\n')).then(written => written.refused()))
    await desk.commit(await desk.wait(desk.page.write(bytes('3\n'))))
    await desk.wait(desk.page.publish())
    expect(desk.published).toEqual(['one\n3\n'])
  })

  it('leaves alone what another cluster wrote in the same folder, whose fences were the same', async () => {
    const before = new Desk()
    const after = new Desk(before.files)
    await before.commit(await before.wait(before.page.write(bytes('a longer line\n'))))
    await before.wait(before.page.close())
    after.cluster.cluster.apply({ ...after.cluster.cluster.state, cluster: 'another' })
    await after.commit(await after.wait(after.page.write(bytes('short\n'))))
    await after.wait(after.page.close())
    expect(new Set(after.published)).toEqual(new Set(['a longer line\n', 'short\n']))
    expect(after.published).toHaveLength(2)
  })

  it('refuses the commit of a writer that was taken over after it wrote', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('one\n'))))
    const late = await desk.wait(desk.page.write(bytes('two\n')))
    await desk.takeOver()
    await expect(desk.send(late)).rejects.toBeInstanceOf(ConflictError)
    expect(desk.published).toEqual(['one\n'])
    await desk.wait(late.refused())
    // It goes on with a part of its own.
    await desk.commit(await desk.wait(desk.page.write(bytes('two\n'))))
    await desk.wait(desk.page.publish())
    expect(desk.published).toEqual(['one\n', 'two\n'])
  })

  it('shuts a commit out that nobody heard of and that comes through later', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('one\n'))))
    const lost = await desk.wait(desk.page.write(bytes('two\n')))
    await desk.wait(lost.unknown())
    await desk.commit(await desk.wait(desk.page.write(bytes('two\n'))))
    await expect(desk.send(lost)).rejects.toBeInstanceOf(ConflictError)
    await desk.wait(desk.page.close())
    expect(desk.published).toEqual(['one\n', 'two\n'])
    expect(desk.files.paths.filter(path => path.endsWith('.part'))).toEqual([])
  })

  it('fences a writer before it reads how far its bytes count', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('one\n'))))
    const racing = await desk.wait(desk.page.write(bytes('two\n')))
    const grid = desk.cluster.grids[1] as MemberGrid
    const found = (await desk.wait(readRecord(grid, 'file/out', partition, 'a'))) as FoundRecord
    // It commits after the other has looked: the takeover is what must fail.
    await desk.commit(racing)
    await expect(desk.wait(takeOver(desk.terms(1), 'a', found))).rejects.toBeInstanceOf(ConflictError)
    expect(desk.published).toEqual([])
    await desk.wait(desk.page.publish())
    expect(desk.published).toEqual(['one\ntwo\n'])
  })

  it('does no harm when it publishes after a successor has', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('one\n'))))
    await desk.commit(await desk.wait(desk.page.write(bytes('two\n'))))
    await desk.takeOver()
    expect(desk.published).toEqual(['one\ntwo\n'])
    await desk.wait(desk.page.publish())
    expect(desk.published).toEqual(['one\ntwo\n'])
  })

  it('publishes what it had committed when it is recovered without a new write', async () => {
    const desk = new Desk()
    const first = await desk.wait(desk.page.write(bytes('one\n')))
    await desk.send(first)
    // Committed, and the answer lost.
    await desk.wait(first.unknown())
    expect(desk.page.isAbandoned).toBe(true)
    await desk.wait(desk.page.recover())
    expect(desk.published).toEqual(['one\n'])
    expect(desk.page.isAbandoned).toBe(false)
  })

  it('finishes a part that has grown long, and begins another', async () => {
    const desk = new Desk()
    await desk.commit(await desk.wait(desk.page.write(bytes('x'.repeat(1_000)))))
    await desk.wait(desk.page.publish())
    await desk.commit(await desk.wait(desk.page.write(bytes('y'))))
    await desk.wait(desk.page.close())
    expect(desk.published.map(text => text?.length)).toEqual([1_000, 1])
  })
})
