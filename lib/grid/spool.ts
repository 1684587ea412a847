/** Placeholder while the rest is put together. */
import type { Calls } from './calls.ts'
import type { Shards } from './shards.ts'

export async function* spoolChunks(_calls: Calls, _shards: Shards): AsyncIterable<Uint8Array> {
  yield* []
}

export async function loadSpool(_calls: Calls, _spool: AsyncIterable<Uint8Array>): Promise<number> {
  return 0
}
