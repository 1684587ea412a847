/**
 * Dead Letter Channel (Hohpe & Woolf, p. 119): where messages go that no retry helped, each with the reason, its envelope
 * and the queue that a replay puts it back to.
 */
import type { StructureOperation } from '../../structures/operations.ts'
import { encodeEnvelope, type Envelope } from '../envelope.ts'

export function deadOperation(
  envelope: Envelope,
  { dead, queue, reason }: { readonly dead: string; readonly queue: string; readonly reason: string },
): StructureOperation {
  return { kind: 'dead.put', dead, queue, id: envelope.id, body: encodeEnvelope(envelope), reason }
}
