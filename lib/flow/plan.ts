/**
 * A flow as the runner walks it: steps by number, each with the number of the next, and the stages that queues stand
 * before. Frozen. Its version is a hash of everything it was written with, source text of functions included, so that
 * two peers agree on a version exactly when they would treat a message alike (closures and imports excepted: what a
 * function calls elsewhere is not seen).
 *
 * Decision: boundaries beside those written. What follows an idempotent receiver and reaches outside, and each further
 * target that reaches outside, begins a stage of its own: so a duplicate is known to be one before anything is sent, and
 * a failing second target does not repeat the first.
 */
import { hashText } from '../base/hash.ts'
import { InvalidError } from '../base/errors.ts'
import { retryDefault, type RetryPolicy } from './components/retry.ts'
import type { FlowNodes, Node, StageNode } from './nodes.ts'
import type { Source } from './ports.ts'

export interface PlanStep {
  readonly node: Exclude<Node, { readonly kind: 'retry' }>
  /** Undefined: the chain ends. */
  readonly next: number | undefined
  /** Of a router: the first step of each route. */
  readonly routes: readonly (number | undefined)[]
  /** Place in `stages`: the stage this step is worked on in; of a stage step the one before. */
  readonly stage: number
}

export interface PlanStage {
  readonly name: string
  readonly first: number | undefined
  readonly concurrency: number
  readonly capacity: number
  readonly leaseMs: number
  readonly retry: RetryPolicy
}

export interface Plan {
  readonly name: string
  /** 12 hexadecimal digits. */
  readonly version: string
  readonly sources: Readonly<Record<string, Source>>
  readonly steps: readonly PlanStep[]
  /** The first is 'in': what sources put into. */
  readonly stages: readonly PlanStage[]
  readonly deadLetter: string
}

/** The queue before a stage: one per version, so that a peer takes only what it can go on with. */
export function queueName({ name, version }: Pick<Plan, 'name' | 'version'>, stage: string): string {
  return `flow/${name}@${version}/${stage}`
}

type Growing<T> = { -readonly [K in keyof T]: T[K] }

const entry = { concurrency: 16, capacity: 100_000, leaseMs: 10_000 }

/** Throws InvalidError. */
export function planOf(nodes: FlowNodes): Plan {
  const compiler = new Compiler()
  compiler.begin({ kind: 'stage', name: 'in', ...entry })
  compiler.chain(nodes.steps, '')
  const steps = compiler.steps.map(step => Object.freeze(step))
  const stages = compiler.stages.map(stage => Object.freeze(stage))
  if (steps.length === 0) throw new InvalidError(`flow ${nodes.name} does nothing with its messages`)
  const { name, sources, deadLetter } = nodes
  return Object.freeze({ name, version: versionOf(nodes), sources, steps, stages, deadLetter })
}

class Compiler {
  readonly steps: Growing<PlanStep>[] = []
  readonly stages: Growing<PlanStage>[] = []
  readonly #names = new Set<string>()
  #stage = -1
  /** Begun, and without a step so far. */
  #opened: Growing<PlanStage> | undefined
  /** Since the last boundary or aggregator. */
  #hasReceiver = false
  #hasEffect = false

  begin({ name, concurrency, capacity, leaseMs }: StageNode): void {
    this.#unique(name)
    this.#stage = this.stages.length
    this.stages.push({ name, first: undefined, concurrency, capacity, leaseMs, retry: retryDefault })
    this.#opened = this.#current
    this.#hasReceiver = this.#hasEffect = false
  }

  /** Returns the number of the first step. `prefix` tells branches apart. */
  chain(nodes: readonly Node[], prefix: string): number | undefined {
    let first: number | undefined
    let before: Growing<PlanStep> | undefined
    const link = (node: PlanStep['node']): Growing<PlanStep> => {
      const at = this.steps.length
      const step: Growing<PlanStep> = { node, next: undefined, routes: [], stage: this.#stage }
      this.steps.push(step)
      first ??= at
      if (before !== undefined) before.next = at
      if (this.#opened !== undefined) this.#opened.first = at
      this.#opened = undefined
      before = step
      return step
    }
    const open = (stage: StageNode): void => {
      link(stage)
      this.begin(stage)
    }
    for (const node of nodes) {
      if (node.kind === 'retry') {
        this.#current.retry = node.policy
        continue
      }
      if (node.kind === 'stage') {
        open(node)
        continue
      }
      const named = prefix === '' || node.kind === 'aggregator' ? node : { ...node, name: `${prefix}${node.name}` }
      if (this.#needsBoundary(node)) open({ kind: 'stage', name: `before-${named.name}`, ...entry })
      this.#noted(node)
      this.#unique(named.name)
      const step = link(named)
      if (named.kind === 'content-based-router') this.#branch(step, named)
    }
    this.#opened = undefined
    return first
  }

  get #current(): Growing<PlanStage> {
    return this.stages[this.#stage] as Growing<PlanStage>
  }

  #branch(step: Growing<PlanStep>, node: Extract<PlanStep['node'], { readonly kind: 'content-based-router' }>): void {
    const before = [this.#stage, this.#hasReceiver, this.#hasEffect] as const
    step.routes = node.routes.map(route => {
      ;[this.#stage, this.#hasReceiver, this.#hasEffect] = before
      return this.chain(route.steps, `${node.name}.${route.name}.`)
    })
  }

  #needsBoundary(node: Node): boolean {
    return reachesOutside(node) && (this.#hasReceiver || this.#hasEffect)
  }

  #noted(node: Node): void {
    if (node.kind === 'idempotent-receiver') this.#hasReceiver = true
    // What an aggregator releases is a unit of work of its own.
    if (node.kind === 'aggregator') this.#hasReceiver = this.#hasEffect = false
    if (reachesOutside(node)) this.#hasEffect = true
  }

  #unique(name: string): void {
    if (this.#names.has(name))
      throw new InvalidError(`two steps are named '${name}': names tell queues and retries apart`)
    this.#names.add(name)
  }
}

function reachesOutside(node: Node): boolean {
  return node.kind === 'target' && node.target.style !== 'grid'
}

function versionOf({ name, sources, steps, deadLetter }: FlowNodes): string {
  const text = JSON.stringify({ name, sources, steps, deadLetter }, (key, value: unknown) => {
    if (typeof value === 'function') return String(value)
    return key === 'schema' ? schemaText(value) : value
  })
  const [a, b] = [hashText(text), hashText(text, 0x9e3779b9)]
  return `${a.toString(16).padStart(8, '0')}${b.toString(16).padStart(8, '0')}`.slice(0, 12)
}

/** Schemas hold functions, caches and cycles: only who made it counts. */
function schemaText(schema: unknown): unknown {
  return (schema as { readonly '~standard'?: { readonly vendor: string } } | undefined)?.['~standard']?.vendor
}
