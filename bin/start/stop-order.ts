/**
 * `skein stop --all` as an agreed definition: whichever peer is asked defines it, every peer sees it change and goes.
 * What was there when a peer came is of an earlier stop and no order for it.
 */
import type { Grid } from '../../lib/grid/handles.ts'

const stopName = 'skein/stop'

/** Resolves once the order is agreed on. */
export async function orderStop(grid: Grid): Promise<void> {
  const order = `${grid.name} ${grid.now().wallMs} ${grid.env.random.uint32()}`
  await grid.define(stopName, order, { isReplacing: true })
}

/** Calls back once, with who ordered it. */
export function onStopOrder(grid: Grid, stop: (by: string) => void): void {
  const before = grid.definitions(stopName).get(stopName)
  const off = grid.on('state', () => {
    const order = grid.definitions(stopName).get(stopName)
    if (order === undefined || order === before) return
    off()
    stop(String(order).split(' ')[0] as string)
  })
}
