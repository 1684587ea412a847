/**
 * `skein recover` at one member: asks the others it reaches how far they are, says what would become of members and
 * data, and does it if told to. What is done and why it is safe: consensus/recovery.ts.
 */
import { InvalidError } from '../base/errors.ts'
import type { Calls } from './calls.ts'
import type { OperationOptions, RecoverResult } from './handles.ts'

/** Whoever is linked answers long before that. */
const surveyMs = 500
const recoverMsDefault = 10_000

export async function recoverGrid(
  calls: Calls,
  { isSure = false, ...options }: OperationOptions & { readonly isSure?: boolean | undefined },
): Promise<RecoverResult> {
  const timed = calls.timed({ deadline: recoverMsDefault, ...options })
  const { peer } = calls
  peer?.survey()
  await calls.sleep(surveyMs, timed.signal)
  const plan = peer?.recovery() ?? 'this peer is starting'
  if (peer === undefined || typeof plan === 'string') throw new InvalidError(`${String(plan)}; nothing was changed`)
  const nameOf = ({ name, member }: { readonly name: string; readonly member: string }) => ({ name, member })
  const { cluster, partitions } = peer.state
  const result = {
    kept: plan.kept.map(nameOf),
    dropped: plan.dropped.map(nameOf),
    partitionCount: partitions.length,
    lost: plan.lost,
  }
  if (!isSure) return { ...result, isDone: false, cluster }
  peer.recover(plan)
  const after = await calls.until(timed, 'the recovered cluster', () =>
    peer.state.cluster === cluster ? undefined : peer.state.cluster,
  )
  return { ...result, isDone: true, cluster: after }
}
