/** How much memory this member may take: half of what the machine, or the container, has. */
import { totalmem } from 'node:os'

const bytesMin = 64 * 1024 * 1024

export function memoryBytesDefault(): number {
  const constrained = process.constrainedMemory()
  // Without a limit it answers 0, or something beyond all memory.
  const limit = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  return Math.max(Math.floor(limit / 2), bytesMin)
}
