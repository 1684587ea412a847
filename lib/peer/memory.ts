/**
 * How much memory this member may take: half of what the machine, or the container, has, as far as V8's heap will hold it.
 *
 * Decision: small records lie in the heap, and a heap at its limit ends the process whatever the machine has to spare. By
 * default that limit is about 4 GB on a large machine and half of a small container; a budget above it would be refused
 * its writes by a crash. NODE_OPTIONS=--max-old-space-size=MB raises it.
 *
 * Resident is more than the budget: 150 MB of an idle peer, and garbage. Copies of a dead peer's share go only where they
 * fit (placement/room.ts), so a full cluster takes no more when a peer dies.
 */
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

const bytesMin = 64 * 1024 * 1024
/** Of the heap, for records; the rest is code, what is in hand, and room to collect garbage in. */
const heapRatio = 0.6

export function memoryBytesDefault(): number {
  const constrained = process.constrainedMemory()
  // Without a limit it answers 0, or something beyond all memory.
  const limit = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  return budgetFor(limit, getHeapStatistics().heap_size_limit)
}

/** Bytes of a budget by default. */
export function budgetFor(memoryBytes: number, heapBytesMax: number): number {
  return Math.max(Math.floor(Math.min(memoryBytes / 2, heapRatio * heapBytesMax)), bytesMin)
}
