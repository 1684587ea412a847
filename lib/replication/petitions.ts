/**
 * What an owner asks of placement about its copies: to make a learner a backup, to remove a backup that is silent.
 * Every request names the epoch that it is for and is void in any other, so one at a time is enough.
 *
 * Promotion goes in two steps, so that nothing is lost between them: first commits wait for the learner, then, once it
 * holds everything that was committed before, the owner asks. From the asking on it stays required until the
 * partition's epoch has passed the one named in the request, for only then is the request surely granted or void.
 * A silent learner that was asked for is named in a removal: that moves the epoch, and so releases the owner.
 *
 * A backup that the table shows silent or parting is named at once: placement takes away no copy whose process may live
 * unless the owner says that it knows (placement/plan.ts).
 */
import type { PlacementRequest } from '../placement/requests.ts'
import type { Copy } from './copy.ts'
import type { Tenure } from './tenure.ts'

export class Petitions {
  readonly #tenure: Tenure
  #asked: { readonly request: PlacementRequest; atMs: number } | undefined

  constructor(tenure: Tenure) {
    this.#tenure = tenure
  }

  /** Whatever was asked is granted or void. */
  epochMoved(): void {
    this.#asked = undefined
  }

  /** Looks for something to ask. */
  consider(): void {
    for (const copy of this.#tenure.copies) {
      if (copy.isRequired && this.#asked?.request.kind !== 'remove') this.#considerRemoval(copy)
      if (!copy.isBackup && this.#tenure.isOpen) this.#considerPromotion(copy)
    }
  }

  askRemoval(copy: Copy): void {
    const { replica, epoch } = this.#tenure
    this.#ask({ kind: 'remove', partition: replica.partition, epoch, backup: copy.member })
  }

  /** Placement repeats requests by itself; this is for the case that it lost one. False if nothing is asked. */
  repeat(): boolean {
    const { turn } = this.#tenure
    if (this.#asked === undefined) return false
    if (turn.now.monotonicMs - this.#asked.atMs < turn.options.askAgainMs) return true
    this.#asked.atMs = turn.now.monotonicMs
    turn.ask(this.#asked.request)
    return true
  }

  #considerRemoval(copy: Copy): void {
    const { turn } = this.#tenure
    if (!turn.hasLease || !(this.#isSilent(copy) || this.#tenure.isParting(copy))) return
    if (copy.isBackup || copy.promotion?.askedEpoch !== undefined) return this.askRemoval(copy)
    copy.promotion = undefined
    this.#tenure.advance()
  }

  #considerPromotion(copy: Copy): void {
    const { turn, replica, held, epoch } = this.#tenure
    if (copy.mode !== 'stream' || turn.table.members.get(copy.member)?.state !== 'live') return
    if (this.#isSilent(copy)) return
    if (copy.promotion === undefined) {
      if (this.#asked !== undefined || held.log.lastIndex - copy.match > turn.options.promoteWindow) return
      copy.promotion = { askedEpoch: undefined }
    }
    const isComplete = copy.match >= replica.commitIndex
    if (this.#asked !== undefined || !turn.hasLease || !isComplete || copy.promotion.askedEpoch !== undefined) return
    copy.promotion.askedEpoch = epoch
    this.#ask({ kind: 'promote', partition: replica.partition, epoch, learner: copy.member })
  }

  #isSilent(copy: Copy): boolean {
    const { now, awakeSinceMs, options } = this.#tenure.turn
    if (copy.quietSinceMs === undefined) return false
    return now.monotonicMs - Math.max(copy.quietSinceMs, awakeSinceMs) >= options.silentAfterMs + copy.travelMs
  }

  #ask(request: PlacementRequest): void {
    const { turn } = this.#tenure
    const asked = this.#asked?.request
    if (asked?.kind === request.kind && memberOf(asked) === memberOf(request)) return
    this.#asked = { request, atMs: turn.now.monotonicMs }
    turn.ask(request)
    const { kind, partition, epoch } = request
    turn.emit(kind === 'remove' ? 'info' : 'debug', `replication.${kind}-asked`, {
      partition,
      epoch,
      member: memberOf(request),
    })
  }
}

function memberOf(request: PlacementRequest): string {
  return request.kind === 'promote' ? request.learner : request.backup
}
