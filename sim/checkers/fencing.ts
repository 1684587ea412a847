/**
 * Locks and leases: tokens grow from grant to grant, and at most one token is good at a time. A token was good for
 * certain from the return of its grant to the call of the last use that was accepted; no two such spans may overlap.
 */
export interface Grant {
  readonly token: number
  readonly calledAt: number
  readonly returnedAt: number
  /** When uses of this token that were accepted had been called. */
  readonly acceptedAt: readonly number[]
}

/** What can't be, in words; undefined if all can. Grants of one lock or one message. */
export function fencingViolation(grants: readonly Grant[]): string | undefined {
  const byReturn = [...grants].sort((a, b) => a.returnedAt - b.returnedAt)
  const tokens = new Set(grants.map(grant => grant.token))
  if (tokens.size < grants.length) return 'one token was granted twice'
  for (const grant of grants) {
    const older = byReturn.find(other => other.returnedAt < grant.calledAt && other.token > grant.token)
    if (older !== undefined) return `token ${grant.token} was granted after ${older.token}`
    const lastAt = Math.max(...grant.acceptedAt, -1)
    const newer = byReturn.find(other => other.token > grant.token && other.returnedAt < lastAt)
    if (newer !== undefined) return `token ${grant.token} was accepted after ${newer.token} had been granted`
  }
  return undefined
}
