/** What placement may see of consensus: an adapter, so that placement needs no Raft. */
import type { Consensus } from '../consensus/consensus.ts'
import { planVoters } from '../consensus/voters.ts'
import type { Network } from '../transport/network.ts'
import type { LeaderView } from '../placement/leader-plan.ts'

/**
 * A member whose link is down is never made a voter: a process that just died answers no more, and where one voter
 * grows to two nothing could be decided without it, not even its removal.
 */
export function leaderView(consensus: Consensus, network: Pick<Network<never>, 'links'>): LeaderView {
  return {
    voters: () => consensus.config.voters,
    planVoters: (nowMs, state) =>
      planVoters({
        state,
        config: consensus.config,
        leader: consensus.leader,
        lastHeardMs: member => consensus.lastHeardMs(member),
        isCaughtUp: member => consensus.isCaughtUp(member) && network.links.includes(member),
        nowMs,
      })?.voters,
  }
}
