/**
 * Takes a message along the steps of a plan, from where it stands to the next boundary, and gathers in a unit of work
 * what is to be committed. Only targets of style 'call' reach outside on the way.
 */
import { assert } from '../base/assert.ts'
import type { Env } from '../base/env.ts'
import type { PartitionId } from '../base/ids.ts'
import { addOperation, groupOf } from './components/aggregator.ts'
import { routeOf } from './components/content-based-router.ts'
import { passes } from './components/filter.ts'
import { markOf, markOperation, placeOf } from './components/idempotent-receiver.ts'
import { keyText } from './components/key.ts'
import { partsOf } from './components/splitter.ts'
import { transformed } from './components/transform.ts'
import { messageOf, withBody, type Delivered, type Envelope } from './envelope.ts'
import type { AnyMessage } from './message.ts'
import type { Plan, PlanStep } from './plan.ts'
import type { Departure, OpenCall, OpenGrid } from './ports.ts'
import { stepContext } from './run-context.ts'
import type { UnitOfWork } from './unit-of-work.ts'

/** What the walk asks of whoever runs the plan. */
export interface Walker {
  readonly env: Env
  readonly plan: Plan
  partitionOf(key: string): PartitionId
  /** Puts it before the stage; `lock` as in Placed. */
  enqueue(unit: UnitOfWork, stage: number, envelope: Envelope): void
  /** The open target of a step of style 'call' or 'grid'. */
  call(step: number): OpenCall
  gridTarget(step: number): OpenGrid
}

interface Way {
  readonly walker: Walker
  readonly unit: UnitOfWork
  readonly delivery: Delivered
  readonly signal: AbortSignal
}

/** Rejects with what a step threw. */
export async function walk(way: Way, from: number | undefined, envelope: Envelope): Promise<void> {
  const { walker, unit, delivery, signal } = way
  const { plan, env } = walker
  for (let at = from; at !== undefined;) {
    const { node, next, routes } = plan.steps[at] as PlanStep
    const message = messageOf(envelope, node.name, delivery)
    const context = stepContext(env, { flow: plan.name, id: envelope.id, step: node.name, signal })
    switch (node.kind) {
      case 'filter':
        if (!(await passes(node, message, context))) {
          unit.filteredCount++
          return
        }
        break
      case 'transform':
        envelope = withBody(envelope, await transformed(node, message, context))
        break
      case 'splitter':
        for (const part of await partsOf(node, envelope, message, context)) await walk(way, next, part)
        return
      case 'content-based-router':
        at = routes[await routeOf(node, message, context)]
        continue
      case 'idempotent-receiver': {
        // Given up by an aggregator behind, and replayed: its own mark is there.
        if (envelope.redo !== undefined) break
        const mark = markOf(node, plan.name, message)
        const partition = walker.partitionOf(mark.place)
        unit.place(markOperation(node, mark, envelope.id), partition, `mark/${mark.map}/${mark.key}`)
        unit.marks.push({ mark, partition, id: envelope.id })
        break
      }
      case 'aggregator': {
        const address = groupOf(node, plan.name, envelope, message)
        const partition = walker.partitionOf(address.place)
        const lock = `group/${address.group}/${address.key}`
        const place = unit.place(addOperation(node, address, { ...envelope, step: node.name }), partition, lock)
        unit.added.push({ node, address, at: place, partition })
        return
      }
      case 'stage':
        walker.enqueue(unit, stageBefore(plan, at), envelope)
        return
      case 'target':
        await reach(way, at, departureOf(message, signal))
        break
    }
    at = next
  }
}

async function reach({ walker, unit }: Way, at: number, departure: Departure): Promise<void> {
  const { node } = walker.plan.steps[at] as PlanStep
  assert(node.kind === 'target', 'a target is reached')
  switch (node.target.style) {
    case 'call':
      return await walker.call(at).send(departure)
    case 'journal':
      return unit.journal(at, departure)
    case 'grid':
      for (const { key, operation } of walker.gridTarget(at).operations(departure))
        unit.place(operation, key === undefined ? undefined : walker.partitionOf(key))
  }
}

function departureOf(message: AnyMessage, signal: AbortSignal): Departure {
  return { message, idempotencyKey: `${message.id}/${message.step}`, signal, expiresAt: message.expiresAt }
}

/** Place of the stage that a stage step stands before. */
export function stageBefore(plan: Plan, at: number): number {
  const step = plan.steps[at] as PlanStep
  return plan.stages.findIndex(stage => stage.name === step.node.name)
}

/**
 * The key whose partition a message should wait in, so that its unit of work is one command: that of the first keyed
 * step, if everything before it leaves the message as it is. Undefined: anywhere.
 */
export function placeKey(plan: Plan, from: number | undefined, envelope: Envelope): string | undefined {
  for (let at = from; at !== undefined;) {
    const { node, next } = plan.steps[at] as PlanStep
    if (node.kind === 'idempotent-receiver' || node.kind === 'aggregator') return keyOf(node, envelope)
    if (node.kind !== 'filter') return undefined
    at = next
  }
  return undefined
}

/** A step that throws will say so when the message is worked on. */
function keyOf(
  node: Extract<PlanStep['node'], { readonly kind: 'idempotent-receiver' | 'aggregator' }>,
  envelope: Envelope,
): string | undefined {
  try {
    const key = keyText(node.by(messageOf(envelope, node.name, { attempt: 1 })), node.name)
    return node.kind === 'aggregator' ? key : placeOf(key)
  } catch {
    return undefined
  }
}

/** Whether a message may be worked on while its sender waits: quick, and nothing reaches outside before the commit. */
export function isDirect(plan: Plan, from: number | undefined): boolean {
  if (from === undefined) return true
  const { node, next, routes } = plan.steps[from] as PlanStep
  switch (node.kind) {
    case 'stage':
    case 'aggregator':
      return true
    case 'filter':
    case 'idempotent-receiver':
      return isDirect(plan, next)
    case 'content-based-router':
      return routes.every(route => isDirect(plan, route))
    case 'target':
      return node.target.style === 'grid' && isDirect(plan, next)
    case 'transform':
    case 'splitter':
      return false
  }
}
