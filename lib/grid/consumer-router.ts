/**
 * Which shards a consumer takes from next: those owned here first, then those that owners elsewhere have hinted at. Who
 * finds nothing waits until a shard here gets ready, a hint comes, or a pause ends (`lookMs`); while it
 * waits it tells the other members that it is idle, and they answer with what lies ready and unwanted there. So
 * lost hints cost time and nothing else, and an idle queue costs a small message per member and second.
 *
 * Decision: owners answer instead of consumers asking each shard, because there are hundreds of shards and most are
 * empty.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import type { Env } from '../base/env.ts'
import type { Hint, ReadyShard } from '../peer/hint.ts'
import type { Shards } from './shards.ts'

/** A waiting consumer looks at the shards here this often, doubling from the first to the second. */
export const lookMs = { min: 50, max: 250 } as const
/** And tells other members that it is idle this often, likewise; when it begins to wait at once, but for what it said just now. */
export const idleMs = { first: 5, min: 50, max: 1_000 } as const
/** Shards named in one hint; the next hint names more. */
const shardsHintedMax = 32
/** Idle members told of the same shards. More is faster when some found work meanwhile, and makes takes that find nothing. */
const membersHintedMax = 3
/** Queues that this member routes for; of more, idle members elsewhere are not heard. */
const queuesMax = 10_000
/** An idle member is not told later than this after it said so: it says so again within. */
const interestMs = 2 * idleMs.max

/** One shard to take from, and how many messages it may have. */
export interface Choice {
  readonly partition: PartitionId
  readonly count: number
}

interface Waiter {
  wake: () => void
}

/** One queue's. */
class Router {
  /** Shards here with ready messages, as far as seen. */
  readonly local = new Set<PartitionId>()
  /** Shards elsewhere, by hint. */
  readonly hinted = new Map<PartitionId, number>()
  /** Messages asked for by takes under way, by shard. */
  readonly reserved = new Map<PartitionId, number>()
  readonly waiters = new Set<Waiter>()
  /** Idle members, until when. */
  readonly interested = new Map<MemberId, number>()
  toldIdleMs = -Infinity
}

export class ConsumerRouter {
  readonly #env: Env
  readonly #shards: Shards
  readonly #tell: (member: MemberId, hint: Hint) => void
  readonly #routers = new Map<string, Router>()

  constructor(env: Env, shards: Shards, tell: (member: MemberId, hint: Hint) => void) {
    this.#env = env
    this.#shards = shards
    this.#tell = tell
  }

  /** Shards that should together hold `max` messages, at most `choicesMax`; reserved until `took`. */
  choose(queue: string, max: number, choicesMax: number): readonly Choice[] {
    const router = this.#router(queue)
    const chosen: Choice[] = []
    let wanted = max
    for (const partition of router.local) {
      if (wanted <= 0 || chosen.length >= choicesMax) break
      const count = this.#unreserved(router, queue, partition)
      if (count <= 0) {
        router.local.delete(partition)
        continue
      }
      chosen.push({ partition, count: Math.min(count, wanted) })
      wanted -= count
      // To the end of the line: shards are served in turn.
      router.local.delete(partition)
      router.local.add(partition)
    }
    if (chosen.length === 0) {
      for (const [partition, count] of router.hinted) {
        if (wanted <= 0 || chosen.length >= choicesMax) break
        router.hinted.delete(partition)
        chosen.push({ partition, count: Math.min(count, wanted) })
        wanted -= count
      }
    }
    for (const { partition, count } of chosen)
      router.reserved.set(partition, (router.reserved.get(partition) ?? 0) + count)
    return chosen
  }

  /** Whether `choose` would find something. */
  hasChoice(queue: string): boolean {
    const router = this.#router(queue)
    if (router.hinted.size > 0) return true
    for (const partition of router.local) if (this.#unreserved(router, queue, partition) > 0) return true
    return false
  }

  /** Whether messages may lie elsewhere. */
  get hasOthers(): boolean {
    return this.#shards.others.length > 0
  }

  /** The take is over. */
  took(queue: string, { partition, count }: Choice, takenCount: number): void {
    const router = this.#router(queue)
    const left = (router.reserved.get(partition) ?? 0) - count
    if (left > 0) router.reserved.set(partition, left)
    else router.reserved.delete(partition)
    // A full take elsewhere: there may be more.
    if (takenCount === count && takenCount > 0 && !this.#isOwned(partition)) router.hinted.set(partition, count)
    this.#offer(queue, router)
  }

  /** Looks at every shard owned here: the fallback for what no change has told. */
  scan(queue: string): boolean {
    const router = this.#router(queue)
    const atMs = this.#env.now().wallMs
    for (const partition of this.#shards.owned)
      if (this.#shards.ready(partition, queue, atMs) > 0) router.local.add(partition)
    return router.local.size > 0
  }

  /** Tells others that consumers wait here, unless it did so less than `sinceMs` ago. */
  idle(queue: string, sinceMs: number): void {
    const router = this.#router(queue)
    const nowMs = this.#env.now().monotonicMs
    if (nowMs - router.toldIdleMs < sinceMs) return
    router.toldIdleMs = nowMs
    for (const member of this.#shards.others) this.#tell(member, { kind: 'idle', queues: [queue] })
  }

  /** Calls back once when there may be something to take. Returns how to stop waiting. */
  wait(queue: string, wake: () => void): () => void {
    const router = this.#router(queue)
    const waiter = { wake }
    router.waiters.add(waiter)
    return () => void router.waiters.delete(waiter)
  }

  /** End of a turn of the peer: wakes who waits for what became ready here. */
  turned(): void {
    const changed = new Set<string>()
    this.#shards.drain((queue, partition) => {
      const router = this.#routers.get(queue)
      if (router === undefined) return
      router.local.add(partition)
      changed.add(queue)
    })
    for (const queue of changed) this.#offer(queue, this.#router(queue))
  }

  heard(from: MemberId, hint: Hint): void {
    if (hint.kind === 'ready') {
      const router = this.#routers.get(hint.queue)
      if (router === undefined) return
      for (const { partition, count } of hint.shards) router.hinted.set(partition, count)
      return this.#wake(router, hint.shards.length)
    }
    const untilMs = this.#env.now().monotonicMs + interestMs
    for (const queue of hint.queues) {
      if (!this.#routers.has(queue) && this.#routers.size >= queuesMax) continue
      const router = this.#router(queue)
      router.interested.delete(from)
      router.interested.set(from, untilMs)
      this.scan(queue)
      this.#offer(queue, router)
    }
  }

  /** Nothing is known any more: the member starts over. */
  clear(): void {
    for (const router of this.#routers.values()) {
      router.local.clear()
      router.hinted.clear()
      router.interested.clear()
    }
  }

  /** What is ready here goes to who waits here; else to idle members. */
  #offer(queue: string, router: Router): void {
    if (router.waiters.size === 0 && router.interested.size === 0) return
    const shards: ReadyShard[] = []
    let count = 0
    for (const partition of router.local) {
      const ready = this.#unreserved(router, queue, partition)
      if (ready <= 0) router.local.delete(partition)
      else if (shards.length < shardsHintedMax) shards.push({ partition, count: ready })
      count += Math.max(ready, 0)
    }
    if (count === 0) return
    if (router.waiters.size > 0) return this.#wake(router, count)
    // Some may have found work since: tell several, the last to say that it is idle first.
    const nowMs = this.#env.now().monotonicMs
    for (const [member, untilMs] of [...router.interested].reverse().slice(0, membersHintedMax)) {
      router.interested.delete(member)
      if (untilMs >= nowMs) this.#tell(member, { kind: 'ready', queue, shards })
    }
  }

  #wake(router: Router, countMax: number): void {
    let left = countMax
    for (const waiter of router.waiters) {
      if (left-- <= 0) return
      router.waiters.delete(waiter)
      waiter.wake()
    }
  }

  #unreserved(router: Router, queue: string, partition: PartitionId): number {
    if (!this.#isOwned(partition)) return 0
    const atMs = this.#env.now().wallMs
    return this.#shards.ready(partition, queue, atMs) - (router.reserved.get(partition) ?? 0)
  }

  #isOwned(partition: PartitionId): boolean {
    return this.#shards.owns(partition)
  }

  #router(queue: string): Router {
    const found = this.#routers.get(queue)
    if (found !== undefined) return found
    const made = new Router()
    this.#routers.set(queue, made)
    return made
  }
}
