/** `skein leave` and `skein stop --all`: one peer hands over and goes; all of them drain, spool and go. */
import type { Command } from 'commander'
import { InvalidError } from '../lib/base/errors.ts'
import { adminCommand, call, print, type AdminOptions } from './admin.ts'

export function leaveVerb(): Command {
  return adminCommand('leave', 'one peer hands everything over and stops').action(async (options: AdminOptions) => {
    const answer = await call(options, 'POST', '/v1/admin/leave', {})
    print(options, answer, () => 'leaving: hands over, then stops')
  })
}

export function stopVerb(): Command {
  return adminCommand('stop', 'all peers close their sources, drain, write what remains to their spools, and stop')
    .option('--all', 'needed: stops the whole cluster')
    .action(async (options: AdminOptions & { readonly all?: boolean }) => {
      if (options.all !== true)
        throw new InvalidError('stop ends the whole cluster: say --all, or use `skein leave` for one peer')
      const answer = await call(options, 'POST', '/v1/admin/stop', {})
      print(options, answer, () => 'stopping: sources closed, draining')
    })
}
