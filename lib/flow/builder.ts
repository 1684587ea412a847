/**
 * How a flow is written: a chain of steps, each call returning a new, longer flow. Types follow the message along the
 * chain; what the chain holds are plain frozen nodes (nodes.ts).
 *
 *     flow('orders').from(http.post('/orders/:id', { body: Order })).filter(m => m.body.total > 0).to(queue('billing'))
 */
import { InvalidError } from '../base/errors.ts'
import { durationMs, type Duration } from '../grid/duration.ts'
import { checkedAggregator, type CompleteWhen, type OnLate, type OnTimeout } from './components/aggregator.ts'
import { checkedPolicy } from './components/retry.ts'
import type { AnyMessage, BodyFrom, Message, StepContext } from './message.ts'
import type { FlowNodes, Node, Route, StageNode } from './nodes.ts'
import { planOf, type Plan } from './plan.ts'
import type { Source, Target } from './ports.ts'

type Awaitable<T> = T | Promise<T>

/** The message of one source. */
type MessageOf<Name extends string, S> =
  S extends Source<infer Body, infer Params> ? Message<Body, Name, Params> : never
/** A union over all sources. */
export type MessageOfSources<Sources extends Readonly<Record<string, Source>>> = {
  [Name in keyof Sources & string]: MessageOf<Name, Sources[Name]>
}[keyof Sources & string]

/** When a group is complete: one of each of these sources; so many in all; or when a function of what is there says so. */
export type Completion<M extends AnyMessage> =
  { readonly each: readonly M['source'][] } | { readonly size: number } | ((messages: readonly M[]) => boolean)

/** Bodies by source where each counts once, messages otherwise. */
export type MergeInput<M extends AnyMessage, C, T extends OnTimeout> = C extends {
  readonly each: readonly (infer S extends string)[]
}
  ? T extends 'release'
    ? { readonly [N in S]?: BodyFrom<M, N> }
    : { readonly [N in S]: BodyFrom<M, N> }
  : readonly M[]

export interface AggregatorSettings<M extends AnyMessage, C extends Completion<M>, T extends OnTimeout, Out> {
  /** What belongs together. */
  readonly by: (message: M) => string | number
  readonly complete: C
  /** From the first piece. Default: none, an incomplete group waits for ever. */
  readonly timeout?: Duration | undefined
  /** Default 'dead-letter'. 'release' merges what there is. */
  readonly onTimeout?: T | undefined
  /** A piece whose group is over. Default 'discard': counted, and gone. */
  readonly onLate?: OnLate | undefined
  /** How long a group is known to be over. Default '10m'. */
  readonly remember?: Duration | undefined
  /** Pieces of one group; a further one waits in its queue. Default 10,000. */
  readonly piecesMax?: number | undefined
  readonly merge: (input: MergeInput<M, C, T>, key: string, context: StepContext) => Awaitable<Out>
}

export interface StageSettings {
  /** Units of work at once, on each peer. Default 16. */
  readonly concurrency?: number | undefined
  /** Messages, roughly (see queue settings); full pushes back to the sources. Default 100,000. */
  readonly capacity?: number | undefined
  /** Renewed while a message is worked on. Longer tolerates longer stalls; shorter redelivers sooner. Default '10s'. */
  readonly lease?: Duration | undefined
}

export interface RetrySettings {
  /** Deliveries in all. Default 10. */
  readonly attempts?: number | undefined
  /** The first pause, and the longest. Default ['1s', '1m']. */
  readonly backoff?: readonly [min: Duration, max: Duration] | undefined
}

/** Branches of a router, tried in order. */
export class Routes<M extends AnyMessage> {
  readonly routes: readonly Route[]
  readonly #sources: readonly string[]

  constructor(sources: readonly string[], routes: readonly Route[] = []) {
    this.#sources = sources
    this.routes = routes
  }

  when<N extends M>(name: string, test: (message: M) => message is N, branch: Branch<N>): Routes<M>
  when(name: string, test: (message: M, context: StepContext) => Awaitable<boolean>, branch: Branch<M>): Routes<M>
  when(name: string, test: (message: M, context: StepContext) => unknown, branch: Branch<never>): Routes<M> {
    return this.#with(name, test as Route['when'], branch)
  }

  otherwise(branch: Branch<M>): Routes<M> {
    return this.#with('otherwise', undefined, branch as Branch<never>)
  }

  #with(name: string, when: Route['when'], branch: Branch<never>): Routes<M> {
    const { steps } = branch(new Flow<never>(bare(this.#sources), this.#sources)).nodes
    return new Routes(this.#sources, [...this.routes, { name, when, steps }])
  }
}

type Branch<M extends AnyMessage> = (flow: Flow<M>) => Flow<AnyMessage>

export class Flow<out M extends AnyMessage> {
  readonly nodes: FlowNodes
  /** Names that `source` may have here. */
  readonly #sources: readonly string[]

  constructor(nodes: FlowNodes, sources: readonly string[]) {
    this.nodes = nodes
    this.#sources = sources
  }

  get name(): string {
    return this.nodes.name
  }

  /** Frozen, checked. Throws InvalidError that says what is wrong and where. */
  get plan(): Plan {
    return planOf(this.nodes)
  }

  /** The second message with a key is counted and gone. Default `remember`: '1h'. */
  idempotentReceiver(settings: {
    readonly by: (message: M) => string | number
    readonly remember?: Duration | undefined
  }): Flow<M> {
    const name = this.#named('idempotent-receiver')
    const rememberMs = durationMs(settings.remember ?? '1h', 'remember')
    return this.#then({ kind: 'idempotent-receiver', name, by: settings.by as never, rememberMs })
  }

  aggregator<const Name extends string, const C extends Completion<M>, Out, T extends OnTimeout = 'dead-letter'>(
    name: Name,
    settings: AggregatorSettings<M, C, T, Out>,
  ): Flow<Message<Out, Name, object>> {
    const { by, complete, timeout, onTimeout, onLate = 'discard', remember, piecesMax = 10_000, merge } = settings
    const node = checkedAggregator({
      kind: 'aggregator',
      name,
      by: by as never,
      complete: (typeof complete === 'function' ? { test: complete } : complete) as CompleteWhen,
      timeoutMs: timeout === undefined ? undefined : durationMs(timeout, `timeout of ${name}`),
      onTimeout: onTimeout ?? 'dead-letter',
      onLate,
      rememberMs: durationMs(remember ?? '10m', `remember of ${name}`),
      piecesMax,
      sources: this.#sources,
      merge: merge as never,
    })
    return this.#then(node, [name])
  }

  filter<N extends M>(test: (message: M) => message is N): Flow<N>
  filter(test: (message: M, context: StepContext) => Awaitable<boolean>): Flow<M>
  filter(test: (message: M, context: StepContext) => unknown): Flow<M> {
    return this.#then({ kind: 'filter', name: this.#named('filter'), test: test as never })
  }

  transform<Out>(
    map: (message: M, context: StepContext) => Awaitable<Out>,
  ): Flow<Message<Out, M['source'], M['params']>> {
    return this.#then({ kind: 'transform', name: this.#named('transform'), map: map as never })
  }

  /** Parts have ids `id/0`, `id/1` ...; headers `skein-part` and `skein-parts` say which of how many, `correlation` of what. */
  splitter<Out>(
    split: (message: M, context: StepContext) => Awaitable<Iterable<Out>>,
  ): Flow<Message<Out, M['source'], M['params']>> {
    return this.#then({ kind: 'splitter', name: this.#named('splitter'), split: split as never })
  }

  /** `.contentBasedRouter(r => r.when('big', m => m.body.n > 9, f => f.to(queue('big'))).otherwise(f => f.to(log())))` ends the chain. */
  contentBasedRouter(routes: (routes: Routes<M>) => Routes<M>): Flow<never> {
    const made = routes(new Routes<M>(this.#sources)).routes
    return this.#then({ kind: 'content-based-router', name: this.#named('router'), routes: made })
  }

  /** A replicated queue between what comes before and what comes after. */
  stage(name: string, settings: StageSettings = {}): Flow<M> {
    return this.#then(stageNode(name, settings))
  }

  /** For the stage it stands in. */
  retry(settings: RetrySettings): Flow<M> {
    const { attempts = 10, backoff = ['1s', '1m'] } = settings
    const [min, max] = backoff.map(each => durationMs(each, 'backoff')) as [number, number]
    const policy = checkedPolicy({ attempts, backoffMinMs: min, backoffMaxMs: max })
    return this.#then({ kind: 'retry', name: this.#named('retry'), policy })
  }

  to(target: Target<M['body']>, name?: string): Flow<M> {
    return this.#then({ kind: 'target', name: name ?? this.#named(target.kind), target: target as Target<unknown> })
  }

  /** The list for what no retry helped. Default `${flow}.dead`. */
  deadLetter(list: string): Flow<M> {
    return new Flow({ ...this.nodes, deadLetter: list }, this.#sources)
  }

  #then<N extends AnyMessage>(node: Node, sources: readonly string[] = this.#sources): Flow<N> {
    return new Flow<N>({ ...this.nodes, steps: [...this.nodes.steps, Object.freeze(node)] }, sources)
  }

  /** 'filter', 'filter-2', 'filter-3' ... */
  #named(kind: string): string {
    const count = this.nodes.steps.filter(({ name }) => name === kind || name.startsWith(`${kind}-`)).length
    return count === 0 ? kind : `${kind}-${count + 1}`
  }
}

export interface FlowStart {
  /** One source: its name is 'in'. */
  from<Body, Params extends object>(source: Source<Body, Params>): Flow<Message<Body, 'in', Params>>
  /** Several, by name: `m.source` tells which. */
  from<const Sources extends Readonly<Record<string, Source>>>(sources: Sources): Flow<MessageOfSources<Sources>>
}

/** A name is stable for ever: what is queued lies under it. */
export function flow(name: string): FlowStart {
  if (!/^[A-Za-z0-9][\w.-]{0,99}$/.test(name))
    throw new InvalidError(`'${name}' cannot name a flow: letters, digits, '.', '-' and '_', at most 100`)
  return {
    from: (sources: Source | Readonly<Record<string, Source>>) => {
      const named = isSource(sources) ? { in: sources } : sources
      const names = Object.keys(named)
      if (names.length === 0) throw new InvalidError(`flow ${name} has no source`)
      return new Flow<never>(
        { name, sources: Object.freeze({ ...named }), steps: [], deadLetter: `${name}.dead` },
        names,
      )
    },
  }
}

function isSource(sources: Source | Readonly<Record<string, Source>>): sources is Source {
  return (sources as Source).edge === 'source' && typeof (sources as Source).open === 'function'
}

function bare(sources: readonly string[]): FlowNodes {
  return { name: '', sources: Object.fromEntries(sources.map(name => [name, {} as Source])), steps: [], deadLetter: '' }
}

const leaseMsDefault = 10_000

/** Throws InvalidError. */
export function stageNode(name: string, settings: StageSettings): StageNode {
  const { concurrency = 16, capacity = 100_000, lease = leaseMsDefault } = settings
  for (const [field, value] of Object.entries({ concurrency, capacity }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new InvalidError(`stage ${name}: ${field} is ${value}; give a whole number from 1`)
  return { kind: 'stage', name, concurrency, capacity, leaseMs: durationMs(lease, `lease of stage ${name}`) }
}
