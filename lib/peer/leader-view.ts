/** What placement may see of consensus: an adapter, so that placement needs no Raft. */
import type { Consensus } from '../consensus/consensus.ts'
import { planVoters } from '../consensus/voters.ts'
import type { LeaderView } from '../placement/leader-plan.ts'

export function leaderView(consensus: Consensus): LeaderView {
  return {
    voters: () => consensus.config.voters,
    planVoters: (nowMs, state) =>
      planVoters({
        state,
        config: consensus.config,
        leader: consensus.leader,
        lastHeardMs: member => consensus.lastHeardMs(member),
        isCaughtUp: member => consensus.isCaughtUp(member),
        nowMs,
      })?.voters,
  }
}
