/**
 * The main job on three embedded peers over libp2p, with real sockets and files: two halves of each delivery come in
 * through different peers, one peer ends without a word, and each accepted delivery is written once.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { file } from '../../lib/connectors/file/file.ts'
import { http } from '../../lib/connectors/http/http.ts'
import { flow, type Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'
import { runFlows, type FlowRunner } from '../../lib/flow/runner.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import { join } from '../../lib/index.ts'

const count = 150
const grids: Grid[] = []
const runners: FlowRunner[] = []
let folder: string

const Head = z.object({ event: z.string() })
const Payload = z.object({ repo: z.string() })

function deliveries(): Flow<AnyMessage> {
  return flow('deliveries')
    .from({
      head: http.post('/deliveries/:id/head', { body: Head }),
      payload: http.post('/deliveries/:id/payload', { body: Payload }),
    })
    .idempotentReceiver({ by: m => `${m.params.id}/${m.source}`, remember: '24h' })
    .aggregator('join', {
      by: m => m.params.id,
      complete: { each: ['head', 'payload'] },
      timeout: '5m',
      merge: ({ head, payload }, id) => ({ id, event: head.event, repo: payload.repo }),
    })
    .stage('store')
    .retry({ attempts: 8, backoff: ['100ms', '1s'] })
    .to(file(joinPath(folder, 'deliveries.ndjson')))
}

/** Until somebody takes it: the same key, another peer. */
async function send(id: number, half: 'head' | 'payload', body: object): Promise<void> {
  for (let tries = id + (half === 'head' ? 0 : 1); ; tries++) {
    const runner = runners[tries % runners.length]
    const listener = runner?.connector('http-listener') as { readonly address: string }
    try {
      const answer = await fetch(`http://${listener.address}/deliveries/d${id}/${half}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': `${id}/${half}` },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(3_000),
      })
      await answer.arrayBuffer()
      if (answer.status === 202) return
    } catch {
      // That peer is gone, or slow: the next one.
    }
  }
}

async function written(): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter(name => /^deliveries.*\.ndjson$/.test(name))
  const texts = await Promise.all(names.map(name => readFile(joinPath(folder, name), 'utf8')))
  return texts.flatMap(text => text.split('\n').filter(line => line !== ''))
}

beforeAll(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), 'skein-file-flow-'))
  for (const name of ['goose-1', 'goose-2', 'goose-3'])
    grids.push(await join({ name, seeds: grids.flatMap(grid => grid.addresses), memory: '256MB', deadline: '20s' }))
  const made = deliveries()
  for (const grid of grids)
    runners.push(await runFlows(grid, [made], { connectors: { http: { listen: '127.0.0.1:0' } } }))
  await new Promise<void>(resolve => {
    const [first] = grids
    const look = (): void => {
      if ((first?.safety.level ?? 0) < 1) return
      stop?.()
      resolve()
    }
    const stop = first?.on('safety', look)
    look()
  })
})
afterAll(async () => {
  await Promise.all(runners.map(runner => runner.stop()))
  await Promise.all(grids.map(grid => grid.close()))
  await rm(folder, { recursive: true, force: true })
})

test('each delivery is written once, though a peer ends in the middle', async () => {
  const waiting = Array.from({ length: count }, (_, id) => id)
  let accepted = 0
  const produce = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      await send(id, 'head', { event: 'push' })
      if (++accepted === count / 3) {
        // At once, as far as one process can: its calls are dropped, its links close.
        const ended = grids[1]?.close()
        await runners[1]?.stop()
        await ended
      }
      await send(id, 'payload', { repo: `r${id}` })
    }
  }
  await Promise.all(Array.from({ length: 16 }, produce))
  let lines: readonly string[] = []
  while (new Set(lines).size < count) lines = await written()
  // What would be written twice would come with what is still in hand: let it come.
  const live = runners.filter((_, at) => at !== 1)
  const isDrained = await Promise.all(live.map(runner => runner.drain({ isEmptying: true, deadlineMs: 20_000 })))
  expect(isDrained).toEqual([true, true])
  const ids = (await written()).map(line => (JSON.parse(line) as { readonly id: string }).id)
  expect(ids.length).toBe(count)
  expect(new Set(ids)).toEqual(new Set(Array.from({ length: count }, (_, id) => `d${id}`)))
})
