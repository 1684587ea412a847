/** The plain nodes that a flow is made of. The builder makes them, the plan freezes them, nothing else knows how. */
import type { AggregatorNode } from './components/aggregator.ts'
import type { FilterNode } from './components/filter.ts'
import type { IdempotentReceiverNode } from './components/idempotent-receiver.ts'
import type { RetryNode } from './components/retry.ts'
import type { SplitterNode } from './components/splitter.ts'
import type { TransformNode } from './components/transform.ts'
import type { AnyMessage, StepContext } from './message.ts'
import type { Source, Target } from './ports.ts'

export type Node =
  | FilterNode
  | TransformNode
  | SplitterNode
  | RouterNode
  | IdempotentReceiverNode
  | AggregatorNode
  | RetryNode
  | StageNode
  | TargetNode

/** A boundary: a queue in the grid, and how many units of work behind it run at once on each peer. */
export interface StageNode {
  readonly kind: 'stage'
  readonly name: string
  readonly concurrency: number
  readonly capacity: number
  readonly leaseMs: number
}

export interface TargetNode {
  readonly kind: 'target'
  readonly name: string
  readonly target: Target<unknown>
}

export interface Route {
  readonly name: string
  /** Undefined: whatever comes here. */
  readonly when: ((message: AnyMessage, context: StepContext) => unknown) | undefined
  readonly steps: readonly Node[]
}

export interface RouterNode {
  readonly kind: 'content-based-router'
  readonly name: string
  readonly routes: readonly Route[]
}

/** What the builder gathers. */
export interface FlowNodes {
  readonly name: string
  readonly sources: Readonly<Record<string, Source>>
  readonly steps: readonly Node[]
  readonly deadLetter: string
}
