/**
 * Bugs to plant: a simulator finds what its generator makes and its checkers see, so it is judged by these. Each patches
 * the prototype of a machine for the length of a run. No plant lies in lib, and none is reachable from it.
 */
import { Consensus, type ConsensusEffect, type ConsensusInput } from '../lib/consensus/consensus.ts'
import type { Instant } from '../lib/base/instant.ts'
import type { LogEntry, Outcome } from '../lib/replication/command.ts'
import { Copy } from '../lib/replication/copy.ts'
import { PartitionState } from '../lib/replication/partition-state.ts'
import { Replica } from '../lib/replication/replica.ts'
import { Replication, type ReplicationEffect, type ReplicationInput } from '../lib/replication/replication.ts'
import { Sessions } from '../lib/replication/sessions.ts'
import { Transactions } from '../lib/replication/transactions.ts'
import { Turn } from '../lib/replication/turn.ts'
import { MapStructure } from '../lib/structures/map.ts'
import { QueueStructure } from '../lib/structures/queue.ts'
import { Structures } from '../lib/structures/structures.ts'
import type { PlantName } from './scenarios.ts'

/** Replaces a method; `make` gets the original. Returns how to put it back. */
function patch<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name]
  prototype[name] = make(original)
  return () => {
    prototype[name] = original
  }
}

/** Replaces a getter. */
function patchGetter(prototype: object, name: string, get: () => unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor
  Object.defineProperty(prototype, name, { configurable: true, get })
  return () => Object.defineProperty(prototype, name, original)
}

function all(...undo: readonly (() => void)[]): () => void {
  return () => {
    for (const one of undo) one()
  }
}

/** Whether the entry now being applied is applied by its owner. */
let isOwner = true

function tellOwner(): () => void {
  return patch(
    Replica.prototype,
    'applyReady',
    original =>
      function (this: Replica): void {
        const before = isOwner
        isOwner = this.tenure !== undefined
        original.call(this)
        isOwner = before
      },
  )
}

type ReplicationStep = (this: Replication, now: Instant, input: ReplicationInput) => readonly ReplicationEffect[]
type ConsensusStep = (this: Consensus, now: Instant, input: ConsensusInput) => readonly ConsensusEffect[]

const plants: Readonly<Record<PlantName, () => () => void>> = {
  /** A copy takes appends of any epoch. */
  'no-epoch-check': () =>
    patch(
      Replication.prototype,
      'step',
      (original): ReplicationStep =>
        function (now, input) {
          if (input.kind === 'received' && input.message.kind === 'append') {
            const replica = this.partition(input.message.partition)
            if (replica !== undefined && input.message.epoch < replica.seenEpoch) {
              replica.seenEpoch = input.message.epoch
              replica.follower.abandon()
            }
          }
          return original.call(this, now, input)
        },
    ),

  /** The owner answers before its backups hold the entry. */
  'early-acknowledgement': () => patchGetter(Copy.prototype, 'isRequired', () => false),

  /** The owner answers whether or not it has a lease. */
  'no-lease-check': () => patchGetter(Turn.prototype, 'hasLease', () => true),

  /** A leader grants leases without asking whether it still leads. */
  'deposed-leader-grants': () =>
    patch(
      Consensus.prototype,
      'step',
      (original): ConsensusStep =>
        function (now, input) {
          if (input.kind !== 'confirm') return original.call(this, now, input)
          return [{ kind: 'confirmed', id: input.id, ok: true }]
        },
    ),

  /** A learner becomes a backup before it holds everything. */
  'early-promotion': () =>
    patch(
      Replication.prototype,
      'step',
      (original): ReplicationStep =>
        function (now, input) {
          const effects = original.call(this, now, input)
          if (input.kind !== 'table') return effects
          const early: ReplicationEffect[] = []
          input.state.partitions.forEach(({ epoch, learners }, partition) => {
            if (this.partition(partition)?.tenure === undefined) return
            for (const learner of learners)
              early.push({ kind: 'ask', request: { kind: 'promote', partition, epoch, learner } })
          })
          return [...effects, ...early]
        },
    ),

  /** A voter votes for every candidate of a term. */
  'double-vote': () =>
    patch(
      Consensus.prototype,
      'step',
      (original): ConsensusStep =>
        function (now, input) {
          const effects = original.call(this, now, input)
          if (input.kind !== 'received' || input.message.kind !== 'requestVote') return effects
          return effects.map(effect =>
            effect.kind === 'send' && effect.message.kind === 'voted'
              ? { ...effect, message: { ...effect.message, isGranted: true } }
              : effect,
          )
        },
    ),

  /** Results are recorded by the owner alone, so that a retry after a failover is applied again. */
  'lost-results': () =>
    all(
      tellOwner(),
      patch(
        Sessions.prototype,
        'record',
        original =>
          function (this: Sessions, id: string, sequence: number, outcome: Outcome): void {
            if (isOwner) original.call(this, id, sequence, outcome)
          },
      ),
    ),

  /** Decisions are kept by the owner alone. */
  'unreplicated-decisions': () =>
    all(
      tellOwner(),
      patch(
        PartitionState.prototype,
        'apply',
        original =>
          function (this: PartitionState, entry: LogEntry, monotonicMs: number): Outcome | undefined {
            if (entry.command.kind !== 'decide' || isOwner) return original.call(this, entry, monotonicMs)
            return original.call(this, { ...entry, command: { ...entry.command, commit: false } }, monotonicMs)
          },
      ),
    ),

  /** A prepared transaction is kept by the owner alone. */
  'unreplicated-prepares': () =>
    all(
      tellOwner(),
      patch(
        Transactions.prototype,
        'hold',
        original =>
          function (this: Transactions, ...args: Parameters<Transactions['hold']>): void {
            if (isOwner) original.apply(this, args)
          },
      ),
    ),

  /** Message leases are known to the owner alone. */
  'unlogged-queue-leases': () =>
    all(
      tellOwner(),
      patch(
        QueueStructure.prototype,
        'execute',
        original =>
          function (this: QueueStructure, ...args: Parameters<QueueStructure['execute']>) {
            return args[0].kind === 'queue.take' && !isOwner ? [] : original.apply(this, args)
          },
      ),
    ),

  /** Copies apply expiries and delays by clocks of their own, some seconds apart from the owner's. */
  'backup-clock': () =>
    all(
      tellOwner(),
      patch(
        Structures.prototype,
        'execute',
        original =>
          function (this: Structures, ...args: Parameters<Structures['execute']>) {
            const [operation, context] = args
            return original.call(this, operation, isOwner ? context : { ...context, atMs: context.atMs + 3_000 })
          },
      ),
    ),

  /** What computes a value runs again at each copy, and comes to another result. */
  'processor-at-backup': () =>
    all(
      tellOwner(),
      patch(
        MapStructure.prototype,
        'execute',
        original =>
          function (this: MapStructure, ...args: Parameters<MapStructure['execute']>) {
            const [operation, context] = args
            if (operation.kind !== 'map.put' || isOwner || operation.map === 'accounts')
              return original.apply(this, args)
            return original.call(this, { ...operation, value: new Uint8Array([...operation.value, 42]) }, context)
          },
      ),
    ),
}

/** Plants the bug; returns how to pull it out again. One at a time per thread. */
export function plant(name: PlantName): () => void {
  return plants[name]()
}
