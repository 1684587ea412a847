/** `skein recover`: most voters are gone for good, and what is left is to go on without them. */
import { VerbError, adminCommand, call, print, type AdminOptions } from './admin.ts'
import type { Command } from 'commander'
import type { RecoverResult } from '../lib/grid/handles.ts'

export function recoverVerb(): Command {
  return adminCommand('recover', 'go on without the peers that are gone for good, after most voters died at once')
    .option('--yes', 'do it; without it says what would be lost, and exits with 1')
    .action(async (options: AdminOptions & { readonly yes?: boolean }) => {
      const answer = await call(options, 'POST', '/v1/admin/recover', { yes: options.yes === true })
      const result = answer as RecoverResult
      print(options, answer, () => recoveryText(result))
      if (!result.isDone) throw new VerbError('nothing was changed: if they are gone for good, say it with --yes')
    })
}

/** For people: who stays, who is given up, what is lost. */
export function recoveryText({ isDone, kept, dropped, partitionCount, lost }: RecoverResult): string {
  const names = (members: RecoverResult['kept']): string =>
    members
      .map(({ name }) => name)
      .sort()
      .join(', ') || 'nobody'
  const losing = lost.length === 0 ? 'none: each has a living copy' : `${lost.length} of ${partitionCount}`
  const which = lost.length === 0 ? '' : ` (${lost.slice(0, 20).join(', ')}${lost.length > 20 ? ', ...' : ''})`
  return [
    `${isDone ? 'recovered with' : 'would go on with'}: ${names(kept)}`,
    `given up: ${names(dropped)}; should one of them live, it ends and comes back as a new member`,
    `partitions that begin empty: ${losing}${which}`,
  ].join('\n')
}
