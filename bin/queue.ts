/** `skein queue ls|peek`: what is queued, without taking it. */
import { Command } from 'commander'
import { adminCommand, call, print, table, type AdminOptions } from './admin.ts'

interface QueueRow {
  readonly queue: string
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  readonly dead: number
}

interface Peeked {
  readonly messages: readonly { readonly id: string; readonly attempt: number; readonly body: unknown }[]
}

export function queueVerb(): Command {
  return new Command('queue').description('look into queues').addCommand(list()).addCommand(peek())
}

function list(): Command {
  return adminCommand('ls', 'all queues and their counts').action(async (options: AdminOptions) => {
    const { queues } = (await call(options, 'GET', '/v1/queues')) as { readonly queues: readonly QueueRow[] }
    const rows = queues.map(row => [row.queue, row.ready, row.leased, row.delayed, row.dead].map(String))
    print(options, { queues }, () => table(['queue', 'ready', 'leased', 'delayed', 'dead'], rows))
  })
}

function peek(): Command {
  return adminCommand('peek', 'the next messages of a queue; they stay where they are')
    .argument('<queue>')
    .option('--max <count>', 'how many at most', '10')
    .action(async (queue: string, options: AdminOptions & { readonly max: string }) => {
      const answer = (await call(
        options,
        'GET',
        `/v1/queues/${encodeURIComponent(queue)}/peek?max=${encodeURIComponent(options.max)}`,
      )) as Peeked
      print(options, answer, () =>
        table(
          ['id', 'attempt', 'body'],
          answer.messages.map(({ id, attempt, body }) => [id, String(attempt), JSON.stringify(body)]),
        ),
      )
    })
}
