/** One peer of the benchmark: joins by the seeds given, then runs what its parent asks for. Ends with its parent. */
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from '../../lib/index.ts'
import { run, type Load } from './workloads.ts'

export type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string }
export type Ask = { readonly id: number } & (
  | { readonly kind: 'status' | 'cpu' | 'profile' | 'close' }
  | { readonly kind: 'profiled'; readonly path: string }
  | { readonly kind: 'load'; readonly load: Load }
)

const [name = 'peer', ...seeds] = process.argv.slice(2)
const grid = await join({
  name,
  listen: '127.0.0.1:0',
  seeds,
  cluster: 'bench',
  onEvent: event => {
    const isTold = event.level === 'warn' || event.level === 'error' || /^(placement|consensus)/.test(event.event)
    if (process.env['SKEIN_BENCH_EVENTS'] !== undefined && isTold)
      console.error(name, Math.round(performance.now()), event.event, JSON.stringify(event.fields))
  },
})

const inspector = new Session()
inspector.connect()

async function answer(ask: Ask): Promise<unknown> {
  switch (ask.kind) {
    case 'status':
      return grid.status()
    case 'cpu':
      return process.cpuUsage()
    case 'profile':
      await inspector.post('Profiler.enable')
      return await inspector.post('Profiler.start')
    case 'profiled':
      return writeFileSync(ask.path, JSON.stringify((await inspector.post('Profiler.stop')).profile))
    case 'load':
      return await run(grid, ask.load)
    case 'close':
      return await grid.close()
  }
}

process.on('message', (ask: Ask) => {
  void answer(ask).then(
    result => process.send?.({ id: ask.id, result: result ?? null }),
    (error: unknown) => process.send?.({ id: ask.id, error: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.({ id: 0, result: grid.status().members.find(member => member.member === grid.status().self)?.addresses })
