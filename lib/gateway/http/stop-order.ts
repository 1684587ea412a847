/** `skein stop --all`: an order that all members hear of, because it is agreed like a definition. */
import type { Grid } from '../../grid/handles.ts'

const name = 'admin/stop'

/** Resolves once it is agreed. */
export async function orderStop(grid: Grid): Promise<void> {
  const id = [0, 1].map(() => grid.env.random.uint32().toString(36)).join('')
  await grid.define(name, { id, by: grid.name }, { isReplacing: true })
}

/** Calls back once when a stop is ordered from now on. Returns how to stop listening. */
export function onStopOrder(grid: Grid, stop: (by: string) => void): () => void {
  const order = (): { readonly id: string; readonly by: string } | undefined =>
    grid.definitions(name).get(name) as { readonly id: string; readonly by: string } | undefined
  const before = order()?.id
  const off = grid.on('state', () => {
    const heard = order()
    if (heard === undefined || heard.id === before) return
    off()
    stop(heard.by)
  })
  return off
}
