/**
 * Who should vote: 1, 3 or 5 members, spread over zones, one change at a time. A pure plan that the leader proposes; as
 * long as it returns something the configuration is not yet what it should be.
 *
 * In this order: a voter that is no member any more goes; one that is silent or leaves is replaced where a fit learner
 * exists (it first, then the other); the count grows or shrinks to the largest of 1, 3, 5 that live members allow; and a
 * voter in a crowded zone gives way to one elsewhere. A silent voter without replacement stays: removing it would not
 * make the majority of the others any smaller, and it may come back.
 *
 * Decision: two members have one voter, because with two votes the loss of either stops both. An even count is only ever
 * a step on the way.
 */
import type { MemberId } from '../base/ids.ts'
import type { ClusterState } from './cluster-state.ts'
import type { RaftConfig } from './messages.ts'

export interface VotersQuestion {
  readonly state: ClusterState
  readonly config: RaftConfig
  /** On the leader's clock; undefined: it does not hear of this member. */
  readonly lastHeardMs: (member: MemberId) => number | undefined
  readonly nowMs: number
  /** Is not chosen to go if another can. */
  readonly leader?: MemberId | undefined
  /** Whether a member other than the leader holds all that is committed; by default all do. */
  readonly isCaughtUp?: (member: MemberId) => boolean
  /** 1, 3 or 5. More: survives more losses at once; each decision waits for more answers. */
  readonly votersMax?: number
}

/** Unheard for longer, a voter is replaced where a live learner exists. */
export const silentAfterMs = 2_000

/** A learner becomes a voter only if it was heard this recently: a dead one would hold up the very next decision, for ever where one voter grows to two. */
export const candidateHeardWithinMs = 150

/** The next configuration, or undefined if it is as it should be. Members and learners are brought into line on the way. */
export function planVoters(question: VotersQuestion): RaftConfig | undefined {
  const { state, config } = question
  const voters = nextVoters(question) ?? config.voters
  const learners = [...state.members.keys()].filter(member => !voters.includes(member))
  const isSame = voters === config.voters && learners.length === config.learners.length
  if (isSame && learners.every(member => config.learners.includes(member))) return undefined
  return { voters, learners }
}

function nextVoters(question: VotersQuestion): readonly MemberId[] | undefined {
  const { state, config } = question
  const { voters } = config
  const dead = voters.find(voter => !state.members.has(voter))
  if (dead !== undefined && voters.length > 1) return voters.filter(voter => voter !== dead)
  const fit = voters.filter(voter => isFit(question, voter))
  const able = config.learners.filter(member => isFit(question, member))
  const fresh = able.filter(
    member => isFit(question, member, candidateHeardWithinMs) && (question.isCaughtUp?.(member) ?? true),
  )
  const votersMax = question.votersMax ?? 5
  const staying = [...state.members.values()].filter(entry => entry.state !== 'leaving')
  const wanted = targetCount(staying.length, votersMax)
  // Counted over all that may vote soon, or the count would grow and shrink with every message that is late.
  const reachable = targetCount(fit.length + able.length, votersMax)
  const missing = reachable - fit.length
  // No further than an odd count at hand reaches: an even one stops at the loss of half.
  const isReached = fresh.length >= missing || (voters.length % 2 === 0 && fresh.length > 0)
  if (missing > 0 && isReached) return [...voters, spreadMost(question, fresh, fit)]
  const leaving = voters.find(voter => state.members.get(voter)?.state === 'leaving')
  if (leaving !== undefined) return isCarried(question, without(voters, leaving)) ? without(voters, leaving) : undefined
  const silent = voters.find(voter => !fit.includes(voter))
  if (silent !== undefined) return fit.length >= wanted ? without(voters, silent) : undefined
  if (voters.length > reachable) return without(voters, mostCrowded(question, voters))
  return voters.length === reachable ? spread(question, fresh) : undefined
}

/**
 * A majority of them was heard a moment ago and holds what is committed, so that the step can be decided, and the next one
 * too. Hearing alone proves nothing to a new leader, which counts each voter as heard when it begins.
 */
function isCarried(question: VotersQuestion, voters: readonly MemberId[]): boolean {
  const { lastHeardMs, nowMs, leader, isCaughtUp } = question
  const isSound = (voter: MemberId): boolean =>
    nowMs - (lastHeardMs(voter) ?? -Infinity) < candidateHeardWithinMs &&
    (voter === leader || (isCaughtUp?.(voter) ?? true))
  return voters.filter(isSound).length * 2 > voters.length
}

/** Adds one where it improves the spread; the surplus rule then takes one from the most crowded zone. */
function spread(question: VotersQuestion, fresh: readonly MemberId[]): readonly MemberId[] | undefined {
  const { voters } = question.config
  if (fresh.length === 0) return undefined
  const candidate = spreadMost(question, fresh, voters)
  const crowded = mostCrowded(question, voters)
  const gain = zoneCount(question, voters, crowded) - zoneCount(question, voters, candidate)
  return gain >= 2 ? [...voters, candidate] : undefined
}

/** The largest of 1, 3, 5 that is not more than either. */
function targetCount(count: number, votersMax: number): number {
  const most = Math.min(count, votersMax)
  return most >= 5 ? 5 : most >= 3 ? 3 : 1
}

function isFit({ state, lastHeardMs, nowMs }: VotersQuestion, member: MemberId, withinMs = silentAfterMs): boolean {
  const heardMs = lastHeardMs(member)
  return state.members.get(member)?.state === 'live' && heardMs !== undefined && nowMs - heardMs < withinMs
}

/** A member that names no zone is one of its own. */
function zoneOf({ state }: VotersQuestion, member: MemberId): string {
  const zone = state.members.get(member)?.zone
  return zone === undefined ? `member/${member}` : `zone/${zone}`
}

function zoneCount(question: VotersQuestion, voters: readonly MemberId[], member: MemberId): number {
  const zone = zoneOf(question, member)
  return voters.filter(voter => zoneOf(question, voter) === zone).length
}

/** The candidate whose zone has the fewest voters; the first of equals. */
function spreadMost(question: VotersQuestion, candidates: readonly MemberId[], voters: readonly MemberId[]): MemberId {
  const [first, ...others] = candidates
  let best = first as MemberId
  for (const candidate of others)
    if (zoneCount(question, voters, candidate) < zoneCount(question, voters, best)) best = candidate
  return best
}

/** The voter whose zone has the most; of equals the newest, and the leader last. */
function mostCrowded(question: VotersQuestion, voters: readonly MemberId[]): MemberId {
  const rank = (voter: MemberId): number => zoneCount(question, voters, voter) * 2 - (voter === question.leader ? 1 : 0)
  let best = voters[0] as MemberId
  for (const voter of voters) if (rank(voter) >= rank(best)) best = voter
  return best
}

function without(voters: readonly MemberId[], member: MemberId | undefined): readonly MemberId[] {
  return voters.filter(voter => voter !== member)
}
