import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { file } from '../../../lib/connectors/file/file.ts'
import type { FileSourceOptions } from '../../../lib/connectors/file/source.ts'
import { queue } from '../../../lib/connectors/queue-target.ts'
import { flow } from '../../../lib/flow/builder.ts'
import { runFlows } from '../../../lib/flow/runner.ts'
import { FlowCluster } from '../flow/cluster.ts'
import { MemoryFiles } from './memory-files.ts'

class Inbox {
  readonly cluster: FlowCluster
  readonly files: MemoryFiles

  constructor(...names: readonly string[]) {
    this.cluster = new FlowCluster(...names)
    this.files = new MemoryFiles(() => this.cluster.env.now().wallMs)
  }

  async read(kind: 'lines' | 'each', pattern: string, options: FileSourceOptions<unknown> = {}): Promise<void> {
    const source = file[kind](pattern, { files: this.files, ...options })
    const made = flow('inbox')
      .from(source)
      .transform(m => [m.params, m.body])
      .to(queue('out'))
    for (const grid of this.cluster.grids) await this.cluster.env.until(runFlows(grid, [made]))
  }

  async received(peer = 0): Promise<readonly unknown[]> {
    const bodies: unknown[] = []
    const out = this.cluster.grids[peer]?.queue<readonly [object, unknown]>('out')
    for (;;) {
      const messages = (await this.cluster.env.until(out?.receive({ max: 1_000 }) ?? Promise.resolve([]))) ?? []
      if (messages.length === 0) return bodies
      bodies.push(...messages.map(message => message.body[1]))
    }
  }
}

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, at) => `{"n":${from + at}}\n`).join('')
const numbers = (bodies: readonly unknown[]): readonly number[] =>
  (bodies as readonly { readonly n: number }[]).map(({ n }) => n).sort((a, b) => a - b)
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)

describe('a file source', () => {
  it('takes each line once, and what is appended later', async () => {
    const inbox = new Inbox('a', 'b')
    inbox.files.put('in/one.ndjson', lines(0, 1_200))
    inbox.files.put('in/other.txt', 'not mine\n')
    await inbox.read('lines', 'in/*.ndjson')
    await inbox.cluster.env.advance(5_000)
    inbox.files.append('in/one.ndjson', lines(1_200, 1_210))
    await inbox.cluster.env.advance(5_000)
    expect(numbers(await inbox.received())).toEqual(upTo(1_210))
    expect(inbox.files.paths).toEqual(['in/one.ndjson', 'in/other.txt'])
  })

  it('waits for the end of a line while the file grows, and takes it without one when it has settled', async () => {
    const inbox = new Inbox('a')
    inbox.files.put('in/one.ndjson', '{"n":0}\n{"n":')
    await inbox.read('lines', 'in/*.ndjson', { settle: '3s' })
    await inbox.cluster.env.advance(1_500)
    inbox.files.append('in/one.ndjson', '1}\n{"n":2}')
    await inbox.cluster.env.advance(6_000)
    expect(numbers(await inbox.received())).toEqual([0, 1, 2])
  })

  it('skips a line that is too long, once it has ended, and goes on behind it', async () => {
    const inbox = new Inbox('a')
    const long = JSON.stringify({ n: 'x'.repeat(3_000) })
    inbox.files.put('in/one.ndjson', `{"n":0}\n${long}\n{"n":1}\n${long.slice(0, 500)}`)
    inbox.files.put('in/two.ndjson', `${long}`)
    await inbox.read('lines', 'in/*.ndjson', { bytesMax: 100, settle: '3s' })
    await inbox.cluster.env.advance(1_500)
    expect(numbers(await inbox.received())).toEqual([0, 1])
    inbox.files.append('in/one.ndjson', `${long.slice(500)}\n{"n":2}\n`)
    await inbox.cluster.env.advance(6_000)
    expect(numbers(await inbox.received())).toEqual([2])
  })

  it('goes on at the line where the member that died had got to', async () => {
    const inbox = new Inbox('a', 'b')
    inbox.files.put('in/one.ndjson', lines(0, 3_000))
    await inbox.read('lines', 'in/*.ndjson')
    // In the middle: 500 lines are one commit.
    await inbox.cluster.env.advance(10)
    inbox.cluster.kill('a')
    await inbox.cluster.env.advance(30_000)
    expect(numbers(await inbox.received(1))).toEqual(upTo(3_000))
  })

  it('takes whole files, once they have settled, and moves them', async () => {
    const inbox = new Inbox('a')
    await inbox.read('each', 'in/*.xml', { after: { move: 'done' }, settle: '2s' })
    inbox.files.put('in/a.xml', '<a/>')
    await inbox.cluster.env.advance(1_000)
    inbox.files.append('in/a.xml', '<b/>')
    await inbox.cluster.env.advance(5_000)
    expect(await inbox.received()).toEqual(['<a/><b/>'])
    expect(inbox.files.paths).toEqual(['done/a.xml'])
    // Another file under the same name is another file.
    inbox.files.put('in/a.xml', '<a/>')
    await inbox.cluster.env.advance(5_000)
    expect(await inbox.received()).toEqual(['<a/>'])
  })

  it('does not take a file again whose removal failed', async () => {
    const inbox = new Inbox('a')
    const remove = inbox.files.remove.bind(inbox.files)
    let failures = 3
    inbox.files.remove = path => (failures-- > 0 ? Promise.reject(new Error('busy')) : remove(path))
    inbox.files.put('in/a.txt', 'once')
    await inbox.read('each', 'in/*.txt', { after: 'remove' })
    await inbox.cluster.env.advance(30_000)
    expect(await inbox.received()).toEqual(['once'])
    expect(inbox.files.paths).toEqual([])
  })

  it('reports what it cannot read, with the place, and goes on', async () => {
    const inbox = new Inbox('a')
    inbox.files.put('in/one.ndjson', '{"n":0}\nnonsense\n{"m":1}\n{"n":3}\n')
    await inbox.read('lines', 'in/*.ndjson', { body: z.object({ n: z.number() }) })
    await inbox.cluster.env.advance(5_000)
    expect(numbers(await inbox.received())).toEqual([0, 3])
    const unreadable = inbox.cluster.env.events.filter(({ event }) => event === 'file.unreadable')
    expect(unreadable.map(({ fields }) => fields['offset'])).toEqual([8, 17])
  })
})
