/** `skein dead ls|show|replay|drop`: messages that failed for good, why, and what to do with them. */
import { Command } from 'commander'
import { adminCommand, call, print, table, type AdminOptions } from './admin.ts'

interface DeadLetter {
  readonly id: string
  readonly attempt: number
  readonly reason: string
  readonly deadAt: number
}

export function deadVerb(): Command {
  return new Command('dead')
    .description('dead letters of a queue')
    .addCommand(list())
    .addCommand(show())
    .addCommand(replay())
    .addCommand(drop())
}

function path(queue: string, rest = ''): string {
  return `/v1/dead/${encodeURIComponent(queue)}${rest}`
}

function list(): Command {
  return adminCommand('ls', 'ids, attempts and reasons')
    .argument('<queue>')
    .option('--max <count>', 'how many at most', '100')
    .action(async (queue: string, options: AdminOptions & { readonly max: string }) => {
      const answer = (await call(options, 'GET', path(queue, `?max=${encodeURIComponent(options.max)}`))) as {
        readonly messages: readonly DeadLetter[]
      }
      const rows = answer.messages.map(({ id, attempt, reason, deadAt }) => [
        id,
        String(attempt),
        new Date(deadAt).toISOString(),
        reason,
      ])
      print(options, answer, () => table(['id', 'attempts', 'died', 'reason'], rows))
    })
}

function show(): Command {
  return adminCommand('show', 'one dead letter, whole')
    .argument('<queue>')
    .argument('<id>')
    .action(async (queue: string, id: string, options: AdminOptions) => {
      const answer = await call(options, 'GET', path(queue, `/${encodeURIComponent(id)}`))
      print(options, answer, () => JSON.stringify(answer, null, 2))
    })
}

function replay(): Command {
  return adminCommand('replay', 'put dead letters back into the queue: those named, or all')
    .argument('<queue>')
    .argument('[ids...]')
    .action(async (queue: string, ids: readonly string[], options: AdminOptions) => {
      const answer = (await call(options, 'POST', path(queue, '/replay'), { ids })) as { readonly replayed: number }
      print(options, answer, () => `${answer.replayed} put back`)
    })
}

function drop(): Command {
  return adminCommand('drop', 'delete dead letters for good: those named, or all')
    .argument('<queue>')
    .argument('[ids...]')
    .action(async (queue: string, ids: readonly string[], options: AdminOptions) => {
      const answer = (await call(options, 'DELETE', path(queue), { ids })) as { readonly dropped: number }
      print(options, answer, () => `${answer.dropped} dropped`)
    })
}
