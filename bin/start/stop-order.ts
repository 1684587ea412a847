/**
 * `skein stop --all` as an agreed definition: whichever peer is asked defines it, every peer sees it change and goes.
 * What was there when a peer came is of an earlier stop and no order for it.
 */
import type { Grid } from '../../lib/grid/handles.ts'

const stopName = 'skein/stop'

/** Resolves once the order is agreed on. */
export async function orderStop(grid: Grid): Promise<void> {
  await grid.define(stopName, `${grid.member} ${grid.now().wallMs}`, { isReplacing: true })
}

export function watchStop(grid: Grid, stop: () => void): void {
  const before = grid.definitions(stopName).get(stopName)
  grid.on('state', () => {
    const order = grid.definitions(stopName).get(stopName)
    if (order !== undefined && order !== before) stop()
  })
}
