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
}

/** Runs all seeds; `each` hears every result, in the order of the seeds. Resolves when all are told. */
export async function runBatch(options: BatchOptions, each: (result: RunResult) => void): Promise<void> {
  const { fromSeed, toSeed, workerCount = availableParallelism(), ...rest } = options
  const waiting = new Map<number, RunResult>()
  let next = fromSeed
  let told = fromSeed
  const tell = (result: RunResult): void => {
    waiting.set(result.seed, result)
    for (let ready = waiting.get(told); ready !== undefined; ready = waiting.get(++told)) {
      waiting.delete(told)
      each(ready)
    }
  }
  const count = Math.min(workerCount, toSeed - fromSeed + 1)
  await Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker(new URL(import.meta.url))
      try {
        while (next <= toSeed) tell(await ask(worker, { ...rest, seed: next++ }))
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
