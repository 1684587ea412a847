/**
 * Requests to the owners of partitions, each kept until it is answered, its deadline passes, or it is dropped. A request
 * is sent again when the table names another owner, when its link broke, after a back-off when the owner could not take
 * it, and at growing intervals while nothing is heard, because a message may be lost. It carries the same call id each
 * time, so it is applied at most once.
 *
 * Certainty: each sending has an id of its own, and its reply counts as the answer to that sending alone. A command is
 * known not to be applied if it was never sent or every sending was answered with a retry. This rests on the network
 * never delivering one frame twice; a lane session numbers its frames.
 */
import type { MemberId, PartitionId, SessionId } from '../base/ids.ts'
import type { Send } from '../base/machine.ts'
import type { Prng } from '../base/prng.ts'
import type { ClusterState } from '../consensus/cluster-state.ts'
import { indeterminate, unavailable, type Answer } from './answer.ts'
import { CallLane } from './call-lane.ts'
import type { Command, Outcome } from './command.ts'
import type { ReplicationMessage } from './messages.ts'
import { bytesOf, resultCount, type NewRequest, type Request, type Reserved } from './request.ts'
import { SendWindow, slowestBytesPerMs } from './send-window.ts'
import { outcomeBytes } from './size.ts'
import { Wakes } from './wakes.ts'

export interface RequestOptions {
  /** First retransmit, doubled up to `retransmitMaxMs`. Default 200: shorter loads a slow owner, longer waits after a loss. */
  readonly retransmitMs: number
  /** Default 1,000. */
  readonly retransmitMaxMs: number
  /** Unsent calls of one partition; the next is refused FULL. Default 10,000. */
  readonly waitingMax: number
}

export const requestDefaults: RequestOptions = { retransmitMs: 200, retransmitMaxMs: 1000, waitingMax: 10_000 }

/** Sendings of one request whose replies are still told apart; older ones count as unanswered for ever. */
const sendingsMax = 16
/** Hints followed in a row before backing off. */
const hopsMax = 2
const backOff = { minMs: 5, maxMs: 50 }
const lockedBackOff = { minMs: 1, maxMs: 20 }

/** Refused before anything is logged and not recorded: an earlier sending may still have been applied. */
const unrecorded = new Set(['GRID_FULL', 'NOT_ENOUGH_COPIES', 'CLOSED', 'SESSION_ENDED', 'TOO_MANY_OPEN'])

interface Route {
  lane: CallLane | undefined
  /** Calls that were never sent, in their order. */
  readonly waiting: Set<Request>
  readonly active: Set<Request>
}

export class Requests {
  readonly #options: RequestOptions
  readonly #prng: Prng
  readonly #out: (send: Send<ReplicationMessage>) => void
  readonly #routes = new Map<PartitionId, Route>()
  readonly #sendings = new Map<number, Request>()
  readonly #wakes = new Wakes<Request>()
  readonly #window = new SendWindow<Request>()
  #state: ClusterState | undefined
  #session: SessionId | undefined
  #nextSending = 1

  constructor(options: RequestOptions, prng: Prng, out: (send: Send<ReplicationMessage>) => void) {
    this.#options = options
    this.#prng = prng
    this.#out = out
  }

  get session(): SessionId | undefined {
    return this.#session
  }

  /** The next deadline or resending, in whole ms. */
  get wakeMs(): number | undefined {
    return this.#wakes.nextMs
  }

  /** Undefined if too many of the partition's calls wait. `reserved` brings a sequence that `reserve` gave. */
  issue(nowMs: number, wanted: NewRequest, reserved?: Reserved): Request | undefined {
    const route = this.#route(wanted.partition)
    if (wanted.body.kind !== 'query' && !reserved && route.waiting.size >= this.#options.waitingMax) return undefined
    const replyBytesMax = this.#window.replyBytes(wanted.body.kind, resultCount(wanted.body))
    const { partition, body, deadlineMs, isLockedFinal, answered } = wanted
    const request: Request = {
      partition,
      body,
      deadlineMs,
      isLockedFinal,
      answered,
      lane: reserved?.lane,
      sequence: reserved?.sequence ?? 0,
      state: 'waiting',
      bytes: bytesOf(wanted.body) + replyBytesMax,
      replyBytesMax,
      sentTo: undefined,
      hint: undefined,
      hopCount: 0,
      sentCount: 0,
      unansweredCount: 0,
      sendings: [],
      retransmitMs: this.#options.retransmitMs,
      wakeAtMs: undefined,
      place: undefined,
    }
    if (request.body.kind === 'query' || reserved) {
      route.active.add(request)
      this.#send(nowMs, request)
    } else if (route.waiting.size > 0 || !this.#activate(nowMs, route, request)) {
      route.waiting.add(request)
      this.#pump(nowMs, wanted.partition, route)
      if (request.state === 'waiting') this.#wakes.wakeAt(request, request.deadlineMs)
    }
    return request
  }

  /** A sequence to use later; undefined without a session or with less than `roomCount` of room. */
  reserve(partition: PartitionId, roomCount: number): Reserved | undefined {
    const lane = this.#lane(this.#route(partition))
    return lane && lane.roomCount >= roomCount ? { lane, sequence: lane.take() } : undefined
  }

  /** A reserved sequence that no request carries. */
  release(nowMs: number, partition: PartitionId, reserved: Reserved): void {
    reserved.lane.release(reserved.sequence)
    this.#pump(nowMs, partition, this.#route(partition))
  }

  /** Gives up without an answer. True if it is certain that it was not and, once the mark has passed it, will not be applied. */
  drop(nowMs: number, request: Request): boolean {
    this.#remove(nowMs, request)
    return request.unansweredCount === 0
  }

  /** Gives up: answers what is known of it. */
  giveUp(nowMs: number, request: Request, why: string): void {
    if (request.state === 'answered') return
    const isCertain = request.body.kind === 'query' || request.unansweredCount === 0
    this.#answer(nowMs, request, isCertain ? unavailable(why) : indeterminate(why))
  }

  received(nowMs: number, from: MemberId, sending: number, outcome: Outcome): void {
    const request = this.#sendings.get(sending)
    if (request === undefined) return
    const isNewest = request.sendings.at(-1) === sending
    this.#sendings.delete(sending)
    request.sendings.splice(request.sendings.indexOf(sending), 1)
    if (outcome.kind === 'retry') {
      request.unansweredCount--
      if (outcome.reason === 'locked' && request.isLockedFinal) this.#answer(nowMs, request, outcome)
      else if (isNewest) this.#retry(nowMs, request, from, outcome)
    } else if (outcome.kind === 'refused' && request.body.kind !== 'query' && unrecorded.has(outcome.code)) {
      request.unansweredCount--
      const isFinal = request.unansweredCount === 0 && outcome.code !== 'TOO_MANY_OPEN'
      if (isFinal) this.#answer(nowMs, request, outcome)
      else if (isNewest) this.#backOff(nowMs, request, backOff)
    } else {
      if (outcome.kind === 'done') this.#window.replied(request.body.kind, outcomeBytes(outcome))
      this.#answer(nowMs, request, outcome)
    }
  }

  /** The reply has so many bytes: asks again with room for them. A command may have happened; its record answers. */
  oversize(nowMs: number, sending: number, bytes: number): void {
    const request = this.#sendings.get(sending)
    if (request === undefined) return
    const isNewest = request.sendings.at(-1) === sending
    this.#sendings.delete(sending)
    request.sendings.splice(request.sendings.indexOf(sending), 1)
    if (!isNewest) return
    this.#window.replied(request.body.kind, bytes)
    if (bytes > request.replyBytesMax) {
      request.bytes += bytes - request.replyBytesMax
      request.replyBytesMax = bytes
    }
    this.#send(nowMs, request)
  }

  table(nowMs: number, state: ClusterState): void {
    const before = this.#state
    this.#state = state
    for (const [partition, route] of this.#routes) {
      const entry = state.partitions[partition]
      if (entry === before?.partitions[partition]) continue
      for (const request of route.active) {
        if (entry?.owner === undefined || entry.owner === request.sentTo) continue
        request.hint = undefined
        request.hopCount = 0
        this.#send(nowMs, request)
      }
      this.#pump(nowMs, partition, route)
    }
  }

  /** What was sent there may be lost; the link may be back soon, or the table names another owner. */
  linkDown(nowMs: number, member: MemberId): void {
    for (const { active } of this.#routes.values()) {
      for (const request of active) {
        if (request.state === 'sent' && request.sentTo === member) this.#backOff(nowMs, request, backOff)
      }
    }
  }

  /**
   * The session of new calls. When another one takes its place, calls under the old one that may have been applied are
   * answered indeterminate; commands that certainly were not move over, and parts of transactions answer unavailable.
   */
  changeSession(nowMs: number, session: SessionId | undefined): void {
    this.#session = session
    if (session === undefined) return
    for (const [partition, route] of this.#routes) {
      for (const request of route.active) {
        if (request.lane && request.lane.session !== session) this.#leaveSession(nowMs, request, route)
      }
      this.#pump(nowMs, partition, route)
    }
  }

  tick(nowMs: number): void {
    for (const request of this.#wakes.takeDue(nowMs)) {
      if (request.state === 'answered') continue
      if (nowMs >= request.deadlineMs) this.giveUp(nowMs, request, this.#whyLate(request))
      else if (request.state !== 'waiting' && request.state !== 'held') {
        if (request.state === 'sent') {
          request.retransmitMs = Math.min(2 * request.retransmitMs, this.#options.retransmitMaxMs)
        }
        this.#send(nowMs, request)
      }
    }
  }

  #leaveSession(nowMs: number, request: Request, route: Route): void {
    if (request.unansweredCount > 0) {
      this.#answer(nowMs, request, indeterminate('the session ended before an answer came'))
    } else if (request.body.kind === 'execute') {
      this.#forgetSendings(request)
      route.active.delete(request)
      request.lane = undefined
      request.state = 'waiting'
      route.waiting.add(request)
      this.#wakes.wakeAt(request, request.deadlineMs)
    } else this.#answer(nowMs, request, unavailable('the session ended'))
  }

  #retry(nowMs: number, request: Request, from: MemberId, outcome: Extract<Outcome, { kind: 'retry' }>): void {
    const { reason, owner } = outcome
    if (reason === 'not-owner') {
      const known = this.#owner(request.partition)
      const next = owner !== undefined && owner !== from ? owner : known !== from ? known : undefined
      if (next !== undefined && request.hopCount < hopsMax) {
        request.hint = next
        request.hopCount++
        return this.#send(nowMs, request)
      }
    }
    this.#backOff(nowMs, request, reason === 'locked' ? lockedBackOff : backOff)
  }

  #backOff(nowMs: number, request: Request, { minMs, maxMs }: typeof backOff): void {
    request.state = 'backing-off'
    request.hint = undefined
    request.hopCount = 0
    this.#makeRoom(nowMs, request)
    this.#wakes.wakeAt(request, Math.min(request.deadlineMs, nowMs + this.#prng.between(minMs, maxMs)))
  }

  /** Sends what waits, as far as owner, session and window allow. */
  #pump(nowMs: number, partition: PartitionId, route: Route): void {
    if (route.waiting.size === 0 || this.#owner(partition) === undefined) return
    for (const request of route.waiting) if (!this.#activate(nowMs, route, request)) return
  }

  /** Sends a call for the first time; false while owner, session or window do not allow it. */
  #activate(nowMs: number, route: Route, request: Request): boolean {
    const lane = this.#lane(route)
    if (lane === undefined || lane.roomCount === 0 || this.#owner(request.partition) === undefined) return false
    route.waiting.delete(request)
    route.active.add(request)
    request.lane = lane
    request.sequence = lane.take()
    this.#send(nowMs, request)
    return true
  }

  #send(nowMs: number, request: Request): void {
    const to = request.hint ?? this.#owner(request.partition)
    if (to === undefined) {
      // The next table that names an owner sends it.
      request.sentTo = undefined
      request.state = 'backing-off'
      return this.#wakes.wakeAt(request, request.deadlineMs)
    }
    const left = this.#window.leave(request)
    if (this.#window.enter(to, request, request.bytes)) this.#transmit(nowMs, to, request)
    else {
      request.state = 'held'
      request.sentTo = undefined
      this.#wakes.wakeAt(request, request.deadlineMs)
    }
    if (left !== undefined) this.#admit(nowMs, left)
  }

  /** It counts as under way. */
  #transmit(nowMs: number, to: MemberId, request: Request): void {
    const id = this.#nextSending++
    request.state = 'sent'
    request.sentTo = to
    request.sentCount++
    request.unansweredCount++
    request.sendings.push(id)
    if (request.sendings.length > sendingsMax) this.#sendings.delete(request.sendings.shift() as number)
    this.#sendings.set(id, request)
    this.#wakes.wakeAt(
      request,
      Math.min(
        request.deadlineMs,
        nowMs + request.retransmitMs + Math.floor(this.#window.bytesTo(to) / slowestBytesPerMs),
      ),
    )
    this.#out({ kind: 'send', to, lane: 'data', message: this.#message(id, request) })
  }

  #message(id: number, { partition, body, lane, sequence, replyBytesMax }: Request): ReplicationMessage {
    const epoch = this.#state?.partitions[partition]?.epoch ?? 0
    if (body.kind === 'query') return { kind: 'query', id, partition, epoch, replyBytesMax, query: body.query }
    const call = { session: lane?.session ?? '', sequence, mark: lane?.mark ?? 0 }
    const command: Command = { ...body, call }
    return { kind: 'request', id, partition, epoch, replyBytesMax, command }
  }

  #answer(nowMs: number, request: Request, answer: Answer): void {
    this.#remove(nowMs, request)
    request.answered(answer, nowMs)
  }

  #remove(nowMs: number, request: Request): void {
    if (request.state === 'answered') return
    const route = this.#route(request.partition)
    request.state = 'answered'
    route.active.delete(request)
    route.waiting.delete(request)
    this.#forgetSendings(request)
    this.#wakes.cancel(request)
    this.#makeRoom(nowMs, request)
    request.lane?.release(request.sequence)
    this.#pump(nowMs, request.partition, route)
  }

  /** Sends what was held back for the owner that has this one less under way. */
  #makeRoom(nowMs: number, request: Request): void {
    const to = this.#window.leave(request)
    if (to !== undefined) this.#admit(nowMs, to)
  }

  #admit(nowMs: number, to: MemberId): void {
    for (let next = this.#window.take(to); next !== undefined; next = this.#window.take(to))
      this.#transmit(nowMs, to, next)
  }

  #forgetSendings(request: Request): void {
    for (const id of request.sendings) this.#sendings.delete(id)
    request.sendings.length = 0
  }

  #whyLate(request: Request): string {
    if (this.#owner(request.partition) === undefined) return `partition ${request.partition} has no owner`
    if (request.body.kind !== 'query' && this.#session === undefined) return 'this member has no session'
    return `no answer of ${request.sentTo ?? 'an owner'} within the deadline`
  }

  #owner(partition: PartitionId): MemberId | undefined {
    return this.#state?.partitions[partition]?.owner
  }

  #lane(route: Route): CallLane | undefined {
    if (this.#session === undefined) return undefined
    if (route.lane?.session !== this.#session) route.lane = new CallLane(this.#session)
    return route.lane
  }

  #route(partition: PartitionId): Route {
    let route = this.#routes.get(partition)
    if (route === undefined) {
      route = { lane: undefined, waiting: new Set(), active: new Set() }
      this.#routes.set(partition, route)
    }
    return route
  }
}
