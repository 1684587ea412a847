/**
 * `skein recover`: most voters are gone for good, and a person says so to one living member. It begins again as the only
 * voter with what it has; members that it is linked to come along, all others are dropped; placement then promotes the
 * copies that live and begins the partitions that have none anew (P8).
 *
 * Why two histories never mix. The recovered cluster has another id, which begins with the former one (`supersedes`), and
 * links between different ids are refused (transport/hello.ts). The one exception is a member that was kept and has not
 * heard of the recovery yet: the newer end admits it by its member id, which is one process start and never used again.
 * So a dropped member (a majority that was only stopped and wakes, say) can acknowledge nothing to the recovered cluster
 * and get no acknowledgement from it; its first attempt to link with any member of it is refused with a word that makes
 * it end and come back as a stranger. A kept member crosses by appending the recovery: its term is out of reach of
 * elections in the former cluster (`recoveryTermStep`), so no entry of the one has index and term of an entry of the
 * other, and it refuses a log that lacks what it holds as committed (`Ledger.splice`), is then found silent and comes
 * back as a stranger too. It is refused beforehand if a linked member has a newer log: a log that ends newer holds all
 * that the older one holds as committed; and if a linked member follows a leader: then most voters live, and are only out
 * of this one's reach. After it crossed it parts from those that were dropped.
 *
 * What no protocol can do: two sides that live and see nothing of each other are two clusters once a person has
 * recovered one of them. What the dropped side acknowledges until it meets the other is lost when it does. Two
 * recoveries of one cluster, at two members that do not see each other, make two clusters that stay apart and say so.
 */
import type { MemberId, PartitionId } from '../base/ids.ts'
import { recoveriesMax, recoveryCount } from '../base/lineage.ts'
import type { CandidacyPort } from './candidacy.ts'
import type { ClusterCommand, ClusterState, MemberEntry } from './cluster-state.ts'
import type { RaftEntry, Voted } from './messages.ts'

/** More terms than elections of the former cluster can use up before it hears of the recovery. */
export const recoveryTermStep: number = 2 ** 20
type RecoverCommand = Extract<ClusterCommand, { kind: 'recover' }>
type End = Pick<Voted, 'term' | 'ageMs' | 'lastIndex' | 'lastTerm'>
/** Whoever acknowledged a leader less long ago follows one, or is between two. */
const sinceLedMs = 1_000

/** Learns by pre-votes how far others are; a voter with a newer log is also pulled from (catch-up.ts). */
export class Survey {
  readonly #port: Pick<CandidacyPort, 'member' | 'log' | 'term' | 'say'>
  /** Only of those asked last. */
  readonly #ends = new Map<MemberId, End | undefined>()

  constructor(port: Pick<CandidacyPort, 'member' | 'log' | 'term' | 'say'>) {
    this.#port = port
  }

  /** Above all that was heard of, and out of reach of elections. */
  get recoveryTerm(): number {
    const terms = [...this.#ends.values()].map(end => end?.term ?? 0)
    return Math.max(this.#port.term(), ...terms) + recoveryTermStep
  }

  /** The first entry of the recovered cluster, led as if its former leader had been acknowledged just now, in the term just entered. */
  opening({ cluster, kept }: Pick<RecoverCommand, 'cluster' | 'kept'>): RaftEntry {
    const { member: self, log } = this.#port
    const config = { voters: [self], learners: kept.filter(member => member !== self) }
    return { term: this.#port.term(), index: log.lastIndex + 1, config, command: { kind: 'recover', cluster, kept } }
  }

  ask(members: readonly MemberId[]): void {
    const { log, member: self } = this.#port
    this.#ends.clear()
    const { lastIndex, lastTerm } = log
    const request = { kind: 'requestVote', lastIndex, lastTerm, isPre: true, isTransfer: false } as const
    for (const member of members) {
      if (member === self) continue
      this.#ends.set(member, undefined)
      this.#port.say(member, { ...request, term: this.#port.term() + 1 })
    }
  }

  heard(from: MemberId, { term, ageMs, lastIndex, lastTerm }: Voted): void {
    if (this.#ends.has(from)) this.#ends.set(from, { term, ageMs, lastIndex, lastTerm })
  }

  hasAnswered(member: MemberId): boolean {
    return member === this.#port.member || this.#ends.get(member) !== undefined
  }

  isNewer(member: MemberId): boolean {
    const end = this.#ends.get(member)
    return end !== undefined && this.#port.log.compareEnd(end) > 0
  }

  /** It follows a leader, whom this member may not be able to hear. */
  isLed(member: MemberId): boolean {
    return (this.#ends.get(member)?.ageMs ?? Infinity) < sinceLedMs
  }
}

export interface RecoveryPlan {
  readonly kept: readonly MemberEntry[]
  readonly dropped: readonly MemberEntry[]
  /** Without a copy at those kept: they begin empty. */
  readonly lost: readonly PartitionId[]
}

/** What becomes of members and partitions if these are kept. */
export function planRecovery({ members, partitions }: ClusterState, kept: readonly MemberId[]): RecoveryPlan {
  const entries = [...members.values()]
  const isKept = (member: MemberId): boolean => kept.includes(member)
  const lost: PartitionId[] = []
  partitions.forEach(({ owner, backups }, partition) => {
    if (!backups.some(isKept) && (owner === undefined || !isKept(owner))) lost.push(partition)
  })
  return {
    kept: entries.filter(({ member }) => isKept(member)),
    dropped: entries.filter(({ member }) => !isKept(member)),
    lost,
  }
}

export interface RecoveryQuestion {
  readonly self: MemberId
  readonly state: ClusterState
  readonly voters: readonly MemberId[]
  readonly leader: MemberId | undefined
  /** The member holds a lease still, or did so a moment ago. */
  readonly isLeased: boolean
  /** Members of the state whose links are up, this one included. */
  readonly linked: readonly MemberId[]
  readonly survey: Pick<Survey, 'hasAnswered' | 'isNewer' | 'isLed'>
}

/** Why not to recover here and now, as a sentence; undefined: it may. */
export function recoveryProblem(question: RecoveryQuestion): string | undefined {
  const { self, state, voters, leader, isLeased, linked, survey } = question
  const nameOf = (member: MemberId): string => state.members.get(member)?.name ?? member
  if (!state.members.has(self)) return 'this peer is in no cluster: there is nothing to recover'
  if (leader !== undefined || isLeased)
    return `the cluster has a leader (${nameOf(leader ?? self)}): there is nothing to recover`
  const seen = voters.filter(voter => linked.includes(voter))
  if (seen.length * 2 > voters.length)
    return `${seen.length} of ${voters.length} voters can be reached: they will agree on a leader by themselves`
  if (recoveryCount(state.cluster) >= recoveriesMax)
    return `this cluster was recovered ${recoveriesMax} times, which is the limit: found a new one`
  const led = linked.find(member => survey.isLed(member))
  if (led !== undefined)
    return `${nameOf(led)} follows a leader, or did a moment ago: try again; if it stays so, mend the way between this peer and that leader`
  const newer = linked.find(member => survey.isNewer(member))
  if (newer !== undefined) return `${nameOf(newer)} knows more than this peer: recover there, or try again in a moment`
  const mute = linked.find(member => !survey.hasAnswered(member))
  if (mute !== undefined) return `${nameOf(mute)} is linked and has not answered: try again, or stop it first`
  return undefined
}
