/** What a peer of the benchmark does on command, through the public handles alone. */
import type { Grid } from '../../lib/index.ts'
import { closedLoop, summary, type Measured } from './load.ts'

export interface MapLoad {
  readonly kind: 'set' | 'get'
  /** Whether this very member owns the keys' partitions, or another one does. */
  readonly owner: 'local' | 'remote'
  readonly inFlight: number
  readonly forMs: number
}

export interface QueueLoad {
  readonly kind: 'queue'
  /** Messages between their put and the end of their work. */
  readonly inFlight: number
  /** Messages per call; 1: `put` and `consume`. More: `putAll`, `receive`, `ack`. */
  readonly batch: number
  readonly forMs: number
}

export type Load = MapLoad | QueueLoad

const keyCount = 10_000
const body = 'x'.repeat(100)

export async function run(grid: Grid, load: Load): Promise<Measured> {
  if (load.kind !== 'queue') return await runMap(grid, load)
  return await (load.batch === 1 ? runQueue(grid, load) : runBatches(grid, load))
}

async function runMap(grid: Grid, { kind, owner, inFlight, forMs }: MapLoad): Promise<Measured> {
  const map = grid.map<string>('bench')
  const keys = keysOf(grid, owner)
  const key = (at: number): string => keys[at % keys.length] as string
  if (kind === 'set') return await closedLoop(inFlight, forMs, at => map.put(key(at), body).then(() => 1))
  for (let at = 0; at < keys.length; at += 1_000)
    await Promise.all(keys.slice(at, at + 1_000).map(each => map.put(each, body, { deadline: '60s' })))
  return await closedLoop(inFlight, forMs, at => map.get(key(at)).then(() => 1))
}

function keysOf(grid: Grid, owner: MapLoad['owner']): string[] {
  const owned = new Set(grid.partitions.owned)
  const keys: string[] = []
  for (let at = 0; keys.length < keyCount; at++) {
    const key = `key-${at}`
    if (owned.has(grid.partitions.of(key)) === (owner === 'local')) keys.push(key)
  }
  return keys
}

/** One message, one put, one delivery, one acknowledgement. */
async function runQueue(grid: Grid, { inFlight, forMs }: QueueLoad): Promise<Measured> {
  const queue = grid.queue<{ at: number; body: string }>('bench', { capacity: 100_000 })
  const worked = new Map<number, () => void>()
  await using _worker = queue.consume(
    message => {
      worked.get(message.at)?.()
      worked.delete(message.at)
    },
    { concurrency: inFlight },
  )
  return await closedLoop(inFlight, forMs, async at => {
    const isWorked = new Promise<void>(resolve => worked.set(at, resolve))
    await queue.put({ at, body })
    await isWorked
    return 1
  })
}

/** The same in batches: as many in flight, in fewer calls. */
async function runBatches(grid: Grid, { inFlight, batch, forMs }: QueueLoad): Promise<Measured> {
  const queue = grid.queue<{ sentMs: number; body: string }>('bench-batches', { capacity: 100_000 })
  const delays: number[] = []
  const startMs = performance.now()
  const endMs = startMs + forMs
  let open = 0
  let count = 0
  let waiting: (() => void)[] = []
  const produce = async (): Promise<void> => {
    while (performance.now() < endMs) {
      if (open + batch > inFlight) {
        await new Promise<void>(resolve => waiting.push(resolve))
        continue
      }
      open += batch
      await queue.putAll(Array.from({ length: batch }, () => ({ sentMs: performance.now(), body })))
    }
  }
  const consume = async (): Promise<void> => {
    while (performance.now() < endMs || open > 0) {
      const messages = await queue.receive({ max: batch, wait: 100 })
      await queue.ack(messages.map(message => message.token))
      const nowMs = performance.now()
      if (nowMs < endMs) count += messages.length
      for (const message of messages) delays.push(nowMs - message.body.sentMs)
      open -= messages.length
      const room = waiting
      waiting = []
      for (const made of room) made()
    }
    for (const made of waiting) made()
  }
  const workers = Math.max(1, inFlight / batch)
  await Promise.all([...Array.from({ length: workers }, produce), ...Array.from({ length: workers }, consume)])
  return summary(count, forMs, delays)
}
