/** Names of the things that cross layers. Plain strings and numbers, so that they cost nothing on the wire. */

/** One process start of a peer: `name~suffix`, e.g. 'goose-1~k3x9v2'. Fresh at each start, never reused. */
export type MemberId = string
/** Random id of a cluster, drawn by its founder. */
export type ClusterId = string
/** 0 .. partitionCount - 1. */
export type PartitionId = number
/** `member#n`: the n-th session of a member; retries, locks and message leases belong to it. */
export type SessionId = string

export const partitionCountDefault = 271

/** The n-th session of a member. */
export function sessionId(member: MemberId, ordinal: number): SessionId {
  return `${member}#${ordinal}`
}

/** The member a session belongs to. */
export function sessionMember(session: SessionId): MemberId {
  return session.slice(0, session.lastIndexOf('#'))
}
