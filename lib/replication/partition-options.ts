/** What one partition's state is made from. */
import type { Shape } from '../base/shape.ts'
import type { Operation } from './command.ts'
import type { StateMachine } from './state-machine.ts'

export interface PartitionStateOptions {
  /** Empty; the partition state owns it from here on. */
  readonly machine: StateMachine
  /** Prepared operations travel in snapshots. */
  readonly operationShape: Shape<Operation>
  /** A participant asks for the decision after waiting this long, and again at this interval. Default 1,000. */
  readonly inquireAfterMs?: number
  /** An unacknowledged decision is sent again after this, then at doubled intervals up to 2,000. Default 200. */
  readonly decideIntervalMs?: number
}
