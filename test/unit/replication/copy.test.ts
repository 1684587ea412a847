import { expect, test } from 'vitest'
import { Copy, type Parcel } from '../../../lib/replication/copy.ts'
import { replicationDefaults as options } from '../../../lib/replication/options.ts'
import { InFlight, inFlightToMemberBytesMax } from '../../../lib/replication/in-flight.ts'
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
  for (;;) {
    const parcel = copy.nextParcel(log, options, 0)
    if (parcel === undefined || parcel === 'no-room') return bytes
    bytes += bytesOf(parcel)
  }
}

function copies(shared: InFlight, isBackup: boolean): Copy[] {
  return Array.from({ length: partitionCount }, () => new Copy('b', shared, isBackup, 1, 1, 0, options.retransmitMs))
}

function sharedWindow(): { readonly shared: InFlight; readonly touched: unknown[] } {
  const touched: unknown[] = []
  return { shared: new InFlight(replica => touched.push(replica)), touched }
}

test('what goes to the copies of all partitions at one member, at once, fits one lane', () => {
  for (const isBackup of [true, false]) {
    const { shared } = sharedWindow()
    const all = copies(shared, isBackup)
    const probes = all.reduce((sum, copy) => sum + unanswered(copy, longLog()), 0)
    expect(probes).toBeLessThan(laneBytesMax / 2)
    for (const copy of all) copy.accepted(2, 0, options)
    expect(shared.bytes).toBe(0)
    const stream = all.reduce((sum, copy) => sum + unanswered(copy, longLog()), 0)
    expect(stream).toBeGreaterThan(inFlightToMemberBytesMax)
    expect(stream).toBeLessThan(laneBytesMax / 2)
  }
})

test('a copy that found no room is touched when half of the window is free', () => {
  const { shared, touched } = sharedWindow()
  const [one, other] = copies(shared, true) as [Copy, Copy]
  shared.add(inFlightToMemberBytesMax - 1)
  unanswered(one, longLog())
  expect(other.nextParcel(longLog(), options, 0)).toBe('no-room')
  const replica = { partition: 7 } as never
  shared.wait(replica)
  one.end()
  expect(touched).toEqual([])
  shared.remove(inFlightToMemberBytesMax - 1)
  expect(touched).toEqual([replica])
  expect(other.nextParcel(longLog(), options, 0)).not.toBe('no-room')
})

test('a copy that is held back is quiet only while its member is', () => {
  const { shared } = sharedWindow()
  const [busy, held] = copies(shared, true) as [Copy, Copy]
  unanswered(busy, longLog())
  shared.add(inFlightToMemberBytesMax)
  held.nextParcel(longLog(), options, 100)
  expect(held.isOutstanding).toBe(true)
  expect(held.quietSinceMs).toBe(100)
  busy.accepted(1, 250, options)
  expect(held.quietSinceMs).toBe(250)
  expect(held.isRetryDue(10_000)).toBe(false)
})

test('the more is under way to a member, the longer its silence says nothing', () => {
  const { shared } = sharedWindow()
  const [copy] = copies(shared, true) as [Copy]
  expect(copy.travelMs).toBe(0)
  shared.add(4 * 1024 * 1024)
  expect(copy.travelMs).toBe(512)
})
