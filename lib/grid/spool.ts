/**
 * What the last peer of a cluster still holds, as bytes for a file, and back. Each chunk is a length, a CRC-32 and
 * msgpack: first a header with the spool's own id, then operations by partition, at the end the number of chunks.
 *
 * Loaded exactly once: each chunk is one command under a key of the spool's id and the chunk's number, which the
 * cluster remembers for 30 days; so a load that stopped half way, or ran at two peers, is simply run again. The file
 * itself (0600, removed after) is the command line's.
 */
import { crc32 } from 'node:zlib'
import { plainBytes } from '../base/bytes.ts'
import { InvalidError, MalformedError } from '../base/errors.ts'
import type { PartitionId } from '../base/ids.ts'
import { list, oneOf, record, string, uint, type Shape } from '../base/shape.ts'
import { operationShape, type StructureOperation } from '../structures/operations.ts'
import { codec } from '../transport/codec.ts'
import type { Calls } from './calls.ts'
import { resultsOf } from './outcomes.ts'
import type { Shards } from './shards.ts'
import { operationsOf } from './spool-records.ts'

const operationsMax = 200
/** A chunk ends once its values have so many bytes, so that it fits a frame unless one value alone does not. */
const valueBytesMax = 1024 * 1024
const chunkBytesMax = 20 * 1024 * 1024
const rememberMs = 30 * 86_400_000
const loadMs = 30_000

interface Chunk {
  readonly kind: 'header' | 'operations' | 'end'
  readonly spool: string
  /** 0 the header, 1, 2 ... */
  readonly ordinal: number
  /** Of the operations; in the header how many there are. */
  readonly partition: PartitionId
  readonly operations: readonly StructureOperation[]
}

const chunkShape: Shape<Chunk> = record<Chunk>({
  kind: oneOf('header', 'operations', 'end'),
  spool: string,
  ordinal: uint,
  partition: uint,
  operations: list(operationShape, operationsMax),
})
const chunks = codec(chunkShape)

export async function* spoolChunks(calls: Calls, shards: Shards): AsyncIterable<Uint8Array> {
  const { random } = calls.env
  const spool = [random.uint32(), random.uint32(), random.uint32()].map(part => part.toString(36)).join('-')
  const frame = (kind: Chunk['kind'], ordinal: number, partition: number, operations: Chunk['operations'] = []) =>
    framed(chunks.encode({ kind, spool, ordinal, partition, operations }))
  yield frame('header', 0, calls.partitionCount)
  let ordinal = 0
  for (const [partition, state] of shards.states()) {
    let operations: StructureOperation[] = []
    let valueBytes = 0
    for (const operation of operationsOf(state, calls.env.now().wallMs)) {
      operations.push(operation)
      valueBytes += valueBytesOf(operation)
      if (operations.length < operationsMax && valueBytes < valueBytesMax) continue
      yield frame('operations', ++ordinal, partition, operations)
      operations = []
      valueBytes = 0
    }
    if (operations.length > 0) yield frame('operations', ++ordinal, partition, operations)
    // A partition a turn: the loop is for others, too.
    await calls.turn()
  }
  yield frame('end', ++ordinal, 0)
}

function valueBytesOf(operation: StructureOperation): number {
  if ('body' in operation) return operation.body.length
  if (operation.kind === 'once.remember') return plainBytes(operation.results)
  if (operation.kind === 'keyspace.push') return operation.values.reduce((sum, value) => sum + value.length, 0)
  return 'value' in operation && operation.value instanceof Uint8Array ? operation.value.length : 0
}

export async function loadSpool(calls: Calls, spool: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0
  let expected = 0
  let isComplete = false
  for await (const chunk of unframed(spool)) {
    if (chunk.ordinal !== expected++ || (chunk.ordinal === 0) !== (chunk.kind === 'header'))
      throw new MalformedError(`the spool is damaged: chunk ${chunk.ordinal} where ${expected - 1} belongs`)
    if (chunk.kind === 'header') await checkCount(calls, chunk.partition)
    else if (chunk.kind === 'end') isComplete = true
    else count += await loadChunk(calls, chunk)
  }
  if (!isComplete) throw new MalformedError(`the spool ends after ${expected} chunks; what came before has been loaded`)
  return count
}

async function checkCount(calls: Calls, spooledCount: number): Promise<void> {
  const count = await calls.count(calls.timed({ deadline: loadMs }))
  if (count === spooledCount) return
  throw new InvalidError(
    `the spool is of ${spooledCount} partitions, the cluster has ${count}: found it with partitions ${spooledCount}`,
  )
}

async function loadChunk(calls: Calls, { spool, ordinal, partition, operations }: Chunk): Promise<number> {
  const once = { kind: 'once.run', key: `spool/${spool}/${ordinal}`, rememberMs, operations } as const
  const [result] = resultsOf(await calls.settle(partition, [once], calls.timed({ deadline: loadMs })))
  const [isRepeat] = result as readonly [boolean]
  return isRepeat ? 0 : operations.length
}

/** [length u32][crc u32][body] */
function framed(body: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + body.length)
  const view = new DataView(out.buffer)
  view.setUint32(0, body.length)
  view.setUint32(4, crc32(body))
  out.set(body, 8)
  return out
}

async function* unframed(spool: AsyncIterable<Uint8Array>): AsyncIterable<Chunk> {
  let held = new Uint8Array(0)
  for await (const bytes of spool) {
    const joined = new Uint8Array(held.length + bytes.length)
    joined.set(held)
    joined.set(bytes, held.length)
    held = joined
    for (let size = chunkSize(held); size !== undefined; size = chunkSize(held)) {
      const body = held.subarray(8, 8 + size)
      if (crc32(body) !== new DataView(held.buffer, held.byteOffset).getUint32(4))
        throw new MalformedError('the spool is damaged: a checksum does not match')
      yield chunks.decode(body)
      held = held.slice(8 + size)
    }
  }
}

/** Undefined while it is not all there. */
function chunkSize(held: Uint8Array): number | undefined {
  if (held.length < 8) return undefined
  const size = new DataView(held.buffer, held.byteOffset).getUint32(0)
  if (size > chunkBytesMax) throw new MalformedError(`the spool is damaged: a chunk of ${size} bytes`)
  return held.length < 8 + size ? undefined : size
}
