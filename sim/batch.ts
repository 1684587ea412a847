/**
 * Many seeds on all cores, one worker thread per core, each with a seed at a time. Results come in the order of their
 * seeds whatever the order of their ends, so that the output of a batch replays too.
 */
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { runSeed, type RunOptions, type RunResult } from './run.ts'

export interface BatchOptions extends Omit<RunOptions, 'seed'> {
  readonly fromSeed: number
  /** Included. */
  readonly toSeed: number
  /** Default: all cores. */
  readonly workerCount?: number
  /** Real time, for who wants to know how long each run took; default: none did. */
  readonly nowMs?: () => number
}

/** Most of what a run makes is garbage at once: with room for more of it, less is moved. */
const maxYoungGenerationSizeMb = 96

/** Runs all seeds; `each` hears every result, in the order of the seeds. Resolves when all are told. */
export async function runBatch(
  options: BatchOptions,
  each: (result: RunResult, elapsedMs: number) => void,
): Promise<void> {
  const { fromSeed, toSeed, workerCount = availableParallelism(), nowMs = () => 0, ...rest } = options
  const waiting = new Map<number, { readonly result: RunResult; readonly elapsedMs: number }>()
  let next = fromSeed
  let told = fromSeed
  const tell = (result: RunResult, elapsedMs: number): void => {
    waiting.set(result.seed, { result, elapsedMs })
    for (let ready = waiting.get(told); ready !== undefined; ready = waiting.get(++told)) {
      waiting.delete(told)
      each(ready.result, ready.elapsedMs)
    }
  }
  const count = Math.min(workerCount, toSeed - fromSeed + 1)
  await Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker(new URL(import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb } })
      try {
        while (next <= toSeed) {
          const startedMs = nowMs()
          const result = await ask(worker, { ...rest, seed: next++ })
          tell(result, nowMs() - startedMs)
        }
      } finally {
        await worker.terminate()
      }
    }),
  )
}

function ask(worker: Worker, options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const settle = (result: RunResult): void => {
      worker.off('error', reject)
      resolve(result)
    }
    worker.once('message', settle)
    worker.once('error', reject)
    worker.postMessage(options)
  })
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort
  port.on('message', (options: RunOptions) => {
    void runSeed(options).then(result => port.postMessage(result))
  })
}
