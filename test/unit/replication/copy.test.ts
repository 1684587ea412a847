import { expect, test } from 'vitest'
import { Copy, type Parcel } from '../../../lib/replication/copy.ts'
import { replicationDefaults as options } from '../../../lib/replication/options.ts'
import { PartitionLog } from '../../../lib/replication/partition-log.ts'
import { sizeOfEntry } from '../../../lib/replication/size.ts'

const partitionCount = 271
const laneBytesMax = 8 * 1024 * 1024
const entryBytes = 8 * 1024

function longLog(): PartitionLog {
  const log = new PartitionLog(1, 0)
  for (let index = 1; index <= 100; index++) {
    const operation = { kind: 'put', value: new Uint8Array(entryBytes) }
    const command = {
      kind: 'execute',
      call: { session: 's', sequence: index, mark: 1 },
      operations: [operation],
    } as const
    log.append({ epoch: 1, index, atMs: 0, command })
  }
  return log
}

function bytesOf({ entries }: Parcel): number {
  return entries.reduce((sum, entry) => sum + sizeOfEntry(entry), 0)
}

/** All that goes out to one copy before it answers. */
function unanswered(copy: Copy, log: PartitionLog): number {
  let bytes = 0
  for (let parcel = copy.nextParcel(log, options, 0); parcel !== undefined; parcel = copy.nextParcel(log, options, 0))
    bytes += bytesOf(parcel)
  return bytes
}

test('copies of all partitions that are asked how far they are, at once, fit one lane', () => {
  for (const isBackup of [true, false]) {
    const copy = new Copy('b', isBackup, 1, 1, 0, options.retransmitMs)
    expect(unanswered(copy, longLog()) * partitionCount).toBeLessThan(laneBytesMax)
  }
})

test('learners of all partitions that catch up at once fit one lane', () => {
  const log = longLog()
  const copy = new Copy('b', false, 1, 1, 0, options.retransmitMs)
  unanswered(copy, log)
  copy.accepted(2, 0, options)
  expect(unanswered(copy, log) * partitionCount).toBeLessThan(laneBytesMax)
})
